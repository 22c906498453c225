"""What this machine teaches: how far predictions were off, and what that says of the next one.

Every load leaves a prediction and a measurement. The middle of their ratios corrects what has not
been measured yet: the middle, so that one odd measurement changes little; each model counts once,
however often it was loaded; and one doubt (a ratio of 1) is always among them, so that few models
change little too. Memory and speeds are learned alike.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final = 0.5, 2.0  # no correction is ever larger
LEAST_SPREAD: Final = 0.02  # a measurement itself is not surer


@dataclass(frozen=True, slots=True)
class Sample:
    """What was predicted of a model in one setting, and what was measured."""

    model: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        return self.measured / self.predicted


@dataclass(frozen=True, slots=True)
class Learned:
    """Predictions are multiplied by `scale`; `spread` is how far off they still are, as a part of
    them. Without samples it is the doubt that one begins with."""

    scale: float = 1.0
    spread: float = 0.1
    samples: int = 0
    models: int = 0

    def apply(self, predicted: float) -> float:
        return predicted * self.scale

    def words(self) -> str:
        """How it was learned, for people."""
        if not self.samples:
            return "nothing was measured here yet"
        models = "1 model" if self.models == 1 else f"{self.models} models"
        times = "once" if self.samples == 1 else f"{self.samples} times"
        return (
            f"x{self.scale:.3f}, the middle of what {models} measured {times} taught; "
            f"they differ by {self.spread:.1%}"
        )


@dataclass(frozen=True, slots=True)
class Correction:
    """What is known of this machine: memory that workers hold, and tokens/s read and written."""

    memory: Learned = field(default_factory=Learned)
    prefill: Learned = field(default_factory=lambda: Learned(spread=0.5))
    decode: Learned = field(default_factory=lambda: Learned(spread=0.5))


NONE: Final = Correction()


def learn(
    samples: Iterable[Sample], doubt: float = 0.1, bounds: tuple[float, float] = BOUNDS
) -> Learned:
    """The correction that samples teach; `doubt` is the spread of what was never measured."""
    good = [one for one in samples if one.predicted > 0 and one.measured > 0]
    by_model = defaultdict(list)
    for one in good:
        by_model[one.model].append(one.ratio)
    if not by_model:
        return Learned(spread=doubt)
    middles = [statistics.median(ratios) for ratios in by_model.values()]
    least, most = bounds
    scale = min(max(statistics.median([*middles, 1.0]), least), most)
    off = [abs(one.ratio / scale - 1) for one in good]
    seen = max(sorted(off)[int(0.9 * (len(off) - 1))], LEAST_SPREAD)
    models = len(middles)
    spread = min((doubt + models * seen) / (1 + models), max(doubt, seen))
    return Learned(scale, spread, len(good), models)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One sample, predicted by what all other models taught. Errors as parts of the measured."""

    sample: Sample
    plain: float
    corrected: float


def leave_one_model_out(samples: Sequence[Sample], doubt: float = 0.1) -> list[LeftOut]:
    """How well the correction does for a model that it has never seen."""
    found = []
    for one in samples:
        learned = learn([other for other in samples if other.model != one.model], doubt)
        plain = one.predicted / one.measured - 1
        found.append(LeftOut(one, plain, learned.apply(one.predicted) / one.measured - 1))
    return found
