"""Which candidates can and may answer a request, and all that stands against the others. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from noibo.routing.candidates import Candidate
from noibo.routing.demand import Demand
from noibo.routing.reasons import Reason
from noibo.routing.refusal import RuledOut
from noibo.routing.strategy import Class, Strategy


def sift(
    demand: Demand,
    candidates: Iterable[Candidate],
    strategy: Strategy,
    complexity: Class,
    *,
    offline: bool,
) -> tuple[list[Candidate], list[RuledOut]]:
    """Those that are left, and those that are not."""
    left, out = [], []
    for one in candidates:
        against = tuple(_against(one, demand, strategy, complexity, offline))
        if against:
            out.append(RuledOut(one, against))
        else:
            left.append(one)
    return left, out


def _against(
    one: Candidate, demand: Demand, strategy: Strategy, complexity: Class, offline: bool
) -> Iterable[Reason]:
    """All that stands against a candidate."""
    if not one.allowed:
        yield Reason.of("not_allowed")
    if one.local and strategy.kind == "api_only":
        yield Reason.of("not_api")
    if not one.local:
        yield from _against_leaving(one, demand, strategy, complexity, offline)
    for ability in sorted(demand.needs - one.abilities):
        yield Reason.of("ability", ability=ability)
    if one.room(demand) == "no":
        yield Reason.of("context", wanted=demand.whole, context=one.context)
    if one.standing.breaker == "open":
        yield Reason.of("breaker", seconds=one.standing.waits_s)
    yield from _against_limits(one, demand, strategy)


def _against_leaving(
    one: Candidate, demand: Demand, strategy: Strategy, complexity: Class, offline: bool
) -> Iterable[Reason]:
    if demand.rule == "stay":
        yield Reason.of("label", label=demand.label)
    if offline:
        yield Reason.of("offline")
    if strategy.kind == "local_only":
        yield Reason.of("not_local")
    if strategy.kind == "hybrid" and not strategy.api_fallback and complexity != "complex":
        yield Reason.of("no_fallback")
    means = demand.means
    for spending in (means, one.means):
        if not spending.open:
            yield Reason.of("budget", why=spending.why or "budget")
    if means.api_calls_left is not None and means.api_calls_left <= 0:
        yield Reason.of("api_calls", most=strategy.limits.max_api_calls_per_hour or 0)


def _against_limits(one: Candidate, demand: Demand, strategy: Strategy) -> Iterable[Reason]:
    limits = strategy.limits
    if limits.max_cost is not None:
        cost = one.cost(demand)
        if cost is None:
            yield Reason.of("cost_unknown", most=limits.max_cost)
        elif cost > limits.max_cost:
            yield Reason.of("too_dear", cost=cost, most=limits.max_cost)
    seconds = one.seconds(demand)
    if limits.max_seconds is not None and seconds is not None and seconds > limits.max_seconds:
        yield Reason.of("too_slow", seconds=seconds, most=limits.max_seconds)
