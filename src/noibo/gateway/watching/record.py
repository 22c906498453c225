"""One request under watch: what is found out about it on its way, told once when it ends.

The request's task carries it, and so do the tasks that work for it. Never anything that the caller
wrote: the model's name is there from the moment that it has turned out to be one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from noibo import logs

if TYPE_CHECKING:
    from noibo.engines.engine import Model
    from noibo.engines.supervision.ticket import Ticket
    from noibo.errors import NoiboError
    from noibo.gateway.leaving.journey import Journey
    from noibo.gateway.tokens import Tokens
    from noibo.gateway.watching.metrics import Metrics, ModelNumbers
    from noibo.privacy.judgement import Reason

LEFT = 499  # the caller, before the answer was whole


class Record:
    """What is known of one request. Moments are of the monotonic clock, `at` is a time of day."""

    __slots__ = (
        "_keep",
        "_metrics",
        "_numbers",
        "_tell",
        "_tickets",
        "acted_on",
        "aside",
        "asked",
        "at",
        "began",
        "ended",
        "engine",
        "error",
        "fault",
        "first_at",
        "generated",
        "goes_on",
        "heard",
        "id",
        "journey",
        "kept",
        "labels",
        "left",
        "model",
        "own",
        "prompt",
        "reasons",
        "reused",
        "route",
        "scope",
        "status",
        "strategy",
        "trace_id",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what it is of, and who is told
        self,
        scope: MutableMapping[str, Any],
        name: str,
        route: str = "",
        metrics: Metrics | None = None,
        tell: Callable[[Record], None] = lambda record: None,
        keep: Callable[[Record], None] = lambda record: None,
    ) -> None:
        self.scope = scope
        self.id = name
        self.route = route
        self.at = time.time()
        self.began = time.perf_counter()
        self.ended = 0.0
        self.status = 0
        self.error = ""
        self.fault: NoiboError | None = None
        self.left = False
        self.model = self.engine = ""
        self.first_at = 0.0
        self.prompt = self.reused = self.generated = 0
        self.trace_id = ""
        self.aside = False  # work that goes on when the request itself has been answered
        self.goes_on = False  # there is such work: it has the journey now
        self.acted_on = ""  # what an admin's act has made or changed, by its name here
        self.asked = ""  # the name that was sent, of what turned out to be a model
        self.own: Any = None  # what a body says to noibo alone
        self.labels: tuple[Reason, ...] = ()  # what is said of what it builds on
        self.journey: Journey | None = None  # where it may leave this machine
        self.strategy = ""  # of the virtual model that was asked
        self.reasons: tuple[str, ...] = ()
        self.heard: list[tuple[Model, Tokens]] = []  # answers of models of this machine
        self.kept = False  # its row of usage is written
        self._metrics = metrics
        self._numbers: ModelNumbers | None = None
        self._tell = tell
        self._keep = keep
        self._tickets: list[Ticket] = []

    # ── what happens to it ──────────────────────────────────────────────────

    def asks(self, model: Model, name: str = "") -> None:
        """The name that was sent is this model's."""
        self.asked = self.asked or name
        if self.model != model.name:
            self.model, self.engine = model.name, model.engine
            self._numbers = self._metrics.of(model.name) if self._metrics else None

    def waits(self, ticket: Ticket) -> None:
        """It waits for a worker from now on."""
        self._tickets.append(ticket)

    def read(self, tokens: int, reused: int = 0) -> None:
        """So many tokens were read for it, and nothing is written."""
        self.prompt += tokens
        self.reused += reused
        if self._numbers is not None:
            self._numbers.read(tokens, reused)

    def answered(self, tokens: Tokens, waited_s: float) -> None:
        """A model has written for it: an answer, one of several, or a part of one."""
        self.prompt += tokens.prompt
        self.reused += tokens.reused
        self.generated += tokens.written
        if tokens.first_at and not self.first_at:
            self.first_at = tokens.first_at
        if self._numbers is not None:
            self._count(self._numbers, tokens, waited_s)

    def _count(self, numbers: ModelNumbers, tokens: Tokens, waited_s: float) -> None:
        prompt, written, first_at = tokens.prompt, tokens.written, tokens.first_at
        numbers.read(prompt, tokens.reused)
        numbers.generated += written
        numbers.wait.see(waited_s)
        if written:
            numbers.prompt_length.see(prompt)
            numbers.answer_length.see(written)
        if not first_at:
            return
        numbers.first_token.see(first_at - self.began)
        if written > 1:
            numbers.each_token.see((time.perf_counter() - first_at) / (written - 1))

    def failed(self, error: NoiboError) -> None:
        """It is answered with this error."""
        self.error, self.fault = error.code, error

    def keep(self) -> None:
        """Its last bytes go out next: what it took of models here is written down, once."""
        if not self.kept:
            self.kept = True
            self._keep(self)
            self.heard.clear()

    # ── what it was in the end ──────────────────────────────────────────────

    def end(self) -> None:
        """It is over. Told once."""
        self.ended = time.perf_counter()
        self.kept = self.kept and not self.heard
        self.keep()
        if self.journey is not None and not self.goes_on:
            self.journey.end()
        self._tell(self)

    @property
    def label(self) -> str:
        """Its model as labels have it; empty without one."""
        return self._numbers.label if self._numbers is not None else ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    @property
    def first_s(self) -> float | None:
        """How long it took to the first token."""
        return self.first_at - self.began if self.first_at else None

    @property
    def queued_s(self) -> float:
        """How long it waited for workers."""
        return sum(ticket.waited_s for ticket in self._tickets)

    @contextlib.contextmanager
    def go_on(self) -> Iterator[Record]:
        """The work that goes on for a request when it has been answered: under the same name."""
        other = Record(self.scope, self.id, self.route, self._metrics, self._tell, self._keep)
        other.aside = True
        other.asked, other.own, other.labels = self.asked, self.own, self.labels
        other.strategy, other.reasons = self.strategy, self.reasons
        other.journey = self.journey
        token = CURRENT.set(other)
        try:
            yield other
            other.status = 200
        except asyncio.CancelledError:
            other.left = True
            raise
        finally:
            other.end()
            CURRENT.reset(token)


CURRENT: ContextVar[Record] = ContextVar("record")


def current() -> Record:
    """The request that this task works for; where there is none, one that nobody looks at."""
    return CURRENT.get(None) or Record({}, logs.request_id.get())
