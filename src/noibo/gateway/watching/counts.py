"""Numbers that only grow, kept so that counting costs next to nothing. On one event loop.

They become Prometheus' format when they are asked for: see `exposition.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

Labels = tuple[str, ...]
OTHER: Final = "other"


class Counter:
    """A number for each set of labels, and no more sets than `most`: what comes then is counted
    where its model is `other`."""

    def __init__(self, *names: str, most: int) -> None:
        self.names = names
        self.values: defaultdict[Labels, float] = defaultdict(float)
        self._most = most
        self._model = names.index("model") if "model" in names else None

    def add(self, *labels: str, by: float = 1) -> None:
        """Count."""
        if labels not in self.values and len(self.values) >= self._most:
            labels = self._without_model(labels)
        self.values[labels] += by

    def _without_model(self, labels: Labels) -> Labels:
        if self._model is None:
            return labels
        return (*labels[: self._model], OTHER, *labels[self._model + 1 :])


class Spread:
    """How often which values were seen, between bounds that include their upper end."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def see(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Prometheus': each bound, and how many were not above it."""
        found, so_far = [], 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found


class Histogram:
    """A spread for each set of labels."""

    def __init__(self, bounds: Sequence[float], *names: str) -> None:
        self.names = names
        self._bounds = [float(bound) for bound in bounds]
        self.values: dict[Labels, Spread] = {}

    def see(self, value: float, *labels: str) -> None:
        """One more value."""
        spread = self.values.get(labels)
        if spread is None:
            spread = self.values[labels] = Spread(self._bounds)
        spread.see(value)
