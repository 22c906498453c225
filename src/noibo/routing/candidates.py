"""A model that may answer: where it is, what it can do, what it costs, how fast and how good it is,
and how it is now.

What nobody knows is None and is treated as unknown: a price that is not known is not zero, a
context that is not known is not endless: whoever has room for certain goes before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from noibo.routing.demand import USUAL, Ability, Demand, Means

Breaker = Literal["closed", "open", "half-open"]
Room = Literal["yes", "perhaps", "no"]
EVERY_TASK: Final = ""
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Money for a million tokens, read and written."""

    read: float
    written: float

    def cost(self, demand: Demand) -> float:
        """What an answer is expected to cost."""
        answer = demand.expected_answer
        return (demand.tokens * self.read + answer * self.written) / MILLION


@dataclass(frozen=True, slots=True)
class Pace:
    """Measured: tokens read and written in a second, and seconds before anything happens."""

    read: float
    written: float
    start_s: float = 0.0

    def seconds(self, demand: Demand) -> float:
        """How long an answer is expected to take, from its request to its end."""
        written = demand.expected_answer / max(self.written, 1e-9)
        return self.start_s + demand.tokens / max(self.read, 1e-9) + written


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is now. `waits_s`: while the breaker is open, seconds until it may be asked."""

    breaker: Breaker = "closed"
    waits_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model. `local`: it runs on this machine, or on a server of the house's own, so that what
    it is told stays. `abilities`: what it can do; where nobody says, what any server of chats can.
    `quality`: the measured share of right answers by kind of task, `""` for all. `allowed`: whoever
    asks may use it. `means`: what may be spent on it, besides what may be spent at all."""

    name: str
    local: bool
    context: int | None = None
    abilities: frozenset[Ability] = USUAL
    rates: Rates | None = None
    pace: Pace | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    standing: Standing = Standing()
    allowed: bool = True
    means: Means = Means()

    def room(self, demand: Demand) -> Room:
        """Whether prompt and answer have room in its context."""
        if self.context is None:
            return "perhaps"
        if demand.most <= self.context:
            return "yes"
        return "perhaps" if demand.least <= self.context else "no"

    def cost(self, demand: Demand) -> float | None:
        """Expected; None where it is not known. A local one without rates costs nothing more."""
        if self.rates is None:
            return 0.0 if self.local else None
        return self.rates.cost(demand)

    def seconds(self, demand: Demand) -> float | None:
        """Expected; None where nothing was measured."""
        return None if self.pace is None else self.pace.seconds(demand)

    def measured(self, task: str) -> float | None:
        """Its share of right answers for a kind of task."""
        return self.quality.get(task, self.quality.get(EVERY_TASK))

    def chance(self, demand: Demand) -> float | None:
        """How likely its answer is right: of a local one what is said of this very request, else
        what was measured of its kind."""
        if self.local and (said := demand.chance.for_model(self.name)) is not None:
            return said
        return self.measured(demand.task)
