"""`p_local` fitted to the user's own local model, from what became of its answers.

The shipped weights compare Mixtral with GPT-4. A model of the user's own is better or worse, and
more or less so on hard prompts: two numbers, a slope and an offset of log-odds, begin at "as
shipped" and are moved by outcomes (Bayesian logistic regression, Laplace's approximation; after
Platt, 1999). A few outcomes move them little, and the interval says how little is known.

Pure: pairs in, values out. Whoever keeps the outcomes keeps them elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from noibo.routing.reasons import Told

OFFSET_SPREAD: Final = 1.0  # standard deviations of what is believed before any outcome
SLOPE_SPREAD: Final = 0.4
DRIFT: Final = 0.3  # of log-odds: what no outcomes take away, prompts of one score not being alike
_STEPS: Final = 50
_LIKELY: Final = 1.959964  # standard deviations of 95 %


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one answer: `p_raw` as the shipped weights said, `right` 0 to 1 (a judge may
    be half sure), `weight`: how far it is trusted (a check of the answer 1, a vote less)."""

    p_raw: float
    right: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Own:
    """A chance for one's own model, where it lies with 95 %, and how sure that is, 0 to 1."""

    p: float
    low: float
    high: float

    @property
    def sure(self) -> float:
        """1 less the width of the interval."""
        return 1 - (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log-odds become `slope` × odds + `offset`; `variance` of the two and of both together."""

    slope: float = 1.0
    offset: float = 0.0
    variance: tuple[float, float, float] = (SLOPE_SPREAD**2, OFFSET_SPREAD**2, 0.0)
    outcomes: int = 0

    def of(self, p_raw: float) -> Own:
        """A shipped chance as that of the own model."""
        odds = _odds(p_raw)
        middle = self.slope * odds + self.offset
        of_slope, of_offset, both = self.variance
        spread = odds * odds * of_slope + of_offset + 2 * odds * both + DRIFT**2
        reach = _LIKELY * math.sqrt(spread)
        return Own(_chance(middle), _chance(middle - reach), _chance(middle + reach))


def calibrate(outcomes: Iterable[Outcome]) -> Calibration:
    """From all outcomes, whatever their order. None: as shipped, and not at all sure."""
    seen = [
        (_odds(one.p_raw), min(max(one.right, 0.0), 1.0), one.weight)
        for one in outcomes
        if one.weight > 0 and math.isfinite(one.p_raw) and math.isfinite(one.right)
    ]
    slope, offset = 1.0, 0.0
    for _ in range(_STEPS):
        (of_slope, of_offset, both), (down_slope, down_offset) = _bend(seen, slope, offset)
        area = of_slope * of_offset - both * both
        step_slope = (of_offset * down_slope - both * down_offset) / area
        step_offset = (of_slope * down_offset - both * down_slope) / area
        size = max(1.0, abs(step_slope), abs(step_offset))  # never a wild step
        slope, offset = slope - step_slope / size, offset - step_offset / size
        if abs(step_slope) + abs(step_offset) < 1e-10:
            break
    (of_slope, of_offset, both), _ = _bend(seen, slope, offset)
    area = of_slope * of_offset - both * both
    variance = (of_offset / area, of_slope / area, -both / area)
    if slope < 0:  # hard prompts are not easy for anybody: then the score says nothing
        slope = 0.0
    return Calibration(slope, offset, variance, len(seen))


def own_answers(fitted: Mapping[str, Calibration | None]) -> list[Told]:
    """By how many of their own answers chances were fitted."""
    told = "{}: from {} of your own answers", "{}: theo {} câu trả lời của chính bạn"
    known = ((name, one.outcomes) for name, one in fitted.items() if one is not None)
    return [(told[0].format(*one), told[1].format(*one)) for one in known]


def _bend(
    seen: list[tuple[float, float, float]], slope: float, offset: float
) -> tuple[tuple[float, float, float], tuple[float, float]]:
    """Second and first derivatives of what is to be least."""
    of_slope, of_offset, both = 1 / SLOPE_SPREAD**2, 1 / OFFSET_SPREAD**2, 0.0
    down_slope, down_offset = (slope - 1) * of_slope, offset * of_offset
    for odds, right, weight in seen:
        chance = _chance(slope * odds + offset)
        curve, miss = weight * chance * (1 - chance), weight * (chance - right)
        of_slope, of_offset = of_slope + curve * odds * odds, of_offset + curve
        both += curve * odds
        down_slope, down_offset = down_slope + miss * odds, down_offset + miss
    return (of_slope, of_offset, both), (down_slope, down_offset)


def _odds(p: float) -> float:
    held = min(max(p, 0.0025), 0.9975)
    return math.log(held / (1 - held))


def _chance(odds: float) -> float:
    return 1 / (1 + math.exp(-min(max(odds, -30.0), 30.0)))
