"""The router put to the test: within each source, with that whole source left out, with labels
shuffled, and on prompts that people classed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from noibo.evaluation.routing import bootstrap
from noibo.evaluation.routing.bootstrap import Interval, Outcomes
from noibo.evaluation.routing.curves import auc, calibration_error, curve
from noibo.evaluation.routing.folds import SEED, folds_of
from noibo.evaluation.routing.learning import Data, chances, gains, learn
from noibo.evaluation.routing.samples import Probe, Sample
from noibo.routing.complexity import ComplexityClassifier
from noibo.routing.features import Query

Floats = np.ndarray[Any, np.dtype[np.float64]]
COSTS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TOGETHER: Final = ("gsm8k", "mmlu")
TOKENS: Final = 512
CHARACTERS_A_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One set under one trial. `gain`: APGR of ordering by how much a large model helps; `curve`:
    quality at `COSTS`."""

    source: str
    n: int
    apgr: Interval
    length: Interval
    above: Interval
    cpt_50: Interval
    cpt_80: Interval
    gain: float
    auc: float
    off: float
    curve: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """Rows of one way to test, and how far the router is above length on `TOGETHER`."""

    name: str
    rows: tuple[Row, ...]
    together: Interval | None


@dataclass(frozen=True, slots=True)
class Classed:
    """How prompts were classed against what people said."""

    name: str
    n: int
    right: int
    confused: int  # simple for complex, or the reverse
    missed: tuple[tuple[str, str, str], ...]  # prompt, wanted, said


def within(sets: Mapping[str, Sequence[Sample]]) -> Trial:
    """Each prompt scored by weights that were learnt from other folds of all sources."""
    data = _all(sets)
    return _trial("within", data, *_folded(data))


def shuffled(sets: Mapping[str, Sequence[Sample]]) -> Trial:
    """The same with each source's outcomes dealt out at random, to learn from and to be judged by:
    whatever is above 0.5 then is a leak."""
    random = np.random.default_rng(SEED)
    dealt = {name: _dealt(rows, random) for name, rows in sorted(sets.items())}
    data = _all(dealt)
    return _trial("shuffled", data, *_folded(data))


def left_out(sets: Mapping[str, Sequence[Sample]]) -> Trial:
    """Each source scored by weights that have seen nothing of it."""
    data = _all(sets)
    sources = np.array([one.source for one in data.samples])
    p_local, gain = np.zeros(len(sources)), np.zeros(len(sources))
    for name in sorted(sets):
        own = sources == name
        learnt = learn(data.where(~own))
        p_local[own] = chances(learnt, data.where(own))
        gain[own] = gains(learnt, data.where(own))
    return _trial("left out", data, p_local, gain)


def classed(name: str, probes: Sequence[Probe], classifier: ComplexityClassifier) -> Classed:
    """By the shipped weights; medium where people said simple or complex is wrong."""
    said = [(one, classifier.predict(one.prompt)) for one in probes]
    wrong = [(one.prompt, one.wanted, label) for one, label in said if one.wanted != label]
    confused = sum({wanted, label} == {"simple", "complex"} for _, wanted, label in wrong)
    return Classed(name, len(said), len(said) - len(wrong), confused, tuple(wrong))


def latency(
    sets: Mapping[str, Sequence[Sample]], classifier: ComplexityClassifier, many: int = 400
) -> tuple[float, float]:
    """p50 and p95 in milliseconds of processor time, on prompts of 512 tokens made of the sets."""
    texts = [one.query.text for name in sorted(sets) for one in sets[name]]
    whole = "\n".join(texts[:4000])
    size = TOKENS * CHARACTERS_A_TOKEN
    step = max((len(whole) - size) // many, 1)
    prompts = [whole[at : at + size] for at in range(0, step * many, step)]
    times = sorted(_milliseconds(classifier, Query(one)) for one in prompts)
    return times[len(times) // 2], times[int(len(times) * 0.95)]


def _milliseconds(classifier: ComplexityClassifier, query: Query) -> float:
    begun = time.thread_time()
    classifier.weigh(query)
    return (time.thread_time() - begun) * 1000


def _all(sets: Mapping[str, Sequence[Sample]]) -> Data:
    return Data.of([one for name in sorted(sets) for one in sets[name]])


def _dealt(rows: Sequence[Sample], random: np.random.Generator) -> list[Sample]:
    order = random.permutation(len(rows)).tolist()
    return [
        replace(row, weak=rows[at].weak, strong=rows[at].strong)
        for row, at in zip(rows, order, strict=True)
    ]


def _folded(data: Data) -> tuple[Floats, Floats]:
    fold_of = folds_of(data.samples)
    p_local, gain = np.zeros(len(fold_of)), np.zeros(len(fold_of))
    for fold in sorted(set(fold_of.tolist())):
        held = fold_of == fold
        learnt = learn(data.where(~held))
        p_local[held] = chances(learnt, data.where(held))
        gain[held] = gains(learnt, data.where(held))
    return p_local, gain


def _trial(name: str, data: Data, p_local: Floats, gain: Floats) -> Trial:
    sources = np.array([one.source for one in data.samples])
    length = -np.array([len(one.query.text) for one in data.samples], dtype=np.float64)
    weak, strong, right = data.weak, data.strong, data.right
    rows, sets = [], {}
    for source in sorted(set(sources.tolist())):
        own = sources == source
        outcomes = Outcomes(p_local[own], length[own], weak[own], strong[own])
        sets[source] = outcomes
        rows.append(_row(source, outcomes, gain[own], right[own]))
    both = [sets[one] for one in TOGETHER if one in sets]
    together = bootstrap.interval(both, bootstrap.apgr_above) if len(both) == 2 else None
    return Trial(name, tuple(rows), together)


def _row(source: str, outcomes: Outcomes, gain: Floats, right: Floats) -> Row:
    whole = curve(outcomes.p_local, outcomes.weak, outcomes.strong)
    return Row(
        source=source,
        n=len(right),
        apgr=bootstrap.interval([outcomes], bootstrap.apgr),
        length=bootstrap.interval([outcomes], bootstrap.baseline_apgr),
        above=bootstrap.interval([outcomes], bootstrap.apgr_above),
        cpt_50=bootstrap.interval([outcomes], bootstrap.cpt(0.5)),
        cpt_80=bootstrap.interval([outcomes], bootstrap.cpt(0.8)),
        gain=curve(-gain, outcomes.weak, outcomes.strong).apgr,
        auc=auc(outcomes.p_local, right),
        off=calibration_error(outcomes.p_local, right),
        curve=tuple(whole.quality_at(cost) for cost in COSTS),
    )
