"""Plates of vehicles in Vietnam: 51F-123.45, 29-H1 123.45, 59X3-1234, 80-NG-123-45, 29MĐ1-123.45,
and 80-011-NG-01 of an embassy.

The first two digits are a province. With a dot or a hyphen in its place a plate can be little else;
without them ("30A12345") a word must name it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from noibo.privacy.cues import before
from noibo.privacy.numbers import codes
from noibo.privacy.span import Span

_NO_PROVINCE: Final = codes(
    """
    10 13 42 44 45 46 87 91 96
    """
)
_PLATE: Final = re.compile(
    r"[1-9][0-9][ \-.]?(?:(?P<series>[A-ZĐ]{1,2}[0-9]?|[a-zđ]{1,2}[0-9]?)"
    r"(?P<sign>[ \-.]{0,3})(?P<tail>[0-9]{3}\.[0-9]{2}|[0-9]{5}|[0-9]{4}|[0-9]{3}[ \-][0-9]{2})"
    r"|[0-9]{3}-(?:NG|NN|QT|CV)-[0-9]{2})(?![0-9])"
)
_OF_EMBASSIES: Final = ("NG", "NN", "QT", "CV")


def plates(text: str) -> Iterator[Span]:
    """Every plate in `text`."""
    for found in _PLATE.finditer(text):
        start, end = found.span()
        if found[0][:2] in _NO_PROVINCE or _part_of_more(text, start, end):
            continue
        score = _score(found)
        cue = next(before(text, start), None)
        if cue and cue.kind == "LICENSE_PLATE" and cue.near:
            yield Span(start, end, "LICENSE_PLATE", 0.95, "plates")
        elif score and not (cue and cue.kind == "OTHER" and cue.direct):
            yield Span(start, end, "LICENSE_PLATE", score, "plates")


def _score(found: re.Match[str]) -> float:
    """How sure it is where no word names it; 0 for not at all."""
    tail, series = found["tail"], found["series"]
    if series is None:
        return 0.85  # an embassy's
    if not series.isupper():
        return 0.6 if "." in tail and found["sign"] == "-" else 0.0  # 36b5-123.88
    if "." in tail or series in _OF_EMBASSIES:
        return 0.85
    if found["sign"].strip() and len(tail) == 5:
        return 0.7
    return 0.6 if found["sign"].strip() and len(tail) == 4 and series[-1].isdigit() else 0.0


def _part_of_more(text: str, start: int, end: int) -> bool:
    earlier, later = text[start - 1 : start], text[end : end + 1]
    if earlier.isalnum() or earlier in ("_", "/") or later.isalnum() or later in ("_", "/"):
        return True
    if earlier in ("-", ".") and text[start - 2 : start - 1].isalnum():
        return True
    return later in ("-", ".") and text[end + 1 : end + 2].isalnum()
