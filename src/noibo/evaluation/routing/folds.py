"""Folds in which near-duplicates stand together, so that none is learnt from its twin.

Prompts that share rare runs of words (the passage that several questions are asked about, a problem
with other numbers) are one group. A run that many prompts share is a template and says nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from noibo.evaluation.routing.samples import Sample
from noibo.routing.phrases import fold

Whole = np.ndarray[Any, np.dtype[np.int64]]
FOLDS: Final = 5
SEED: Final = 20_261_123
RUN: Final = 6  # words
COMMON: Final = 12  # prompts: a run in more of them is a template
SHARED: Final = 0.25  # of the shorter one's rare runs
_WORD: Final = re.compile(r"[^\W\d_]+")


def folds_of(samples: Sequence[Sample], *, seed: int = SEED, many: int = FOLDS) -> Whole:
    """The fold of each sample, whole groups at a time; sources are spread evenly."""
    group = groups_of([one.query.text for one in samples])
    fold_of = np.zeros(len(samples), dtype=np.int64)
    random = np.random.default_rng(seed)
    for source in sorted({one.source for one in samples}):
        own = [place for place, one in enumerate(samples) if one.source == source]
        names = sorted({group[place] for place in own})
        drawn = dict(zip(names, random.permutation(len(names)).tolist(), strict=True))
        for place in own:
            fold_of[place] = drawn[group[place]] % many
    return fold_of


def groups_of(texts: Sequence[str]) -> list[int]:
    """For each text the number of the first one that it is a near-duplicate of, by and by."""
    runs = [_runs(text) for text in texts]
    holders: dict[int, list[int]] = defaultdict(list)
    for place, own in enumerate(runs):
        for run in own:
            holders[run].append(place)
    rare = [{run for run in own if len(holders[run]) <= COMMON} for own in runs]
    parent = list(range(len(texts)))
    for place, own in enumerate(rare):
        together: dict[int, int] = defaultdict(int)
        for run in own:
            for other in holders[run]:
                if other < place:
                    together[other] += 1
        for other, shared in together.items():
            if shared >= SHARED * max(min(len(own), len(rare[other])), 1):
                _join(parent, place, other)
    return [_root(parent, place) for place in range(len(texts))]


def _runs(text: str) -> set[int]:
    words = _WORD.findall(fold(text))
    if len(words) < RUN:
        return {hash(tuple(words))}
    return {hash(tuple(words[at : at + RUN])) for at in range(len(words) - RUN + 1)}


def _root(parent: list[int], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


def _join(parent: list[int], one: int, other: int) -> None:
    first, second = sorted((_root(parent, one), _root(parent, other)))
    parent[second] = first
