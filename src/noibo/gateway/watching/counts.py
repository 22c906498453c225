"""Numbers that only grow, kept so that counting costs next to nothing. On one event loop.

They become Prometheus' format when they are asked for: see `exposition.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

Labels = tuple[str, ...]
Numbers = list[tuple[Labels, float]]


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
        bounds = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        for bound, count in zip(bounds, self.counts, strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found


Spreads = list[tuple[Labels, Spread]]
