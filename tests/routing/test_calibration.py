"""Chances fitted to one's own model."""

from __future__ import annotations

import math
import random

import pytest

from noibo.routing.calibration import Calibration, Outcome, calibrate


def drawn(many: int, slope: float, offset: float) -> list[Outcome]:
    """Outcomes of a model that is as good as that."""
    dice = random.Random(3)
    outcomes = []
    for _ in range(many):
        odds = dice.gauss(0.8, 1.0)
        p_raw = 1 / (1 + math.exp(-odds))
        p_own = 1 / (1 + math.exp(-(slope * odds + offset)))
        outcomes.append(Outcome(p_raw, float(dice.random() < p_own)))
    return outcomes


def test_without_outcomes_the_chance_is_as_shipped_and_unsure() -> None:
    own = calibrate([]).of(0.8)
    assert own.p == pytest.approx(0.8)
    assert own.sure < 0.5


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.6, -1.0), (1.3, 0.7)])
def test_many_outcomes_show_what_the_model_is(slope: float, offset: float) -> None:
    found = calibrate(drawn(4000, slope, offset))
    for p_raw in (0.3, 0.6, 0.9):
        odds = math.log(p_raw / (1 - p_raw))
        truth = 1 / (1 + math.exp(-(slope * odds + offset)))
        own = found.of(p_raw)
        assert own.p == pytest.approx(truth, abs=0.05)
        assert own.low < truth < own.high


def test_each_outcome_makes_it_surer() -> None:
    outcomes = drawn(400, 1.0, -0.5)
    sure = [calibrate(outcomes[:many]).of(0.7).sure for many in (0, 10, 50, 400)]
    assert sure == sorted(sure)


def test_a_few_outcomes_move_it_a_little() -> None:
    assert 0.5 < calibrate([Outcome(0.8, 0.0)] * 2).of(0.8).p < 0.8


def test_the_order_of_outcomes_does_not_matter() -> None:
    outcomes = drawn(100, 0.8, -0.3)
    there, back = calibrate(outcomes), calibrate(outcomes[::-1])
    assert there.slope == pytest.approx(back.slope)
    assert there.offset == pytest.approx(back.offset)


def test_a_vote_counts_less_than_a_check() -> None:
    voted = calibrate([Outcome(0.8, 0.0, weight=0.2)] * 10).of(0.8).p
    checked = calibrate([Outcome(0.8, 0.0)] * 10).of(0.8).p
    assert checked < voted < 0.8


def test_what_is_harder_never_gets_a_better_chance() -> None:
    upside_down = [Outcome(0.1, 1.0)] * 300 + [Outcome(0.9, 0.0)] * 300
    found = calibrate(upside_down)
    assert found.of(0.2).p <= found.of(0.8).p


@pytest.mark.parametrize("p_raw", [0.0, 1.0, 0.5])
def test_extreme_chances_stay_finite(p_raw: float) -> None:
    own = calibrate([Outcome(p_raw, 1.0)] * 1000).of(p_raw)
    assert 0 < own.low <= own.p <= own.high < 1


def test_what_is_no_number_is_left_out() -> None:
    assert calibrate([Outcome(math.nan, 1.0), Outcome(0.5, math.inf)]) == Calibration(
        variance=calibrate([]).variance
    )
