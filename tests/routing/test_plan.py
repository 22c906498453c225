from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import NoCandidate
from noibo.routing.candidates import Candidate, Pace, Rates, Standing
from noibo.routing.demand import Chance, Demand, Means
from noibo.routing.plan import FAILURES, Outcome, Plan, make_plan
from noibo.routing.strategy import KINDS, Limits, Side, Strategy

SMALL = Candidate("small", local=True, context=4096, quality={"": 0.5})
LARGER = Candidate("larger", local=True, context=8192)
MINI = Candidate("mini", local=False, context=128_000, rates=Rates(0.15, 0.6))
HUGE = Candidate("huge", local=False, context=200_000, rates=Rates(5.0, 15.0))
BOTH = (SMALL, MINI)


def asked(p: float | None = 0.55, **more: object) -> Demand:
    return replace(Demand(tokens=100, chance=Chance(p)), **more)  # type: ignore[arg-type]


def plan(demand: Demand, *candidates: Candidate, kind: str = "hybrid", **strategy: object) -> Plan:
    chosen = Strategy(kind=kind, **strategy)  # type: ignore[arg-type]
    return make_plan("auto", demand, candidates or BOTH, chosen)


def names(found: Plan) -> list[str]:
    return [target.model for target in found.targets]


def codes(found: Plan, model: str) -> set[str]:
    (out,) = [one for one in found.ruled_out if one.candidate.name == model]
    return {reason.code for reason in out.reasons}


# ── hybrid, as the seed has it ──────────────────────────────────────────────


@pytest.mark.parametrize(
    ("p", "kind", "first", "checked"),
    [
        (0.7, "simple", "small", False),
        (0.699, "medium", "small", True),
        (0.4, "medium", "small", True),
        (0.399, "complex", "mini", False),
        (None, "medium", "small", True),
    ],
)
def test_the_seeds_three_classes(p: float | None, kind: str, first: str, checked: bool) -> None:
    found = plan(asked(p), replace(SMALL, quality={}), MINI)
    assert (found.complexity, found.first.model, found.first.check) == (kind, first, checked)


def test_who_does_not_ask_how_hard_it_is_does_not_say_it() -> None:
    one_side = [plan(asked(None), LARGER, MINI, kind=kind) for kind in ("local_only", "api_only")]
    assert [one.complexity for one in one_side] == [None, None]
    assert not any("how hard" in line for one in one_side for line in one.explain())
    assert "nobody says how hard it is" in plan(asked(None), LARGER, MINI).explain()[0]


def test_a_medium_answer_that_is_not_good_goes_to_the_api() -> None:
    found = plan(asked(0.5), SMALL, LARGER, MINI, HUGE)
    assert names(found) == ["small", "larger", "mini", "huge"]
    assert found.after(0, Outcome.UNFIT) == 2  # not to another model of the same side
    assert found.after(0, Outcome.FAILED) == 1
    assert found.after(1, Outcome.UNFIT) == 2
    assert found.after(2, Outcome.BUSY) == 3
    assert found.after(3, Outcome.SLOW) is None


@pytest.mark.parametrize("outcome", list(Outcome))
def test_nothing_follows_once_an_answer_has_begun(outcome: Outcome) -> None:
    found = plan(asked(0.5), SMALL, LARGER, MINI, HUGE)
    assert all(found.after(place, outcome, begun=True) is None for place in range(4))


def test_a_complex_one_falls_back_to_this_machine() -> None:
    found = plan(asked(0.1))
    assert names(found) == ["mini", "small"]
    assert found.after(0, Outcome.FAILED) == 1
    assert not found.first.check


def test_without_api_fallback_only_what_is_complex_leaves() -> None:
    assert names(plan(asked(0.5), api_fallback=False)) == ["small"]
    assert names(plan(asked(0.1), api_fallback=False)) == ["mini", "small"]
    assert not plan(asked(0.5), api_fallback=False).first.check  # nobody would come after


def test_each_side_has_its_own_fields() -> None:
    local, api = Side(2048, 0.2), Side(4096, 0.3)
    found = plan(asked(0.5), local=local, api=api)
    assert [target.side.fields() for target in found.targets] == [
        {"max_tokens": 2048, "temperature": 0.2},
        {"max_tokens": 4096, "temperature": 0.3},
    ]


# ── the other strategies ────────────────────────────────────────────────────


def test_local_only_and_api_only_ask_one_side() -> None:
    found = plan(asked(0.1), SMALL, LARGER, MINI, kind="local_only")
    assert names(found) == ["small", "larger"]
    assert names(plan(asked(0.9), SMALL, MINI, HUGE, kind="api_only")) == ["mini", "huge"]


