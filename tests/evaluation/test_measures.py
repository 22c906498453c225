"""From answers to figures: rates of the time in which all were busy, failures in none of them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import cast

import pytest

from noibo.client import AsyncClient
from noibo.evaluation.answer import Kind
from noibo.evaluation.cost import Machine, Tariff
from noibo.evaluation.measures import Measured, measured
from noibo.evaluation.notes import notes
from noibo.evaluation.ours import Ours
from noibo.evaluation.report import as_csv
from noibo.evaluation.rounds import Plan, Standing
from noibo.evaluation.sides import DIALECTS
from noibo.modelstore.printable import shown
from tests.evaluation.made import answer, failure, report, round_of, standing


def only(*standings: Standing) -> Measured:
    """What was measured of the last one."""
    return measured(standings, Machine())[-1]


def value(row: Measured, key: str) -> float:
    found = row.figures[key].value
    assert found is not None
    return found


def kinds(one: Standing, **plan: int) -> list[str]:
    return [note.kind for note in notes([one], Plan((1,), tokens=plan.get("tokens", 10)))]


def test_figures_of_an_even_pace() -> None:
    row = only(standing("a", *(round_of(number) for number in range(1, 6))))
    assert value(row, "first_p50") == pytest.approx(0.1)
    assert value(row, "between_p50") == pytest.approx(0.1)
    assert value(row, "stall_p50") == pytest.approx(0.1)
    assert value(row, "caller_rate") == pytest.approx(10.0)
    assert value(row, "rate") == pytest.approx(10.0)
    assert value(row, "answers_rate") == pytest.approx(1.0)
    assert value(row, "latency_p50") == pytest.approx(1.0)
    assert row.figures["latency_p99"].lacks == 100
    assert (row.answers, row.failures, row.ratios) == (20, {}, {})


def test_what_came_after_the_callers_were_busy_is_not_in_the_rate() -> None:
    """Two callers; one has ended at 1 s, and the other goes on alone until 2 s."""
    one = round_of(1, answers=1)
    one.answers.append(answer(0.0, every=0.2))
    one.busy_until = 1.0
    row = only(standing("a", one, callers=2))
    assert value(row, "rate") == pytest.approx(10 + 5)
    assert value(row, "answers_rate") == pytest.approx(1.5)
    assert row.figures["latency_p50"].n == 2


def test_failures_are_counted_by_kind_and_change_no_figure() -> None:
    clean = only(standing("a", round_of(1)))
    one = round_of(1)
    one.failures = [failure(), failure(), failure(Kind.TOO_MANY)]
    row = only(standing("a", one))
    assert row.failures == {"server error": 2, "too many requests": 1}
    assert row.figures == clean.figures


def test_a_round_that_was_stopped_is_in_no_rate() -> None:
    stopped = round_of(2, every=0.5)
    stopped.whole = False
    row = only(standing("a", round_of(1), stopped))
    assert row.figures["rate"].n == 1
    assert value(row, "rate") == pytest.approx(10.0)
    assert row.figures["latency_p50"].n == 8


def test_ratios_are_of_rounds_that_both_have() -> None:
    ours = standing("a", *(round_of(number) for number in range(1, 6)))
    slow = [round_of(number, every=0.2) for number in range(2, 6)]
    row = only(ours, standing("b", *slow))
    assert row.ratios["rate"].n == 4
    assert row.ratios["rate"].value == pytest.approx(0.5)
    assert row.ratios["latency_p50"].value == pytest.approx(2.0)
    assert "said_p50" not in row.ratios


def test_a_side_without_an_answer_is_in_the_table_with_nothing() -> None:
    row = only(standing("a", round_of(1)), standing("b"))
    assert row.answers == 0
    assert all(found.value is None for found in row.figures.values())
    assert row.cost is None


def test_thoughts_have_a_figure_of_their_own() -> None:
    one = round_of(1)
    one.answers = [replace(got, thought=True, said=got.pieces[4]) for got in one.answers]
    row = only(standing("a", one))
    assert value(row, "first_p50") == pytest.approx(0.1)
    assert value(row, "said_p50") == pytest.approx(0.5)


def test_what_another_machine_answers_costs_nothing_of_this_one() -> None:
    one = standing("a", round_of(1))
    assert only(one).cost is not None
    one.side = replace(one.side, elsewhere=True)
    assert only(one).cost is None


def test_a_service_costs_what_its_tariff_says() -> None:
    one = standing("a", round_of(1))
    one.side = replace(one.side, tariff=Tariff(1.0, 2.0))
    cost = only(one).cost
    assert cost is not None
    assert cost.per_million == pytest.approx(2.0 + 12.8)
    assert cost.electricity is None


def test_hidden_thoughts_are_paid_for_and_unknown_prompts_have_no_price() -> None:
    one = standing("a", round_of(1, billed=50))
    one.side = replace(one.side, tariff=Tariff(1.0, 2.0))
    cost = only(one).cost
    assert cost is not None
    assert cost.per_million == pytest.approx(5 * 2.0 + 12.8)
    got = one.cells[1].rounds[0].answers
    got[0] = replace(got[0], prompt_tokens=None)
    assert only(one).cost is None


def test_an_answer_of_one_piece_has_no_pace() -> None:
    one = round_of(1)
    one.answers = [answer(0.0, tokens=1)]
    row = only(standing("a", one))
    assert row.figures["between_p50"].n == 0
    assert row.figures["caller_rate"].value is None
    assert row.figures["first_p50"].n == 1


# ── what must be known of the figures ───────────────────────────────────────


def test_nothing_is_said_of_what_is_as_it_was_asked() -> None:
    assert kinds(standing("a", round_of(1))) == ["own"]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"by_usage": False}, "by_pieces"),
        ({"model": "another"}, "answered_as"),
        ({"prompt_tokens": 300}, "prompt"),
        ({"prompt_tokens": None}, "prompt_unknown"),
        ({"cached_tokens": 100}, "cached"),
    ],
)
def test_what_is_not_as_it_was_asked_is_said(changed: dict[str, object], kind: str) -> None:
    assert kind in kinds(standing("a", round_of(1, **changed)))


def test_of_the_many_names_of_a_server_a_few_are_said() -> None:
    one = round_of(1, answers=20)
    one.answers = [replace(got, model=f"m{at}") for at, got in enumerate(one.answers)]
    (note,) = [n for n in notes([standing("a", one)], Plan((1,))) if n.kind == "answered_as"]
    assert note.values["by"] == "m0, m1, m2, m3, m4, m5, m6, m7 …"
    rows = list(csv.DictReader(io.StringIO(as_csv(report(standing("a", one))))))
    assert rows[0]["answered_as"] == "m0 m1 m2 m3 m4 m5 m6 m7 …"


def test_a_model_of_ours_that_an_engine_was_named_for_answers_as_itself() -> None:
    one = standing("a", round_of(1))
    one.side = replace(one.side, model="m@vllm")
    assert "answered_as" in kinds(one)
    one.side = replace(one.side, host=Ours(cast("AsyncClient", None)))
    assert "answered_as" not in kinds(one)


def test_a_long_name_is_the_one_that_was_asked_for() -> None:
    one = standing("a", round_of(1, model=shown("m" * 300)))
    one.side = replace(one.side, model="m" * 300)
    assert "answered_as" not in kinds(one)


def test_short_answers_are_told_with_why() -> None:
    assert "short" in kinds(standing("a", round_of(1)), tokens=64)
    own_end = standing("a", round_of(1), dialect=DIALECTS[1])
    assert "short_own_end" in kinds(own_end, tokens=64)
    assert "no_ignore_eos" in kinds(own_end)


def test_a_bench_that_was_busy_itself_says_so() -> None:
    one = round_of(1)
    one.late_s = 0.2
    assert kinds(standing("a", one))[-1] == "own_late"
    one.cpu_share = 0.8
    assert kinds(standing("a", one))[-1] == "own_slow"


def test_failures_are_told_once_a_kind_with_what_the_first_said() -> None:
    one = round_of(1)
    one.failures = [failure(said="first"), failure(said="second")]
    (note,) = [note for note in notes([standing("a", one)], Plan((1,))) if note.kind == "failed"]
    assert note.values == {"many": 2, "kind": "server error", "said": "first"}
