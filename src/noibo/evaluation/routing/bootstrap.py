"""How sure a router's number is, and the difference of two on the same prompts, by bootstrap.

Prompts are drawn anew, for both routers the same ones (paired); several sets are drawn each for
itself, and the mean over the sets is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from noibo.evaluation.routing.curves import curve

Floats = np.ndarray[Any, np.dtype[np.float64]]
RESAMPLES: Final = 1000
SEED: Final = 20_261_123


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and where it lies with 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One set: the router's `p_local`, the baseline's, and how good both models' answers were."""

    p_local: Floats
    baseline: Floats
    weak: Floats
    strong: Floats

    def drawn(self, picks: Any) -> Outcomes:
        """Some of them."""
        return Outcomes(
            self.p_local[picks], self.baseline[picks], self.weak[picks], self.strong[picks]
        )


def interval(sets: Sequence[Outcomes], measure: Callable[[Outcomes], float]) -> Interval:
    """The mean of a measure over sets."""
    random = np.random.default_rng(SEED)
    draws = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        drawn = [one.drawn(random.integers(0, len(one.weak), len(one.weak))) for one in sets]
        draws[number] = np.mean([measure(one) for one in drawn])
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Interval(float(np.mean([measure(one) for one in sets])), float(low), float(high))


def apgr(one: Outcomes) -> float:
    """Of the router."""
    return curve(one.p_local, one.weak, one.strong).apgr


def baseline_apgr(one: Outcomes) -> float:
    """Of the baseline."""
    return curve(one.baseline, one.weak, one.strong).apgr


def apgr_above(one: Outcomes) -> float:
    """How far the router is above the baseline."""
    return apgr(one) - baseline_apgr(one)


def cpt(share: float) -> Callable[[Outcomes], float]:
    """Of the router, at a share of the gap."""
    return lambda one: curve(one.p_local, one.weak, one.strong).cpt(share)
