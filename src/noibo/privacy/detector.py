"""The detector: everything in a text that says something about a person, Vietnamese or English.

Each family of finders knows its own facts; here they read the same text, and what they find is
joined. A text is read once as a whole for places where something may stand, and looked at closely
only there, so ordinary text goes through at megabytes a second on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from noibo.privacy.addresses import addresses_in, addresses_of
from noibo.privacy.dates import behind_names, births
from noibo.privacy.emails import emails
from noibo.privacy.headings import Headings
from noibo.privacy.identifying import identify
from noibo.privacy.joining import join
from noibo.privacy.names import names_in, names_of
from noibo.privacy.networks import sixes
from noibo.privacy.numbers import Number, numbers, oddly_apart
from noibo.privacy.plates import plates
from noibo.privacy.reading import Reading
from noibo.privacy.secrets import secrets
from noibo.privacy.span import Span
from noibo.privacy.statements import column, speaks

Finder = Callable[[str], Iterable[Span]]
FinderOfMany = Callable[[Sequence[str]], Iterable[Iterable[Span]]]  # in each of many texts


def _numbers(text: str) -> list[Span]:
    return _numbers_of((text,))[0]


def _numbers_of(texts: Sequence[str]) -> list[list[Span]]:
    read = [(*numbers(text), *oddly_apart(text)) for text in texts]
    return list(map(_identified, texts, read))


def _identified(text: str, read: Sequence[Number]) -> list[Span]:
    if not read:
        return []
    headings = Headings(text) if "\n" in text else None
    stated = speaks(text)
    spans = []
    for number in read:
        heading = headings.cue(number.start) if headings else None
        if stated and heading is None:
            heading = column(text, number.start)
        if found := identify(text, number, heading):
            spans.append(found)
    return spans


STRUCTURED: Final[tuple[Finder, ...]] = (_numbers, births, emails, plates, sixes, secrets)
ALL: Final[tuple[Finder, ...]] = (*STRUCTURED, names_in, addresses_in)
# Large ones take each of their steps in all texts before the next.
_OF_MANY: Final[dict[Finder, FinderOfMany]] = {
    _numbers: _numbers_of,
    names_in: names_of,
    addresses_in: addresses_of,
}


class Detector:
    """Finds personal data and secrets. It has no state, so one serves all threads."""

    def __init__(self, finders: Iterable[Finder] = ALL) -> None:
        self._finders = [_OF_MANY.get(finder) or partial(map, finder) for finder in finders]

    def find(self, text: str) -> list[Span]:
        """Every finding in `text`, sorted, none overlapping another, in characters of `text`."""
        return self.find_all((text,))[0]

    def find_all(self, texts: Sequence[str]) -> list[list[Span]]:
        """The same for each of many texts. Each finder goes through all of them before the next
        does, and so does each step of the large ones: its words and expressions stay where the
        processor has them at hand, which for short texts saves a third of the time."""
        readings = [Reading.of(text) for text in texts]
        read = [reading.text for reading in readings]
        found: list[list[Span]] = [[] for _ in read]
        for finder in self._finders:
            for spans, more in zip(found, finder(read), strict=True):
                spans.extend(more)
        return list(map(_joined, readings, found))


def _joined(reading: Reading, found: list[Span]) -> list[Span]:
    if not found:
        return found
    names = [span for span in found if span.label == "PERSON"]
    if names:
        found += behind_names(reading.text, names)
    joined = join(reading.text, found) if len(found) > 1 else found
    return [reading.back(span) for span in joined] if reading.read else joined
