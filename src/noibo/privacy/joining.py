"""Joining what finders found: one sorted list without overlaps, that covers all that was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from noibo.privacy.span import Span

_LEAST: int = 3  # letters and digits of a rest that is worth keeping


def join(text: str, spans: Iterable[Span]) -> list[Span]:
    """The surest span of each place; of two equally sure, the longer. What a less sure one covers
    beyond it stays found: part of an address is still part of an address."""
    kept: list[Span] = []
    for span in sorted(spans):
        _lay(text, kept, span)
    return kept


def _lay(text: str, kept: list[Span], span: Span) -> None:
    """Add a span that starts no earlier than the last one kept."""
    while kept and kept[-1].end > span.start:
        last = kept[-1]
        if _weight(span) <= _weight(last):
            if span.end <= last.end:
                return
            if span.label == last.label:
                kept[-1] = replace(last, end=span.end)
                return
            _keep(text, kept, replace(span, start=last.end))
            return
        kept.pop()
        if span.label == last.label:
            span = replace(span, start=min(last.start, span.start), end=max(last.end, span.end))
            continue
        rest = replace(last, start=max(span.end, last.start))
        if last.start < span.start:
            _keep(text, kept, replace(last, end=span.start))
            kept.append(span)
            if rest.end > rest.start:
                _keep(text, kept, rest)
            return
        if rest.end > rest.start:
            kept.append(span)
            _keep(text, kept, rest)
            return
    kept.append(span)


def _weight(span: Span) -> tuple[float, int]:
    return span.score, span.end - span.start


def _keep(text: str, kept: list[Span], span: Span) -> None:
    """Keep what another left of a span, without the punctuation at the edge."""
    start, end = span.start, span.end
    while start < end and not text[start].isalnum() and text[start] not in "+(-":
        start += 1
    while end > start and not text[end - 1].isalnum() and text[end - 1] not in ")-.!":
        end -= 1
    if sum(map(str.isalnum, text[start:end])) >= _LEAST:
        kept.append(replace(span, start=start, end=end))