def test_a_cascade_checks_all_but_the_last() -> None:
    found = plan(asked(0.9), SMALL, MINI, HUGE, kind="cascade")
    assert names(found) == ["small", "mini", "huge"]
    assert [target.check for target in found.targets] == [True, True, False]
    assert found.after(0, Outcome.UNFIT) == 1
    assert found.after(1, Outcome.UNFIT) == 2


def test_the_cheapest_that_meets_the_quality() -> None:
    fair = replace(MINI, name="fair", quality={"": 0.75}, rates=Rates(0.1, 0.2))
    good = replace(HUGE, name="good", quality={"": 0.9, "mathematics": 0.6})
    by = {"kind": "cheapest_that_meets"}
    assert plan(asked(0.5), SMALL, good, fair, quality=0.7, **by).first.model == "fair"
    assert plan(asked(0.5), SMALL, good, fair, quality=0.85, **by).first.model == "good"
    assert plan(asked(0.9), SMALL, good, fair, quality=0.85, **by).first.model == "small"
    sums = asked(0.5, task="mathematics")
    assert plan(sums, SMALL, good, fair, quality=0.7, **by).first.model == "fair"
    assert plan(sums, SMALL, good, quality=0.7, **by).first.reasons[0].code == "none_meets"


def test_a_price_that_is_unknown_is_the_dearest_and_is_named() -> None:
    known = replace(MINI, quality={"": 0.9})
    unknown = Candidate("unknown", local=False, quality={"": 0.9})
    found = plan(asked(0.1), unknown, known, kind="cheapest_that_meets", quality=0.8)
    assert names(found) == ["mini", "unknown"]
    assert [reason.code for reason in found.first.reasons] == ["cheapest", "may_be_cheaper"]


# ── what may leave, and what exists ─────────────────────────────────────────


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "api_only"])
@given(p=st.none() | st.floats(0, 1), tokens=st.integers(0, 3000))
def test_what_stays_never_has_a_target_elsewhere(kind: str, p: float | None, tokens: int) -> None:
    demand = asked(p, tokens=tokens, rule="stay", label="secret")
    found = plan(demand, MINI, SMALL, HUGE, LARGER, kind=kind)
    assert all(target.local for target in found.targets)
    assert "label" in codes(found, "mini")


def test_what_is_redacted_is_redacted_only_where_it_leaves() -> None:
    found = plan(asked(0.5, rule="redact", label="personal"))
    assert [(target.model, target.redact) for target in found.targets] == [
        ("small", False),
        ("mini", True),
    ]


@pytest.mark.parametrize("ability", ["tools", "vision", "json", "schema", "audio"])
def test_an_ability_that_is_needed_must_be_there(ability: str) -> None:
    bare = replace(SMALL, abilities=frozenset())
    able = replace(MINI, abilities=frozenset({ability}))  # type: ignore[arg-type]
    found = plan(asked(0.9, needs=frozenset({ability})), bare, able)
    assert names(found) == ["mini"]
    assert codes(found, "small") == {"ability"}


def test_vision_is_not_taken_for_granted() -> None:
    with pytest.raises(NoCandidate, match="vision") as caught:
        plan(asked(needs=frozenset({"vision"})))
    assert caught.value.status == 400


def test_sixty_thousand_tokens_go_where_there_is_room() -> None:
    found = plan(asked(0.9, tokens=60_000, counted=True))
    assert names(found) == ["mini"]
    assert codes(found, "small") == {"context"}


def test_an_estimate_does_not_rule_out_what_may_have_room() -> None:
    demand = asked(0.9, tokens=4500)
    assert names(plan(demand)) == ["small", "mini"]
    assert names(plan(demand, SMALL, LARGER, MINI))[0] == "larger"  # it has room for certain
    assert names(plan(replace(demand, counted=True))) == ["mini"]


def test_a_breaker_that_is_open_rules_out_and_half_open_does_not() -> None:
    ill = replace(MINI, standing=Standing("open", 12.0))
    assert names(plan(asked(0.1), SMALL, ill)) == ["small"]
    trial = replace(MINI, standing=Standing("half-open"))
    assert names(plan(asked(0.1), SMALL, trial)) == ["mini", "small"]


def test_without_money_this_machine_answers() -> None:
    spent = Means(open=False, why="the key's month", retry_after_s=3600)
    found = plan(asked(0.1, means=spent))
    assert names(found) == ["small"]
    assert codes(found, "mini") == {"budget"}
    assert names(plan(asked(0.1, means=Means(api_calls_left=0)))) == ["small"]
    assert names(plan(asked(0.1, means=Means(api_calls_left=1))))[0] == "mini"


def test_limits_of_a_virtual_model_rule_out() -> None:
    slow = replace(SMALL, pace=Pace(read=100, written=5))
    found = plan(asked(0.9), slow, MINI, HUGE, limits=Limits(max_cost=0.001, max_seconds=30))
    assert names(found) == ["mini"]
    assert codes(found, "small") == {"too_slow"}
    assert codes(found, "huge") == {"too_dear"}


