"""A circuit breaker for each address: a server that fails again and again is left alone.

    closed ──(FAILURES in a row)──► open ──(its time is up)──► half-open ──(the trial fails)──► open
       ▲                              │                            │         twice as long
       └──────────────────(any answer)┴────────────────────────────┘

What counts is what says that the server is ill: nobody there, a connection that breaks or silence
before the first byte of an answer, a status of 502, 503 or 504. A refusal (400, 401, 404, 422) and
a word to come later (429) are answers; so is 500, which may be of one request or one model, and the
others must not pay for it. What breaks off in an answer is told to who asked, and counts as one.
Half-open, one request goes through as a trial. A trial that is given up, for whatever reason, says
nothing and makes place for the next; one of which nothing is heard does so too, after a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal
from urllib.parse import urlsplit

FAILURES: Final = 5  # requests in a row, each with all its retries
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 60.0
TRIAL_S: Final = 120.0  # then another may try: the answer may take its time
State = Literal["closed", "open", "half-open"]


class Open(Exception):
    """The server is left alone now. `seconds`: until it may be asked again."""

    def __init__(self, seconds: float, failures: int) -> None:
        super().__init__(f"open for {seconds:.1f} s more")
        self.seconds = seconds
        self.failures = failures


class Breaker:
    """What is known of one address. On one event loop; knows no server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_s = 0.0
        self._until = 0.0
        self._trial: Permit | None = None
        self._trial_since = 0.0
        self.failures = 0  # in a row

    @property
    def state(self) -> State:
        """As a person is told it."""
        if self.failures < FAILURES:
            return "closed"
        return "open" if self._clock() < self._until else "half-open"

    @property
    def waits_s(self) -> float:
        """Seconds until it may be asked again; 0: now."""
        if self.failures < FAILURES:
            return 0.0
        left = self._until - self._clock()
        if left <= 0 and self._trial is not None:
            left = self._trial_since + TRIAL_S - self._clock()
        return max(left, 0.0)

    def enter(self) -> Permit:
        """Leave to ask once, retries and all. Raises `Open`."""
        if left := self.waits_s:
            # who waits for a trial comes back soon: it mostly ends long before its time
            raise Open(min(left, FIRST_PAUSE_S) if self._trial else left, self.failures)
        permit = Permit(self)
        if self.failures >= FAILURES:
            self._trial, self._trial_since = permit, self._clock()
        return permit

    def is_trial(self, permit: Permit) -> bool:
        """Whether all depends on how this one goes."""
        return self._trial is permit

    def answered(self, permit: Permit) -> None:
        """It answers: all is well."""
        self.failures, self._pause_s, self._trial = 0, 0.0, None

    def failed(self, permit: Permit) -> None:
        """It is ill. What was asked before it was found out says nothing new."""
        if self.failures >= FAILURES and not self.is_trial(permit):
            return
        self.failures += 1
        if self.failures >= FAILURES:
            longer = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._pause_s = longer or FIRST_PAUSE_S
            self._until = self._clock() + self._pause_s
            self._trial = None

    def given_up(self, permit: Permit) -> None:
        """Nobody waited for what would have come: nothing was learnt."""
        if self.is_trial(permit):
            self._trial = None


class Permit:
    """Leave to ask once. What came of it is said once: what is said later changes nothing."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._told = False

    @property
    def is_trial(self) -> bool:
        return self._breaker.is_trial(self)

    def answered(self) -> None:
        """The server answers."""
        self._tell(self._breaker.answered)

    def failed(self) -> None:
        """The server is ill."""
        self._tell(self._breaker.failed)

    def let_go(self) -> None:
        """Nobody waits any more."""
        self._tell(self._breaker.given_up)

    def _tell(self, tell: Callable[[Permit], None]) -> None:
        if not self._told:
            self._told = True
            tell(self)


class Breakers:
    """One for each address, whichever models are asked for there."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str | None, int | None], Breaker] = {}

    def of(self, url: str) -> Breaker:
        """The breaker of the address in a URL."""
        parts = urlsplit(url)
        return self._of.setdefault((parts.scheme, parts.hostname, parts.port), Breaker())
