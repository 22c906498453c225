"""Quantiles, rates and ratios, and what is not said for want of values."""

from __future__ import annotations

import random
import statistics

import numpy as np
import pytest

from noibo.evaluation.statistics import (
    Estimate,
    Quantile,
    Rate,
    estimate,
    least_for,
    least_for_interval,
    percentile,
    ratio,
)


def rounds(
    mean: float, *, spread: float = 1.0, drift: float = 0.0, seed: int = 1
) -> list[list[float]]:
    """Six rounds of forty values around a mean; `drift` moves each round as a whole."""
    rng = random.Random(seed)
    drifts = random.Random(99)
    moved = [drifts.gauss(0, drift) if drift else 0.0 for _ in range(6)]
    return [[mean + by + rng.gauss(0, spread) for _ in range(40)] for by in moved]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 0.99, 1.0])
def test_a_percentile_is_numpys(share: float) -> None:
    values = [random.Random(3).gauss(0, 1) for _ in range(37)]
    assert percentile(values, share) == pytest.approx(float(np.quantile(values, share)))
    assert percentile([5.0], share) == 5.0


def test_the_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_p99_takes_a_hundred_values() -> None:
    assert [least_for(share) for share in (0.5, 0.9, 0.95, 0.99)] == [1, 10, 20, 100]
    values = [float(value) for value in range(20)]
    assert estimate(Quantile([values], 0.99)) == Estimate(None, n=20, lacks=100)
    enough = estimate(Quantile([values] * 5, 0.99))
    assert enough.value == 19.0
    assert enough.lacks is None


def test_of_nothing_nothing_is_said() -> None:
    assert estimate(Quantile([])) == Estimate(None, lacks=0)
    assert estimate(Rate([])) == Estimate(None, lacks=0)
    assert estimate(Rate([(5.0, 0.0)])).value is None


def test_few_values_have_no_interval() -> None:
    few = estimate(Quantile([[1.0, 2.0], [3.0, 4.0]]))
    assert (few.value, few.low, few.high) == (2.5, None, None)
    fast = estimate(Rate([(10.0, 1.0), (20.0, 1.0), (30.0, 1.0)]))
    assert (fast.value, fast.low) == (20.0, None)


def test_an_interval_takes_values_on_both_sides() -> None:
    shares = (0.5, 0.9, 0.1, 0.99, 0.0, 1.0)
    assert [least_for_interval(share) for share in shares[:4]] == [6, 36, 36, 368]
    for share in shares[1:4]:  # so many that one lies beyond it in all but one of forty cases
        many, beyond = least_for_interval(share), max(share, 1 - share)
        assert beyond**many <= 0.025 < beyond ** (many - 1)
    for share in shares[4:]:
        assert estimate(Quantile(rounds(10.0), share)).low is None


def test_a_p99_without_an_interval_is_shown_and_compared_without_one() -> None:
    values = [float(value) for value in range(92)]
    few, enough = (Quantile([values] * 3 + [values[:last]], 0.99) for last in (91, 92))
    assert estimate(few).value is not None
    assert estimate(few).low is None
    assert estimate(enough).low is not None
    for ours, theirs in ((few, enough), (enough, few)):
        assert ratio(ours, theirs).value is not None
        assert ratio(ours, theirs).low is None
    assert ratio(enough, enough).low is not None


def test_few_rounds_have_no_interval_however_many_values_they_have() -> None:
    """What drifts from round to round is not seen in them, so nothing is surely better."""
    groups = rounds(10.0)
    assert estimate(Quantile(groups[:3])).low is None
    assert estimate(Quantile(groups[:4])).low is not None
    apart = ratio(Quantile(groups[:1]), Quantile([[value * 2 for value in groups[0]]]))
    assert apart.value == pytest.approx(0.5)
    assert (apart.low, apart.high) == (None, None)


def test_an_interval_is_of_the_size_that_theory_says() -> None:
    found = estimate(Quantile(rounds(10.0, spread=1.0)))
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    # a median of 240 normal values: ±1.96 × 1.2533/√240 = ±0.159
    assert 0.2 < found.high - found.low < 0.5


def test_intervals_cover_what_is_true() -> None:
    """Of sixty intervals that are right in 95 of 100 cases, few are wrong."""
    covered = 0
    for seed in range(60):
        found = estimate(Quantile(rounds(10.0, seed=1000 + seed)))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 10.0 <= found.high
    assert covered >= 52


def test_rounds_that_differ_widen_the_interval() -> None:
    still, moving = (estimate(Quantile(rounds(10.0, drift=drift))) for drift in (0.0, 2.0))
    assert still.high and still.low and moving.high and moving.low
    assert moving.high - moving.low > 3 * (still.high - still.low)


def test_a_ratio_is_of_both_sides_uncertainty() -> None:
    """The same ratio with a sure and an unsure side below it: the second is less sure."""
    sure = ratio(Quantile(rounds(20.0)), Quantile(rounds(10.0, spread=0.01, seed=2)))
    unsure = ratio(Quantile(rounds(20.0)), Quantile(rounds(10.0, spread=4.0, seed=2)))
    assert sure.value == pytest.approx(2.0, rel=0.05)
    assert sure.high and sure.low and unsure.high and unsure.low
    assert unsure.high - unsure.low > 2 * (sure.high - sure.low)


def test_what_drifts_for_both_does_not_blur_their_ratio() -> None:
    ours = Quantile(rounds(20.0, drift=3.0, spread=0.1, seed=1))
    theirs = Quantile(rounds(20.0, drift=3.0, spread=0.1, seed=2))
    together = ratio(ours, theirs)
    apart = ratio(ours, Quantile(theirs.groups[:-1]))
    assert together.high and together.low and apart.high and apart.low
    assert together.high - together.low < 0.2 * (apart.high - apart.low)
    assert together.low < 1 < together.high


def test_a_ratio_to_nothing_is_none() -> None:
    assert ratio(Quantile([[1.0] * 9]), Quantile([[0.0] * 9])).value is None
    assert ratio(Quantile([[1.0] * 9]), Quantile([])) == Estimate(None, lacks=0)
    assert ratio(Quantile([[1.0] * 9], 0.99), Quantile([[1.0] * 200], 0.99)).lacks == 100


def test_a_rate_is_all_by_all_and_not_the_mean_of_rates() -> None:
    parts = [(100.0, 1.0), (100.0, 3.0), (100.0, 1.0), (100.0, 3.0)]
    found = estimate(Rate(parts))
    assert found.value == 50.0
    assert found.value != statistics.mean(much / long for much, long in parts)
    assert found.low is not None
    assert 30 < found.low < 50


def test_the_same_values_give_the_same_interval() -> None:
    groups = rounds(10.0)
    assert estimate(Quantile(groups)) == estimate(Quantile(groups))


def test_rounds_of_different_lengths_are_drawn_as_long_as_they_are() -> None:
    found = estimate(Quantile([[1.0] * 3, [1.0] * 50, [1.0], [1.0]]))
    assert (found.value, found.low, found.high, found.n) == (1.0, 1.0, 1.0, 55)