def test_offline_is_absolute() -> None:
    found = make_plan("auto", asked(0.1), BOTH, Strategy(), offline=True)
    assert names(found) == ["small"]


# ── nothing is left ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("demand", "candidates", "status", "step"),
    [
        (asked(rule="stay", label="secret"), (MINI,), 403, "what is labelled secret stays"),
        (asked(tokens=10_000, counted=True), (SMALL,), 400, "a context of 10000 tokens"),
        (asked(means=Means(False, "the month", 60.0)), (MINI,), 429, "budget"),
        (asked(), (replace(MINI, standing=Standing("open", 7.0)),), 503, "Try again"),
        (asked(), (replace(MINI, allowed=False),), 403, "administrator"),
    ],
)
def test_where_nobody_may_and_can_the_error_says_what_it_would_take(
    demand: Demand, candidates: tuple[Candidate, ...], status: int, step: str
) -> None:
    with pytest.raises(NoCandidate) as caught:
        plan(demand, *candidates)
    assert caught.value.status == status
    assert step in caught.value.next_step


def test_the_error_says_when_to_come_back() -> None:
    ill = replace(SMALL, standing=Standing("open", 7.0))
    spent = asked(means=Means(False, "the month", 60.0))
    with pytest.raises(NoCandidate) as caught:
        plan(spent, ill, MINI)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 7.0)


def test_without_candidates_the_table_to_write_is_named() -> None:
    with pytest.raises(NoCandidate, match="has no candidates"):
        make_plan("auto", asked(), (), Strategy())


# ── all of it ───────────────────────────────────────────────────────────────

CANDIDATES = st.lists(
    st.builds(
        Candidate,
        name=st.uuids().map(str),
        local=st.booleans(),
        context=st.none() | st.integers(1, 100_000),
        rates=st.none() | st.builds(Rates, st.floats(0, 100), st.floats(0, 100)),
        quality=st.just({}) | st.floats(0, 1).map(lambda one: {"": one}),
        standing=st.sampled_from([Standing(), Standing("open", 3.0), Standing("half-open")]),
    ),
    max_size=6,
)
DEMANDS = st.builds(
    Demand,
    tokens=st.integers(0, 50_000),
    needs=st.sets(st.sampled_from(["tools", "vision"])).map(frozenset),
    chance=st.builds(Chance, st.none() | st.floats(0, 1)),
    rule=st.sampled_from(["leave", "redact", "stay"]),
    means=st.builds(Means, st.booleans(), api_calls_left=st.none() | st.integers(0, 3)),
)


@given(demand=DEMANDS, candidates=CANDIDATES, kind=st.sampled_from(KINDS))
def test_every_candidate_is_a_target_or_ruled_out_with_reasons(
    demand: Demand, candidates: list[Candidate], kind: str
) -> None:
    strategy = Strategy(kind=kind)  # type: ignore[arg-type]
    try:
        found = make_plan("auto", demand, candidates, strategy)
    except NoCandidate as error:
        assert error.status in {400, 403, 429, 503}
        return
    out = [one.candidate.name for one in found.ruled_out]
    assert sorted(names(found) + out) == sorted(one.name for one in candidates)
    assert all(target.reasons for target in found.targets)
    assert all(one.reasons for one in found.ruled_out)
    assert all(target.local or demand.rule != "stay" for target in found.targets)
    assert all(target.follows >= FAILURES for target in found.targets)
    assert found == make_plan("auto", demand, candidates, strategy)
    for language in ("en", "vi"):
        assert len(found.explain(language)) >= len(candidates)  # type: ignore[arg-type]
    for place, target in enumerate(found.targets):
        assert not target.check or found.after(place, Outcome.UNFIT) is not None


# ── what one candidate may cost, and how fast it was ────────────────────────


def test_a_candidate_without_a_budget_of_its_own_is_ruled_out_alone() -> None:
    spent = replace(MINI, means=Means(open=False, why="until midnight", retry_after_s=60))
    found = plan(asked(0.1), spent, HUGE)
    assert names(found) == ["huge"] and codes(found, "mini") == {"budget"}
    assert "until midnight" in " ".join(found.explain())
    with pytest.raises(NoCandidate) as refused:
        plan(asked(0.1), spent)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 60)


def test_a_measured_pace_rules_out_what_would_be_too_slow() -> None:
    slow = replace(SMALL, pace=Pace(read=float("inf"), written=2.0, start_s=1.0))
    found = plan(asked(0.9, answer_tokens=100), slow, MINI, limits=Limits(max_seconds=20))
    assert names(found) == ["mini"] and codes(found, "small") == {"too_slow"}
