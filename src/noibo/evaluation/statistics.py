"""Quantiles, rates and ratios with their uncertainty, by bootstrap; and when there is too little to
say one.

What was measured in one round stands together: the machine was as it was. So rounds are drawn first
and, for a quantile, values within each round drawn; for a ratio both sides are drawn, and where
they were measured in the same rounds, the same rounds of both (Davison and Hinkley, Bootstrap
Methods and Their Application, 1997, section 3.8).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]

RESAMPLES: Final = 1000
LEAST_RESAMPLES: Final = 200
SEED: Final = 20_261_123
LEVEL: Final = 0.95
LEAST_ROUNDS: Final = 4  # of fewer nobody knows how much the machine drifts between them
_AT_ONCE: Final = 2_000_000  # numbers drawn at once: 16 MB
_MOST_DRAWN: Final = 40_000_000  # numbers drawn for one estimate


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the interval it lies in with 95 %, of `n` values; None where `n` is too small
    to say, and then `lacks` says how many it takes (0: there is nothing at all)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    lacks: int | None = None

    def times(self, by: float) -> Estimate:
        """The same in a smaller unit."""
        value, low, high = (
            None if one is None else one * by for one in (self.value, self.low, self.high)
        )
        return Estimate(value, low, high, self.n, self.lacks)


class Sample(Protocol):
    """Something measured in rounds of which one number is wanted."""

    @property
    def n(self) -> int:
        """How many values it stands on."""

    @property
    def least(self) -> int:
        """How many values it must stand on."""

    @property
    def least_for_interval(self) -> int:
        """How many it takes to say how sure it is."""

    @property
    def rounds(self) -> int:
        """In how many rounds it was measured."""

    def value(self) -> float | None:
        """The number; None where it is divided by nothing."""

    def draws(self, picks: Whole, random: np.random.Generator) -> Floats:
        """The number anew for each row of picked rounds."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, between two where it must be.
    Raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def least_for(share: float) -> int:
    """How many values a quantile takes: one at least must be expected beyond it. p99: 100."""
    beyond = min(share, 1 - share)
    return math.ceil(round(1 / beyond, 6)) if 0 < beyond < 0.5 else 1


def least_for_interval(share: float) -> int:
    """How many values it takes until some lie beyond a quantile, on either side, as surely as an
    interval of `LEVEL` wants it; of fewer none holds it so often. Median: 6, p99: 368. The least
    and the greatest value have no interval."""
    beyond = max(share, 1 - share)
    return math.ceil(math.log((1 - LEVEL) / 2) / math.log(beyond)) if beyond < 1 else sys.maxsize


@dataclass(frozen=True, slots=True)
class Quantile:
    """The quantile of values that were measured in rounds; rounds without any are left out."""

    groups: Sequence[Sequence[float]]
    share: float = 0.5

    @property
    def n(self) -> int:
        return sum(map(len, self.groups))

    @property
    def least(self) -> int:
        return least_for(self.share)

    @property
    def least_for_interval(self) -> int:
        return least_for_interval(self.share)

    @property
    def rounds(self) -> int:
        return len(self.groups)

    def value(self) -> float | None:
        return percentile([value for group in self.groups for value in group], self.share)

    def draws(self, picks: Whole, random: np.random.Generator) -> Floats:
        lengths = np.array([len(group) for group in self.groups])
        padded = np.full((len(self.groups), lengths.max()), np.inf)
        for number, group in enumerate(self.groups):
            padded[number, : len(group)] = group
        rows = max(1, _AT_ONCE // (picks.shape[1] * padded.shape[1]))
        parts = [
            self._drawn(picks[start : start + rows], padded, lengths, random)
            for start in range(0, len(picks), rows)
        ]
        return np.concatenate(parts)

    def _drawn(
        self, picks: Whole, padded: Floats, lengths: Whole, random: np.random.Generator
    ) -> Floats:
        """As many values of each picked round as it has; what a shorter one lacks sorts last."""
        many = lengths[picks][..., None]
        width = padded.shape[1]
        chosen = (random.random((*picks.shape, width)) * many).astype(np.int64)
        values = padded[picks[..., None], chosen]
        values[np.broadcast_to(np.arange(width) >= many, values.shape)] = np.inf
        ordered = np.sort(values.reshape(len(picks), -1), axis=1)
        count = lengths[picks].sum(axis=1)
        place = self.share * (count - 1)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, count - 1)
        line = np.arange(len(picks))
        lower, upper = ordered[line, below], ordered[line, above]
        drawn: Floats = lower + (upper - lower) * (place - below)
        return drawn


