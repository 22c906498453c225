"""What a router is worth."""

from __future__ import annotations

import numpy as np
import pytest

from noibo.evaluation.routing.bootstrap import Outcomes, apgr_above, interval
from noibo.evaluation.routing.curves import auc, calibration_error, curve

WEAK = np.array([1.0, 1.0, 0.0, 0.0])
STRONG = np.array([1.0, 1.0, 1.0, 1.0])


def test_a_router_that_knows_recovers_all_with_half_of_the_calls() -> None:
    found = curve(np.array([0.9, 0.8, 0.1, 0.2]), WEAK, STRONG)
    assert found.quality.tolist() == [0.5, 0.75, 1.0, 1.0, 1.0]
    assert found.cpt(0.5) == 0.25
    assert found.cpt(1.0) == 0.5
    assert found.apgr == pytest.approx(0.75)
    assert found.quality_at(0.125) == pytest.approx(0.625)


def test_a_router_that_knows_nothing_has_one_half_whatever_the_order_of_prompts() -> None:
    same = np.full(4, 0.5)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        found = curve(same, WEAK[order], STRONG[order])
        assert found.apgr == pytest.approx(0.5)
        assert found.cpt(0.8) == pytest.approx(1.0)  # at whole prompts: 0.8 lies beyond 3 of 4


def test_auc_counts_pairs_and_ties_a_half() -> None:
    right = np.array([1.0, 1.0, 0.0, 0.0])
    assert auc(np.array([0.9, 0.6, 0.6, 0.1]), right) == pytest.approx(3.5 / 4)
    assert auc(np.array([0.1, 0.2, 0.8, 0.9]), right) == 0.0
    assert auc(np.array([0.1, 0.2]), np.array([1.0, 1.0])) == 0.5


def test_chances_that_come_true_have_no_calibration_error() -> None:
    right = np.array([1.0, 0.0] * 50)
    assert calibration_error(np.full(100, 0.5), right, bins=1) == pytest.approx(0.0)
    assert calibration_error(np.full(100, 0.9), right, bins=1) == pytest.approx(0.4)


def made(many: int, *, knows: bool) -> Outcomes:
    random = np.random.default_rng(5)
    weak = (random.random(many) < 0.6).astype(float)
    p_local = random.random(many) + (weak if knows else 0.0)
    return Outcomes(p_local, random.random(many), weak, np.full(many, 0.95))


def test_a_router_that_knows_is_above_the_baseline_for_sure() -> None:
    found = interval([made(400, knows=True)], apgr_above)
    assert 0 < found.low < found.value < found.high


def test_one_that_does_not_is_not() -> None:
    found = interval([made(6000, knows=False)], apgr_above)
    assert found.low < 0.02
    assert abs(found.value) < 0.05
    assert interval([made(6000, knows=False)], apgr_above) == found
