from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from noibo.routing.candidates import Candidate
from noibo.routing.demand import Chance, Demand
from noibo.routing.plan import Plan, make_plan
from noibo.routing.stickiness import Conversations, Previous, turn_before
from noibo.routing.strategy import Strategy

SMALL, MINI, HUGE = (Candidate("small", True), Candidate("mini", False), Candidate("huge", False))
LOCAL, AWAY = Previous("small", True), Previous("mini", False)


def plan(p: float | None, previous: Previous | None, kind: str = "hybrid", **more: Any) -> Plan:
    demand = Demand(chance=Chance(p), **more)
    strategy = Strategy(kind=kind)  # type: ignore[arg-type]
    return make_plan("auto", demand, (SMALL, HUGE, MINI), strategy, previous)


def codes(found: Plan) -> set[str]:
    return {reason.code for reason in found.reasons}


@pytest.mark.parametrize(
    ("p", "previous", "first", "why"),
    [
        (0.75, None, "small", None),
        (0.35, None, "huge", None),
        (0.35, LOCAL, "small", "stays_with"),  # within the margin: tried, and checked
        (0.25, LOCAL, "huge", "leaves_harder"),
        (0.75, AWAY, "mini", "stays_with"),
        (0.55, AWAY, "mini", "stays_with"),
        (0.85, AWAY, "mini", "stays_with"),  # a thank-you
        (0.85, replace(AWAY, easy=True), "small", "leaves_easier"),
        (0.75, replace(AWAY, easy=True), "mini", "stays_with"),
        (0.10, AWAY, "mini", "stays_with"),  # and not the one that the user named before it
        (0.75, Previous("small", True, unfit=True), "small", "stays_with"),
        (0.55, Previous("gone", False), "small", "leaves_forgot"),
    ],
)
def test_a_side_is_left_only_beyond_the_margin(
    p: float, previous: Previous | None, first: str, why: str | None
) -> None:
    found = plan(p, previous)
    assert found.first.model == first
    assert why is None or why in codes(found)


def test_an_answer_that_was_not_good_is_checked_the_next_time() -> None:
    assert plan(0.9, Previous("small", True, unfit=True)).first.check
    assert not plan(0.9, LOCAL).first.check


def test_what_must_stay_leaves_the_model_elsewhere() -> None:
    found = plan(0.1, AWAY, rule="stay", label="secret")
    assert found.first.model == "small"
    assert "leaves_forgot" in codes(found)


def test_twenty_turns_round_a_threshold_have_one_model() -> None:
    previous, models = None, []
    for turn in range(20):
        found = plan(0.4 + (-1) ** turn * 0.05, previous)
        models.append(found.first.model)
        previous = Previous(found.first.model, found.first.local)
    assert set(models) == {"small"}


def test_hard_and_easy_turns_by_turns_have_one_model() -> None:
    strategy, previous, models = Strategy(), None, []
    for turn in range(20):
        p = 0.95 if turn % 2 else 0.05
        found = plan(p, previous)
        models.append(found.first.model)
        target = found.first
        easy = strategy.plainly_simple(p)
        previous = Previous(target.model, target.local, easy=easy)
    assert set(models) == {"huge"}


@pytest.mark.parametrize("kind", ["cascade", "api_only", "cheapest_that_meets"])
def test_other_strategies_keep_a_model_too(kind: str) -> None:
    assert plan(0.5, AWAY, kind).first.model == "mini"


def test_a_strategy_that_is_not_sticky_forgets() -> None:
    demand = Demand(chance=Chance(0.75))
    found = make_plan("auto", demand, (SMALL, MINI), Strategy(sticky=False), AWAY)
    assert found.first.model == "small"


# ── what is remembered ──────────────────────────────────────────────────────


def turns(*contents: str) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": one} for n, one in enumerate(contents)]


def test_the_next_request_of_a_conversation_is_known() -> None:
    kept = Conversations()
    first = turns("hi")
    kept.remember("key", first, LOCAL)
    assert kept.recall("key", turns("hi", "hello", "and now?")) == LOCAL
    assert kept.recall("key", turns("hi")) is None  # a new one that begins alike
    assert kept.recall("key", turns("ho", "hello", "and now?")) is None
    assert kept.recall("another", turns("hi", "hello", "and now?")) is None
    assert len(kept) == 1


def test_results_of_tools_belong_to_the_turn_before() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    result = {"role": "tool", "tool_call_id": "1", "content": "21 °C"}
    assert turn_before([*turns("weather?"), called, result]) == turns("weather?")


def test_an_answer_in_several_parts_is_one() -> None:
    parts = [{"role": "assistant", "content": one} for one in ("thought", "hello")]
    assert turn_before([*turns("hi"), *parts, *turns("and now?")]) == turns("hi")
    assert turn_before([{"role": "assistant", "content": "hello"}, *turns("hi")]) == []


def test_only_so_many_are_remembered_and_no_text_is() -> None:
    kept = Conversations(most=3)
    for number in range(5):
        kept.remember("", turns(f"my secret {number}"), AWAY)
    assert len(kept) == 3
    assert kept.recall("", turns("my secret 0", "a", "b")) is None
    assert "secret" not in repr(kept._found)
