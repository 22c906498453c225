"""How long answers and loads take here, and what that means for one who waits.

Only for telling callers the truth about their wait: nothing is decided by it alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final

LATELY: Final = 64  # answers that count in the slower of the two means
WEIGHT: Final = 0.2  # of the newest measurement in the running mean
BYTES_PER_S: Final = 400e6  # a load that was never measured: reading from a slow disk
LEAST_LOAD_S: Final = 1.0


class Times:
    """Running means for each model."""

    def __init__(self) -> None:
        self._answers: dict[str, float] = {}
        self._loads: dict[str, float] = {}
        self._usual: dict[str, tuple[int, float]] = {}

    def answered(self, model: str, seconds: float) -> None:
        """An answer took so long."""
        old = self._answers.get(model, seconds)
        self._answers[model] = old + WEIGHT * (seconds - old)
        count, mean = self._usual.get(model, (0, 0.0))
        count = min(count + 1, LATELY)
        self._usual[model] = count, mean + (seconds - mean) / count

    def loaded(self, model: str, seconds: float) -> None:
        """A load took so long."""
        self._loads[model] = seconds

    def answer_s(self, model: str) -> float | None:
        """How long an answer takes; None: none was given yet."""
        return self._answers.get(model)

    def usual_s(self, model: str, under_way: Sequence[float]) -> float | None:
        """The same, over more answers: for what is promised far ahead. Those that have not ended
        count with what they took so far (as in survival analysis): the first to end are short."""
        count, mean = self._usual.get(model, (0, 0.0))
        return mean + sum(under_way) / count if count else None

    def load_s(self, model: str, size: int) -> float:
        """How long a load takes, by the last one; by the model's bytes where there was none."""
        return self._loads.get(model) or max(size / BYTES_PER_S, LEAST_LOAD_S)


def wait_s(place: int, slots: int, under_way: Sequence[float], answer_s: float | None) -> float:
    """Seconds until the request at `place` gets a slot.

    `under_way`: for how long the present answers have run. An answer that already takes longer than
    the mean is taken to need a quarter more; before any has ended (`answer_s` None) one that
    runs is taken to be in its middle.
    """
    mean = answer_s if answer_s is not None else 2 * max([*under_way, 0.5])
    free = [0.0] * max(slots - len(under_way), 0)
    ends = free + [max(mean - ran, max(mean, ran) / 4) for ran in under_way]
    heapq.heapify(ends)
    for _ in range(place - 1):
        heapq.heapreplace(ends, ends[0] + mean)
    return ends[0] if ends else mean * place
