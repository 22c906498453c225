"""Spans of one text, put in order."""

from __future__ import annotations

from collections.abc import Iterable

from noibo.privacy.span import Span


def disjoint(spans: Iterable[Span]) -> list[Span]:
    """In order and without overlap. Those that overlap become one over all of their ground, of the
    kind of the longest: half of a number is not to stand there because two finders saw it."""
    found: list[Span] = []
    widest = 0
    for span in sorted(spans, key=lambda one: (one.start, -one.end, one.label)):
        if span.end <= span.start:
            continue
        if not found or span.start >= found[-1].end:
            found.append(span)
            widest = span.end - span.start
            continue
        last = found[-1]
        longer = span.end - span.start > widest
        widest = max(widest, span.end - span.start)
        kind = span if longer else last
        if span.end > last.end or longer:
            end = max(last.end, span.end)
            found[-1] = Span(last.start, end, kind.label, kind.score, kind.finder)
    return found


def shifted(spans: Iterable[Span], by: int) -> list[Span]:
    """Where they stand in a text that begins so many characters later; what lies before it is cut
    off."""
    moved = ((max(one.start - by, 0), one.end - by, one) for one in spans)
    return [
        Span(start, end, one.label, one.score, one.finder)
        for start, end, one in moved
        if end > start
    ]


def is_sound(spans: Iterable[Span], length: int) -> bool:
    """They lie in a text of this length."""
    return all(0 <= one.start <= one.end <= length for one in spans)
