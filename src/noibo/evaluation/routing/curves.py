"""What a router is worth: cost-quality curves, APGR and CPT as RouteLLM defines them (Ong et al.,
RouteLLM: Learning to Route LLMs with Preference Data, 2024, section 3).

Prompts go to the strong model from the least `p_local` on. Cost is the share of prompts that go
there; quality is what the two models' answers were worth; performance gap recovered (PGR) is 0 with
the weak model alone and 1 with the strong one. Ties are broken by the mean over their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Curve:
    """Quality at each share of prompts that go to the strong model."""

    costs: Floats
    quality: Floats

    @property
    def recovered(self) -> Floats:
        """PGR at each cost."""
        weak, strong = self.quality[0], self.quality[-1]
        part: Floats = (self.quality - weak) / (strong - weak)
        return part

    @property
    def apgr(self) -> float:
        """PGR over all costs; a random router has 0.5."""
        return float(np.trapezoid(self.recovered, self.costs))

    def cpt(self, share: float) -> float:
        """The least share of strong calls that recovers so much of the gap."""
        reached = np.flatnonzero(self.recovered >= share - 1e-12)
        return float(self.costs[reached[0]])

    def quality_at(self, cost: float) -> float:
        """Between two points where it must be."""
        return float(np.interp(cost, self.costs, self.quality))


def curve(p_local: Floats, weak: Floats, strong: Floats) -> Curve:
    """Of one router on one set. `weak`, `strong`: how good the answers were, 0 to 1."""
    order = np.argsort(p_local, kind="stable")
    gains = _evened(p_local[order], (strong - weak)[order])
    quality = (weak.sum() + np.concatenate([[0.0], np.cumsum(gains)])) / len(weak)
    return Curve(np.arange(len(weak) + 1) / len(weak), quality)


def auc(p_local: Floats, right: Floats) -> float:
    """The chance that a right one has the higher `p_local` of a right and a wrong one."""
    _, inverse, counts = np.unique(p_local, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    good = right > 0.5
    many, few = int(good.sum()), int((~good).sum())
    if not many or not few:
        return 0.5
    return float((ranks[good].sum() - many * (many + 1) / 2) / (many * few))


def calibration_error(p_local: Floats, right: Floats, bins: int = 10) -> float:
    """Expected calibration error over bins of as many prompts each."""
    order = np.argsort(p_local, kind="stable")
    pieces = np.array_split(order, bins)
    off = [len(one) * abs(p_local[one].mean() - right[one].mean()) for one in pieces if len(one)]
    return float(sum(off) / len(p_local))


def _evened(p_local: Floats, gains: Floats) -> Floats:
    """Gains in order, those with the same `p_local` evened out."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(p_local) != 0]))
    if len(starts) == len(gains):
        return gains
    sizes = np.diff(np.concatenate([starts, [len(gains)]]))
    evened: Floats = np.repeat(np.add.reduceat(gains, starts) / sizes, sizes)
    return evened
