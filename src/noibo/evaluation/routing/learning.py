"""The router's weights, learnt from labelled prompts over the prior.

Two models are learnt: whether the local answer is right, and whether a large model's is. Of two
prompts that the local model is as likely to fail on, the one that a large model gets right should
be sent first; so log-odds are drawn toward that where models fail together (`DRAWN`), and scaled
then, per form, until they are again the chance that the local model is right, prompts that both
fail on counted as wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from noibo.evaluation.routing import fitting
from noibo.evaluation.routing.folds import folds_of
from noibo.evaluation.routing.priors import prior_of_large, prior_of_local
from noibo.evaluation.routing.samples import Sample
from noibo.routing.features import BUCKETS, NAMES, Features, features_of
from noibo.routing.forms import Form
from noibo.routing.learnt import FORMS, Learnt, words_of

Floats = np.ndarray[Any, np.dtype[np.float64]]
DRAWN: Final[Mapping[Form, float]] = {"choice": 1.5, "problem": 0.0, "code": 0.0, "open": 0.0}
COUNTS: Final[Mapping[str, float]] = {"routerarena": 0.7, "mt_bench": 0.3}  # other models, a judge
SCALING_FOLDS: Final = 4
LEAST_TO_DRAW: Final = 1000  # of fewer prompts nobody knows where a large model would help
LEAST_TO_SCALE: Final = 100  # prompts of a form
LEAST_FOR_WORDS: Final = 2000  # of fewer, what single words say is of those prompts alone
_PLACE: Final = {name: place for place, name in enumerate(NAMES)}
WIDTH: Final = len(NAMES) + 1 + BUCKETS


@dataclass(frozen=True, slots=True)
class Data:
    """Samples with what is seen of them; made once, as folds use them again and again."""

    samples: tuple[Sample, ...]
    features: tuple[Features, ...]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Data:
        """Looks at every sample."""
        return cls(tuple(samples), tuple(features_of(one.query) for one in samples))

    def where(self, mask: Any) -> Data:
        """Some of them."""
        places = np.flatnonzero(mask)
        return Data(
            tuple(self.samples[at] for at in places), tuple(self.features[at] for at in places)
        )

    @property
    def right(self) -> Floats:
        """Whether the weak model's answer is right."""
        return np.array([float(one.right) for one in self.samples])

    @property
    def strong_right(self) -> Floats:
        """Whether the strong model's is."""
        return np.array([float(one.strong_right) for one in self.samples])

    @property
    def weak(self) -> Floats:
        """How good its answers are."""
        return np.array([one.weak for one in self.samples])

    @property
    def strong(self) -> Floats:
        """How good those of the strong model are."""
        return np.array([one.strong for one in self.samples])


def learn(data: Data) -> Learnt:
    """Weights from data, scaled on folds of it."""
    learnt = _weights(data)
    return replace(learnt, scale=_scale(data))


def raw_odds(learnt: Learnt, data: Data) -> tuple[Floats, Floats]:
    """What both models say, before it is scaled."""
    matrix = _matrix(data, learnt.rarity)
    local = matrix.times(np.concatenate([learnt.local, learnt.words_local]))
    return local, matrix.times(np.concatenate([learnt.large, learnt.words_large]))


def chances(learnt: Learnt, data: Data) -> Floats:
    """`p_local` of each."""
    forms = [FORMS.index(one.form) for one in data.features]
    of_local, of_large, offset = learnt.scale[forms].T
    local, large = raw_odds(learnt, data)
    return fitting.sigmoid(of_local * local + of_large * large + offset)


def gains(learnt: Learnt, data: Data) -> Floats:
    """How much more often a large model is right on each."""
    local, large = raw_odds(learnt, data)
    return fitting.sigmoid(large) - fitting.sigmoid(local)


def _weights(data: Data) -> Learnt:
    rarity = _rarity(data.features)
    matrix = _matrix(data, rarity)
    counts = np.array([COUNTS.get(one.source, 1.0) for one in data.samples])
    local = fitting.logistic(matrix, data.right, counts, prior_of_local())
    large = fitting.logistic(matrix, data.strong_right, counts, prior_of_large())
    named = len(NAMES) + 1
    scale = np.tile([1.0, 0.0, 0.0], (len(FORMS), 1))
    return Learnt(local[:named], large[:named], local[named:], large[named:], rarity, scale)


def _scale(data: Data) -> Floats:
    """For each form with enough labels a slope and an offset, from weights that have not seen the
    prompts (Platt, 1999). Open prompts are scaled by the prior itself."""
    fold_of = folds_of(data.samples, many=SCALING_FOLDS)
    odds = np.zeros((2, len(data.samples)))
    for fold in sorted(set(fold_of.tolist())):
        held = fold_of == fold
        odds[:, held] = raw_odds(_weights(data.where(~held)), data.where(held))
    scale = np.tile([1.0, 0.0, 0.0], (len(FORMS), 1))
    counts = np.array([COUNTS.get(one.source, 1.0) for one in data.samples])
    for place, form in enumerate(FORMS[:2]):
        own = np.array([one.form == form for one in data.features], dtype=bool)
        if own.sum() >= LEAST_TO_SCALE:
            drawn = DRAWN[form] if own.sum() >= LEAST_TO_DRAW else 0.0
            mixed = (1 + drawn) * odds[0, own] - drawn * odds[1, own]
            slope, offset = _platt(mixed, data.right[own], counts[own])
            scale[place] = (slope * (1 + drawn), -slope * drawn, offset)
    return scale


def _platt(odds: Floats, right: Floats, counts: Floats) -> Floats:
    columns = np.arange(2)
    lines = [(columns, np.array([one, 1.0])) for one in odds]
    prior = fitting.Prior(np.array([1.0, 0.0]), np.array([4.0, 0.1]))
    return fitting.logistic(fitting.Matrix.of(lines, 2), right, counts, prior)


def _rarity(features: Sequence[Features]) -> Floats:
    """How rare each hashed word is: log of the share of prompts that have it. 0: it does not count;
    of few prompts none does."""
    seen = np.zeros(BUCKETS)
    if len(features) < LEAST_FOR_WORDS:
        return seen
    for one in features:
        seen[list(one.buckets)] += 1
    return (1 + np.log((1 + len(features)) / (1 + seen))) * (seen > 1)


def _matrix(data: Data, rarity: Floats) -> fitting.Matrix:
    lines = []
    for one in data.features:
        buckets, values = words_of(one, rarity)
        named = [_PLACE[name] for name in one.values]
        columns = np.concatenate([named, [len(NAMES)], buckets + len(NAMES) + 1])
        lines.append((columns, np.concatenate([list(one.values.values()), [1.0], values])))
    return fitting.Matrix.of(lines, WIDTH)
