"""Passports, and other papers whose number begins with letters, named by a word near them."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from noibo.privacy.cues import Cue, after, before
from noibo.privacy.numbers import Number
from noibo.privacy.span import Span
from noibo.privacy.vocabulary import ISSUED, OTHER

# Vietnam's: a letter and seven digits. Others': one or two letters, six to eight digits.
_LETTERS: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{1,2}[ \-]?$")
_OUR_OWN: Final = frozenset("BCEKNPX")  # ordinary, electronic, official, diplomatic
_FAR: Final = 4  # cues


def passport(text: str, number: Number, heading: Cue | None = None) -> Span | None:
    """A passport whose digits are these, or a driving licence that begins with a letter."""
    if not 6 <= len(number.digits) <= 8 or len(number.groups) > 3 or number.plus:
        return None
    letters = _LETTERS.search(text, max(0, number.start - 4), number.start)
    if letters is None or text[number.end : number.end + 1].isalnum():
        return None
    start, end = letters.start(), number.end
    if heading and heading.kind == "PASSPORT":
        return Span(start, end, "PASSPORT", 0.95, "passports")
    said = _said(text, start, end, spaced=letters[0][-1] in " -")
    return Span(start, end, *said, "passports") if said else None


def _said(text: str, start: int, end: int, *, spaced: bool) -> tuple[str, float] | None:
    """What the words around it say it is, and how surely. `spaced`: the letter stands apart."""
    for cue in islice(before(text, start), _FAR):
        if cue.kind == OTHER and cue.direct:
            return None
        if cue.kind == "PASSPORT" and (cue.direct or (cue.near and not spaced)):
            return "PASSPORT", 0.95 if cue.direct else 0.8
        if cue.kind == "DRIVER_LICENSE" and cue.direct and not spaced:
            return licence(cue.said), 0.75
    follows = None if spaced else after(text, end)
    ours = end - start == 8 and text[start].upper() in _OUR_OWN
    named = follows and (follows.kind == "PASSPORT" or (follows.kind == ISSUED and ours))
    return ("PASSPORT", 0.85) if named else None


def licence(said: str) -> str:
    """Whose driving licence it is, by the language of the word that names it."""
    return "US_DRIVER_LICENSE" if said.startswith("d") else "DRIVER_LICENSE"