@dataclass(frozen=True, slots=True)
class Rate:
    """So much in so long, by rounds: the whole of the one by the whole of the other."""

    parts: Sequence[tuple[float, float]]

    @property
    def n(self) -> int:
        return len(self.parts)

    @property
    def least(self) -> int:
        return 1

    @property
    def least_for_interval(self) -> int:
        return LEAST_ROUNDS

    @property
    def rounds(self) -> int:
        return len(self.parts)

    def value(self) -> float | None:
        seconds = sum(long for _, long in self.parts)
        return sum(much for much, _ in self.parts) / seconds if seconds > 0 else None

    def draws(self, picks: Whole, random: np.random.Generator) -> Floats:
        parts = np.array(self.parts, dtype=np.float64)
        much, long = parts[picks, 0].sum(axis=1), parts[picks, 1].sum(axis=1)
        drawn: Floats = much[long > 0] / long[long > 0]
        return drawn


def estimate(sample: Sample) -> Estimate:
    """The number and how sure it is."""
    if missing := _too_few(sample):
        return missing
    value = sample.value()
    if value is None:
        return Estimate(None, n=sample.n, lacks=0)
    if not _spreads(sample):
        return Estimate(value, n=sample.n)
    random = np.random.default_rng(SEED)
    low, high = _within(sample.draws(_picks(sample, random, _resamples(sample.n)), random))
    return Estimate(value, low, high, sample.n)


def ratio(ours: Sample, theirs: Sample) -> Estimate:
    """The one number by the other. Both are drawn anew: neither is known for sure."""
    if missing := _too_few(ours) or _too_few(theirs):
        return missing
    above, below, n = ours.value(), theirs.value(), min(ours.n, theirs.n)
    if above is None or not below:
        return Estimate(None, n=n, lacks=0)
    if not (_spreads(ours) and _spreads(theirs)):
        return Estimate(above / below, n=n)
    random = np.random.default_rng(SEED)
    many = _resamples(max(ours.n, theirs.n))
    picks = _picks(ours, random, many)
    together = ours.rounds == theirs.rounds
    tops = ours.draws(picks, random)
    bottoms = theirs.draws(picks if together else _picks(theirs, random, many), random)
    known = bottoms > 0
    if not known.all() or len(tops) != len(bottoms):
        return Estimate(above / below, n=n)
    low, high = _within(tops / bottoms)
    return Estimate(above / below, low, high, n)


def _too_few(sample: Sample) -> Estimate | None:
    if sample.n == 0:
        return Estimate(None, lacks=0)
    return Estimate(None, n=sample.n, lacks=sample.least) if sample.n < sample.least else None


def _spreads(sample: Sample) -> bool:
    """Whether it shows how sure it is: by its values, and by the rounds that they come from."""
    return sample.n >= sample.least_for_interval and sample.rounds >= LEAST_ROUNDS


def _resamples(n: int) -> int:
    return max(LEAST_RESAMPLES, min(RESAMPLES, _MOST_DRAWN // n))


def _picks(sample: Sample, random: np.random.Generator, many: int) -> Whole:
    return random.integers(0, sample.rounds, (many, sample.rounds))


def _within(draws: Floats) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
