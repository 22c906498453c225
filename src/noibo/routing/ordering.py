"""In which order the candidates that are left are asked, by each strategy. Pure.

Within one side (this machine, or elsewhere) the order is: what answered the turn before; who has
room for certain; the better measured one where all of them are measured; the cheaper; as the user
wrote them. A tie is never broken by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from noibo.routing.candidates import Candidate
from noibo.routing.demand import Demand
from noibo.routing.reasons import Reason
from noibo.routing.stickiness import Previous
from noibo.routing.strategy import Class, Kind, Strategy


@dataclass(frozen=True, slots=True)
class Ordered:
    """A candidate in its place. `check`: judge its answer, if anybody follows for that;
    `after_unfit`: it is asked when an answer before it was not good."""

    candidate: Candidate
    reasons: tuple[Reason, ...]
    check: bool = False
    after_unfit: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """All that an order stands on. `held`: what the conversation goes on with."""

    demand: Demand
    left: Sequence[Candidate]
    strategy: Strategy
    complexity: Class
    held: Previous | None

    @property
    def here(self) -> list[Candidate]:
        """Candidates of this machine, the best first."""
        return self._sorted([one for one in self.left if one.local])

    @property
    def elsewhere(self) -> list[Candidate]:
        return self._sorted([one for one in self.left if not one.local])

    def _sorted(self, side: list[Candidate]) -> list[Candidate]:
        qualities = [one.measured(self.demand.task) for one in side]
        known = all(quality is not None for quality in qualities)

        def rank(one: Candidate) -> tuple[bool, bool, float, float]:
            quality = one.measured(self.demand.task) if known else None
            return (
                self.held is None or one.name != self.held.model,
                one.room(self.demand) != "yes",
                -(quality or 0.0),
                _cost(one, self.demand),
            )

        return sorted(side, key=rank)


def order(
    demand: Demand,
    left: Sequence[Candidate],
    strategy: Strategy,
    complexity: Class,
    held: Previous | None,
) -> list[Ordered]:
    """The candidates in order, each with its reasons."""
    return _BY_KIND[strategy.kind](Ask(demand, left, strategy, complexity, held))


def _one_side(code: str) -> Callable[[Ask], list[Ordered]]:
    def ordered(ask: Ask) -> list[Ordered]:
        side = [*ask.here, *ask.elsewhere]
        return [
            Ordered(one, (Reason.of("if_failed" if place else code),))
            for place, one in enumerate(side)
        ]

    return ordered


def _hybrid(ask: Ask) -> list[Ordered]:
    """Simple: here; medium: here, checked, then elsewhere; complex: elsewhere. A conversation that
    was answered elsewhere goes on there until it is plainly simple."""
    here, elsewhere = ask.here, ask.elsewhere
    away = ask.complexity == "complex" or (ask.held is not None and not ask.held.local)
    if away and elsewhere:
        code = "too_hard" if ask.complexity == "complex" else "stays_with"
        return _then(_named(code, ask, elsewhere[0]), elsewhere, here)
    if not here:
        return _then((Reason.of("only_elsewhere"),), elsewhere, [])
    checked = ask.complexity != "simple" and bool(elsewhere)
    code = "easy_enough" if ask.complexity == "simple" else "tried_first"
    if ask.complexity != "simple" and not elsewhere:
        code = "only_here"
    return _then((Reason.of(code),), here, elsewhere, checked=checked)


def _then(
    why: tuple[Reason, ...],
    first: Sequence[Candidate],
    then: Sequence[Candidate],
    *,
    checked: bool = False,
) -> list[Ordered]:
    """One side, its others in reserve, and the other side behind it."""
    failed = (Reason.of("if_failed"),)
    rows = [
        Ordered(one, failed if place else why, check=checked) for place, one in enumerate(first)
    ]
    behind = (Reason.of("if_not_good"),) if checked else failed
    rows += [
        Ordered(one, failed if place else behind, after_unfit=checked and place == 0)
        for place, one in enumerate(then)
    ]
    return rows


def _cascade(ask: Ask) -> list[Ordered]:
    """From the cheapest up; each is checked, and the next one asked while it is not good. What a
    conversation goes on with comes first, and what is before it is passed over."""
    side = [*ask.here, *ask.elsewhere]
    if ask.held is not None:
        side.sort(key=lambda one: ask.held is None or one.name != ask.held.model)
    if ask.held is not None and not ask.held.local:  # what is smaller is for failures alone
        return _then(_named("stays_with", ask, side[0]), ask.elsewhere, ask.here)
    return [
        Ordered(
            one,
            (Reason.of("if_not_good" if place else "tried_first"),),
            check=True,
            after_unfit=place > 0,
        )
        for place, one in enumerate(side)
    ]


def _cheapest(ask: Ask) -> list[Ordered]:
    """Those that meet the quality by cost, then the others by how near they come to it."""
    wanted, demand = ask.strategy.quality, ask.demand
    side = [*ask.here, *ask.elsewhere]
    chances = {one.name: one.chance(demand) for one in side}
    none_meets = all(chance is None or chance < wanted for chance in chances.values())

    def rank(one: Candidate) -> tuple[bool, float, float]:
        chance = chances[one.name]
        lower = ask.strategy.margin if ask.held and ask.held.model == one.name else 0.0
        if chance is not None and chance >= wanted - lower:
            return False, -1.0 if lower else _cost(one, demand), -chance
        if lower and none_meets:
            return True, -2.0, 0.0
        return True, -(chance if chance is not None else -1.0), _cost(one, demand)

    side.sort(key=rank)
    rows = [Ordered(side[0], _why_cheapest(side[0], chances, ask))]
    return rows + [Ordered(one, (Reason.of("if_failed"),)) for one in side[1:]]


def _why_cheapest(one: Candidate, chances: dict[str, float | None], ask: Ask) -> tuple[Reason, ...]:
    has, wanted = chances[one.name], ask.strategy.quality
    dear = [
        Reason.of("may_be_cheaper", model=other.name)
        for other in ask.left
        if other.cost(ask.demand) is None and other.name != one.name
    ]
    if has is not None and has >= wanted:
        return (Reason.of("cheapest", quality=wanted, has=has), *dear)
    if ask.held is not None and ask.held.model == one.name:
        return (Reason.of("stays_with", model=one.name),)
    if has is None:
        return (Reason.of("nothing_measured", quality=wanted),)
    return (Reason.of("none_meets", quality=wanted, has=has),)


def _named(code: str, ask: Ask, one: Candidate) -> tuple[Reason, ...]:
    return (Reason.of(code, model=one.name) if code == "stays_with" else Reason.of(code),)


def _cost(one: Candidate, demand: Demand) -> float:
    """To sort by: what is not known is the dearest."""
    cost = one.cost(demand)
    return math.inf if cost is None else cost


_BY_KIND: Final[dict[Kind, Callable[[Ask], list[Ordered]]]] = {
    "local_only": _one_side("local_only"),
    "api_only": _one_side("api_only"),
    "hybrid": _hybrid,
    "cascade": _cascade,
    "cheapest_that_meets": _cheapest,
}
