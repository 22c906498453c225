"""Joining what finders found: one sorted list without overlaps, that covers all that was found."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from noibo.privacy.span import Span

_LEAST: Final = 3  # letters and digits of a rest that is worth keeping


def join(text: str, spans: Iterable[Span]) -> list[Span]:
    """The surest span of each place; of two equally sure, the longer. What a less sure one covers
    beyond it stays found: part of an address is still part of an address."""
    joined: list[Span] = []
    heap: list[Span] = []
    end = 0
    for span in sorted(spans):
        if heap and span.start >= end:
            joined += _settled(text, heap)
            heap = []
        heap.append(span)
        end = max(end, span.end) if len(heap) > 1 else span.end
    return joined + _settled(text, heap) if heap else joined


def _settled(text: str, heap: list[Span]) -> list[Span]:
    """Spans of which each overlaps another, apart from each other."""
    if len(heap) == 1:
        return heap
    kept: list[Span] = []
    for span in sorted(heap, key=_weight, reverse=True):
        for rest in _free(kept, span):
            if rest == span or sum(map(str.isalnum, text[rest.start : rest.end])) >= _LEAST:
                kept.insert(bisect_right(kept, rest), _trimmed(text, rest, span))
    return _merged(kept)


def _weight(span: Span) -> tuple[float, int, int]:
    return span.score, span.end - span.start, -span.start


def _free(kept: list[Span], span: Span) -> list[Span]:
    """What of a span nothing kept stands on, from left to right."""
    start = span.start
    pieces = []
    at = bisect_right(kept, start, key=lambda one: one.end)
    while at < len(kept) and kept[at].start < span.end:
        if kept[at].start > start:
            pieces.append(replace(span, start=start, end=kept[at].start))
        start = max(start, kept[at].end)
        at += 1
    if start < span.end:
        pieces.append(replace(span, start=start))
    return pieces


def _trimmed(text: str, rest: Span, whole: Span) -> Span:
    """A rest without the punctuation where another cut it off."""
    start, end = rest.start, rest.end
    while start > whole.start and not text[start].isalnum():
        start += 1
    while end < whole.end and not text[end - 1].isalnum():
        end -= 1
    return replace(rest, start=start, end=end)


def _merged(spans: list[Span]) -> list[Span]:
    """Neighbours of one label that touch are one: they overlapped before."""
    merged = spans[:1]
    for span in spans[1:]:
        last = merged[-1]
        if span.label == last.label and span.start == last.end:
            merged[-1] = replace(last, end=span.end, score=max(last.score, span.score))
        else:
            merged.append(span)
    return merged
