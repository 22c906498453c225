"""What those are told for whom the line has no place: when to come again. And it is kept.

Each is given a moment of its own, one after the other as the line moves, so that those who were
turned away do not all come back at once, and in vain. A quarter of the line's places is kept for
them against those who come for the first time: the first moment is when so many have fallen free,
since no estimate is exact. A promise that nobody claims lapses.

What can wait (batch) is only taken in while half of the line is free, and promised nothing: it
would stand in the line for as long as others come. There are as many promises as the line has
places, and as with those a caller may have as many as there are left. Whoever gets none is told
when there are some again. All this only bounds who may wait: a slot that is free is given to
whoever asks.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from noibo.engines.supervision.claim import Claim, Priority
from noibo.engines.supervision.line import Line

SLACK: Final = 1.1  # moments are so much further apart than places fall free: some are late
KEPT: Final = 4  # one place of so many is for those who were promised one
LATE_S: Final = 5.0  # after its moment a promise is kept for so long …
LATE: Final = 0.1  # … and for this share more of what was told


@dataclass(slots=True, eq=False)
class _Promise:
    caller: str
    at: float
    lapses: float


@dataclass(frozen=True, slots=True)
class Again:
    """When one who was turned away is to come again, and whether a place is `kept` for it then."""

    in_s: float
    kept: bool


class Promises:
    """Moments of the caller's clock, in rising order. At most as many as the line is long."""

    def __init__(self, longest: int) -> None:
        self._most = longest
        self._kept = longest // KEPT
        self._made: deque[_Promise] = deque()
        self._of_caller: Counter[str] = Counter()
        self._last = -math.inf  # the furthest that was promised
        self._without = 0  # who got none; they are told moments apart from each other too

    def __len__(self) -> int:
        return len(self._made)

    def admits(self, claim: Claim, line: Line, now: float) -> bool:
        """Whether one more request may wait; a promise that was due is kept."""
        while self._made and self._made[0].lapses <= now:
            self._forget(self._made[0])
        due = self._due(claim, now)
        if due is None:
            kept = min(len(self._made), self._kept)
            kept += self._most // 2 if claim.priority is Priority.BATCH else 0
            return line.has_place_for(claim.caller, kept)
        if not line.places_left:
            return False
        self._forget(due)
        return True

    def make(self, claim: Claim, line: Line, now: float, free_s: float, pace_s: float) -> Again:
        """When one that was not admitted is to come again. The next place is free in `free_s`, and
        then one every `pace_s`."""
        caller, due = claim.caller, self._due(claim, now)
        if due is not None:  # it came as it was told, and the line has moved more slowly
            due.at = now + _told(free_s + self._made.index(due) * pace_s)
            due.lapses = max(due.lapses, due.at + LATE_S)
            return Again(due.at - now, kept=True)
        missing = max(self._kept - line.places_left, 0)
        at = max(self._last + SLACK * pace_s, now + free_s + missing * pace_s)
        left = self._most - len(self._made)
        if claim.priority is Priority.BATCH or self._of_caller.get(caller, 0) >= left:
            self._without = (self._without + 1) % self._most
            return Again(at - now + self._without * pace_s, kept=False)
        self._last = at
        at = now + _told(at - now)  # it does not come before, and no other request of its caller
        self._made.append(_Promise(caller, at, at + LATE_S + LATE * (at - now)))
        self._of_caller[caller] += 1
        return Again(at - now, kept=True)

    def _due(self, claim: Claim, now: float) -> _Promise | None:
        if claim.caller not in self._of_caller or claim.priority is Priority.BATCH:
            return None
        first = next(one for one in self._made if one.caller == claim.caller)
        return first if first.at <= now else None

    def _forget(self, promise: _Promise) -> None:
        self._made.remove(promise)
        self._of_caller[promise.caller] -= 1
        if not self._of_caller[promise.caller]:
            del self._of_caller[promise.caller]


def _told(seconds: float) -> float:
    """As a header says it: in whole seconds."""
    return float(max(math.ceil(seconds), 1))
