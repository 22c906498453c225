"""Logistic regression with a Gaussian prior on each weight, in numpy alone.

The prior's mean is what was known before the data (the seed's rules), its precision how much data
it takes to move it. Newton's method with conjugate gradients: no randomness, the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]
_NEWTON_STEPS: Final = 25
_GRADIENT_STEPS: Final = 200
_HALVINGS: Final = 12
_ENOUGH: Final = 1e-7


@dataclass(frozen=True, slots=True)
class Matrix:
    """A sparse matrix by its entries."""

    rows: Whole
    columns: Whole
    values: Floats
    height: int
    width: int

    @classmethod
    def of(cls, lines: Sequence[tuple[Whole, Floats]], width: int) -> Matrix:
        """Of lines, each with its columns and values."""
        sizes = [len(columns) for columns, _ in lines]
        return cls(
            np.repeat(np.arange(len(lines)), sizes),
            np.concatenate([columns for columns, _ in lines]).astype(np.int64),
            np.concatenate([values for _, values in lines]).astype(np.float64),
            len(lines),
            width,
        )

    def times(self, weights: Floats) -> Floats:
        """One number for each line."""
        products = self.values * weights[self.columns]
        summed: Floats = np.bincount(self.rows, products, self.height).astype(np.float64)
        return summed

    def transposed_times(self, by: Floats) -> Floats:
        """One number for each column."""
        products = self.values * by[self.rows]
        summed: Floats = np.bincount(self.columns, products, self.width).astype(np.float64)
        return summed


@dataclass(frozen=True, slots=True)
class Prior:
    """Mean and precision for each weight."""

    mean: Floats
    precision: Floats


def logistic(matrix: Matrix, labels: Floats, weights_of: Floats, prior: Prior) -> Floats:
    """The likeliest weights; `labels` 0 to 1, `weights_of` how much each line counts."""

    def cost(at: Floats) -> float:
        odds = matrix.times(at)
        miss = weights_of * (np.logaddexp(0, odds) - labels * odds)
        return float(miss.sum() + 0.5 * (prior.precision * (at - prior.mean) ** 2).sum())

    weights = prior.mean.copy()
    least = cost(weights)
    for _ in range(_NEWTON_STEPS):
        chance = sigmoid(matrix.times(weights))
        slope = matrix.transposed_times(weights_of * (chance - labels))
        slope = slope + prior.precision * (weights - prior.mean)
        curve = weights_of * np.maximum(chance * (1 - chance), 1e-6)
        step = _solve(_times(matrix, curve, prior), slope, prior.precision)
        weights, least = _down(weights, step, least, cost)
        if float(np.abs(step).max()) < 1e-4:
            break
    return weights


def _down(
    weights: Floats, step: Floats, least: float, cost: Callable[[Floats], float]
) -> tuple[Floats, float]:
    """A step that makes the cost less: the whole of it, or half, a quarter …"""
    for halved in range(_HALVINGS):
        moved = weights - step / 2**halved
        found = cost(moved)
        if found <= least:
            return moved, found
    return weights, least


def sigmoid(odds: Floats) -> Floats:
    """Log-odds as chances, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * odds))


def _times(matrix: Matrix, curve: Floats, prior: Prior) -> Callable[[Floats], Floats]:
    def times(vector: Floats) -> Floats:
        bent = matrix.transposed_times(curve * matrix.times(vector))
        return bent + prior.precision * vector

    return times


def _solve(times: Callable[[Floats], Floats], aim: Floats, diagonal: Floats) -> Floats:
    """Conjugate gradients, preconditioned by the prior's precision."""
    found = np.zeros_like(aim)
    rest = aim.copy()
    ahead = rest / diagonal
    along, size = ahead.copy(), float(rest @ ahead)
    first = size
    for _ in range(_GRADIENT_STEPS):
        if size <= _ENOUGH * max(first, 1e-30):
            break
        bent = times(along)
        by = size / float(along @ bent)
        found += by * along
        rest -= by * bent
        ahead = rest / diagonal
        size, before = float(rest @ ahead), size
        along = ahead + (size / before) * along
    return found
