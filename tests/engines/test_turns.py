from __future__ import annotations

import math

from noibo.engines.supervision.claim import Priority
from noibo.engines.supervision.turns import (
    LINGER,
    TURN,
    Decision,
    Resident,
    Wanted,
    decide,
    due_at,
)

NOW = 1000.0
GB = 2**30


def resident(name: str = "old", size: int = GB, **facts: object) -> Resident:
    told = {"load_s": 1.0, "ready_at": 0.0, "used_at": 0.0, "idle_since": 0.0} | facts
    return Resident(name, size, **told)  # type: ignore[arg-type]


def wanted(size: int = GB, since: float = NOW, priority: Priority = Priority.INTERACTIVE) -> Wanted:
    return Wanted("new", size, 1.0, since, priority)


def test_what_fits_is_started() -> None:
    assert decide(wanted(), [], GB, NOW) == Decision(start=True)


def test_a_long_idle_model_gives_way_at_once() -> None:
    assert decide(wanted(), [resident()], 0, NOW) == Decision(evict=("old",))


def test_the_least_recently_used_goes_first() -> None:
    models = [resident("a", used_at=3.0), resident("b", used_at=1.0), resident("c", used_at=2.0)]
    assert decide(wanted(), models, 0, NOW).evict == ("b",)


def test_no_more_go_than_are_needed() -> None:
    models = [resident("small", GB // 10, used_at=1.0), resident("large", GB, used_at=2.0)]
    assert decide(wanted(), models, 0, NOW).evict == ("large",)


def test_several_go_where_one_is_too_small() -> None:
    models = [resident(name, GB // 2, used_at=i) for i, name in enumerate("abc")]
    assert decide(wanted(), models, 0, NOW).evict == ("a", "b")


def test_a_pinned_model_stays() -> None:
    assert decide(wanted(), [resident(pinned=True)], 0, NOW) == Decision(impossible=True)
    models = [resident("a", pinned=True, used_at=0.0), resident("b", used_at=5.0)]
    assert decide(wanted(), models, 0, NOW).evict == ("b",)


def test_a_busy_model_is_never_evicted() -> None:
    busy = resident(idle_since=None, ready_at=NOW - 0.5)
    decision = decide(wanted(), [busy], 0, NOW)
    assert decision.evict == () == decision.drain
    assert decision.again_at == due_at(busy, wanted())


def test_a_busy_model_finishes_what_it_has_when_its_turn_is_over() -> None:
    busy = resident(idle_since=None, ready_at=0.0)
    assert decide(wanted(since=NOW - 100), [busy], 0, NOW) == Decision(drain=("old",))


def test_a_turn_is_several_times_what_the_change_costs() -> None:
    busy = resident(idle_since=None, ready_at=NOW, load_s=3.0)
    assert due_at(busy, wanted(since=NOW - 100)) == NOW + TURN * (3.0 + 1.0)


def test_a_model_that_was_loaded_long_ago_still_has_the_time_of_a_change() -> None:
    # So that requests for the new one gather, and are served together.
    busy = resident(idle_since=None, ready_at=0.0, load_s=3.0)
    assert due_at(busy, wanted(since=NOW)) == NOW + 4.0


def test_a_model_that_has_just_fallen_idle_is_left_alone_for_a_moment() -> None:
    just = resident(idle_since=NOW - 0.01, ready_at=NOW - 1, load_s=1.0)
    assert decide(wanted(), [just], 0, NOW).again_at == NOW - 0.01 + LINGER
    assert decide(wanted(), [just], 0, NOW + LINGER).evict == ("old",)


def test_an_idle_model_is_not_left_alone_when_its_turn_is_over() -> None:
    just = resident(idle_since=NOW - 0.01, ready_at=0.0)
    assert decide(wanted(since=NOW - 100), [just], 0, NOW).evict == ("old",)


def test_batch_requests_are_more_patient() -> None:
    busy = resident(idle_since=None, ready_at=NOW - 20)
    assert decide(wanted(since=NOW - 20), [busy], 0, NOW).drain == ("old",)
    patient = wanted(since=NOW - 20, priority=Priority.BATCH)
    assert decide(patient, [busy], 0, NOW).drain == ()


def test_what_is_leaving_is_waited_for() -> None:
    models = [resident("going", leaving=True, idle_since=None), resident("idle")]
    assert decide(wanted(), models, 0, NOW) == Decision()


def test_what_starts_is_let_start() -> None:
    starting = resident(starting=True, idle_since=None, ready_at=math.inf)
    decision = decide(wanted(), [starting], 0, NOW)
    assert decision == Decision(again_at=None)


def test_what_can_never_fit_is_said() -> None:
    assert decide(wanted(3 * GB), [resident()], GB, NOW).impossible
