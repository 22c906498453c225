"""Finds the names of persons, Vietnamese and foreign.

Three steps. Pieces that could be names are cut out of runs of capitalised words
(`names_candidates`). What they are made of and what stands around them are summed by weights that
were learnt (`names_features`, `benchmarks/names`). Then the text as a whole has its say: who was
named in full is known by one part of the name as well. Names that are typed in lower case need a
word before them that calls for one, and are found on their own (`names_lower`).

Persons long dead whom lessons, streets and schools are about are not found, unless the text speaks
of a customer or a patient of that name: they are nobody's personal data, and a question about them
could not be answered without the name. Living persons are found, well known or not.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from operator import attrgetter
from typing import Final

from noibo.privacy.names_asked import asked_names
from noibo.privacy.names_candidates import Candidate, candidates
from noibo.privacy.names_features import REFUSED, Evidence, evidence
from noibo.privacy.names_lexicon import COMMON, GIVEN_VI, HONORIFIC, kinds, read
from noibo.privacy.names_lower import lower_names
from noibo.privacy.reading import Reading
from noibo.privacy.span import Span

LABEL: Final = "PERSON"
_HIGHEST: Final = 0.9  # under that of an address, so that a street is not taken for its namesake
_SURE: Final = 1.0  # log-odds from which a full name vouches for its parts
_DOUBTFUL: Final = -4.0  # and down to which a part is believed
_SUFFIXES: Final = (" III", " II", " IV", " Jr.", " Sr.", " Jr", " Sr")
_SUFFIX_HEADS: Final = frozenset({" I", " J", " S"})


def find_names(text: str, weights: Weights | None = None) -> list[Span]:
    """Names in `text`, in order, without overlaps. Honorifics are not part of a name. `weights`:
    others than those that are shipped, to measure them."""
    reading = Reading.of(text)
    return [reading.back(span) for span in names_in(reading.text, weights)]


def names_in(text: str, weights: Weights | None = None) -> list[Span]:
    """The same for a text as finders read it."""
    return names_of((text,), weights)[0]


def names_of(texts: Sequence[str], weights: Weights | None = None) -> list[list[Span]]:
    """The same for each of many texts. All of them take one step before any takes the next."""
    pieces = [list(candidates(text)) for text in texts]
    told = list(map(evidence, texts, pieces))
    weights = weights or shipped()
    capitalised = [
        list(_capitalised(*one, weights)) for one in zip(texts, pieces, told, strict=True)
    ]
    lower = [list(lower_names(text)) for text in texts]
    asked = [list(asked_names(text)) for text in texts]
    return list(map(_apart, capitalised, lower, asked))


def _apart(
    capitalised: list[tuple[int, int, float]],
    lower: list[tuple[int, int]],
    asked: list[tuple[int, int]],
) -> list[Span]:
    """Names of one text, of three kinds, without overlaps."""
    found = [_span(*name) for name in capitalised]
    found += [Span(start, end, LABEL, 0.8, "names_lower") for start, end in lower]
    if asked:
        values = [Span(*name, LABEL, 0.85, "names_asked") for name in asked]
        found = [*_outside(found, values), *values]
    if len(found) < 2:
        return found
    # Of two that begin together the longer.
    found.sort(key=lambda span: (span.start, -span.end))
    apart: list[Span] = []
    for span in found:
        if not apart or span.start >= apart[-1].end:
            apart.append(span)
    return apart


def _outside(found: list[Span], wholes: list[Span]) -> Iterator[Span]:
    """Those that none of `wholes` overlaps."""
    wholes = sorted(wholes)
    reached = list(accumulate((whole.end for whole in wholes), max))
    for one in found:
        before = bisect_left(wholes, one.end, key=attrgetter("start"))
        if not before or reached[before - 1] <= one.start:
            yield one


def _span(start: int, end: int, odds: float) -> Span:
    return Span(start, end, LABEL, min(_HIGHEST, round(1 / (1 + math.exp(-odds)), 3)), "names")


class Weights:
    """What each feature speaks for, in log-odds."""

    def __init__(self, learnt: Mapping[str, float]) -> None:
        self.learnt = learnt
        self.shapes: dict[str, _Shape] = {}

    def odds(self, told: Evidence) -> float:
        """The log-odds that a candidate is a person's name."""
        shape = self.shapes.get(told.shape)
        if shape is None:
            shape = self.shapes[told.shape] = _Shape(told.shape, self.learnt)
        found = shape.words[told.own]
        for name in told.around:
            found += shape[name]
        return found


class _Shape(dict[str, float]):
    """What each feature around a name of one shape speaks for, by itself and with the shape."""

    def __init__(self, shape: str, learnt: Mapping[str, float]) -> None:
        self.shape, self.learnt = shape, learnt
        self.words = _Words(learnt.get("bias", 0.0) + learnt.get(shape, 0.0), learnt)

    def __missing__(self, name: str) -> float:
        both = self.learnt.get(name, 0.0) + self.learnt.get(f"{self.shape}&{name}", 0.0)
        self[name] = both
        return both


class _Words(dict[tuple[str, ...], float]):
    """What the words of a name of one shape speak for, by their features."""

    def __init__(self, base: float, learnt: Mapping[str, float]) -> None:
        self.base, self.learnt = base, learnt

    def __missing__(self, names: tuple[str, ...]) -> float:
        found = self.base
        for name in names:
            found += self.learnt.get(name, 0.0)
        self[names] = found
        return found


@cache
def shipped() -> Weights:
    """The weights beside this package."""
    rows = (line.split("\t") for line in read("name_weights.txt").splitlines())
    return Weights({name: float(value) for name, value in rows})


def _capitalised(
    text: str, pieces: list[Candidate], told: list[Evidence], weights: Weights
) -> Iterator[tuple[int, int, float]]:
    judged = [
        (candidate, weights.odds(one), one.shape)
        for candidate, one in zip(pieces, told, strict=True)
    ]
    known: set[str] | None = None
    for candidate, value, shape in judged:
        believed = value
        if len(candidate.tokens) == 1 and _DOUBTFUL < value < _SURE:
            if known is None:
                known = _called_by(judged)
            believed = _SURE if candidate.tokens[0] in known else value
        if believed > 0 and shape not in REFUSED:
            yield candidate.start, _end(text, candidate), believed


def _called_by(judged: list[tuple[Candidate, float, str]]) -> set[str]:
    """What those who are surely named in full are called by."""
    return {
        token
        for candidate, value, shape in judged
        if value > _SURE and len(candidate.tokens) > 1 and shape not in REFUSED
        for token in _parts(candidate)
    }


def _parts(candidate: Candidate) -> list[str]:
    """The parts by which somebody who was named in full is called later: the last one of a
    Vietnamese name, the first and the last one of others."""
    ends = {candidate.tokens[0], candidate.tokens[-1]}
    if all(kind & GIVEN_VI for kind in candidate.kinds):
        ends = {candidate.tokens[-1]}
    return [token for token in ends if len(token) > 2 and not kinds[token] & (COMMON | HONORIFIC)]


def _end(text: str, candidate: Candidate) -> int:
    """Where the name ends, with `II` or `Jr.`"""
    if text[candidate.end : candidate.end + 2] not in _SUFFIX_HEADS:
        return candidate.end
    for suffix in _SUFFIXES:
        if text.startswith(suffix, candidate.end):
            after = candidate.end + len(suffix)
            if not text[after : after + 1].isalnum():
                return after
    return candidate.end
