"""Passports, and other papers whose number begins with letters, named by a word near them."""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.cues import Cue, after, before
from noibo.privacy.numbers import Number
from noibo.privacy.span import Span

# Vietnam's: a letter and seven digits. Others': one or two letters, six to eight digits.
_LETTERS: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{1,2}[ \-]?$")
_OUR_OWN: Final = frozenset("BCEKNPX")  # ordinary, electronic, official, diplomatic
_FAR: Final = 3  # cues


def passport(text: str, number: Number, heading: Cue | None = None) -> Span | None:
    """A passport whose digits are these."""
    if not 6 <= len(number.digits) <= 8 or len(number.groups) > 3 or number.plus:
        return None
    letters = _LETTERS.search(text, max(0, number.start - 4), number.start)
    if letters is None or text[number.end : number.end + 1].isalnum():
        return None
    start = letters.start()
    ours = len(number.digits) == 7 and letters[0].strip(" -").upper() in _OUR_OWN
    spaced = letters[0][-1] in " -"
    if heading and heading.kind == "PASSPORT":
        return Span(start, number.end, "PASSPORT", 0.95, "passports")
    for seen, cue in enumerate(before(text, start)):
        if cue.kind == "OTHER" and cue.direct:
            return None
        if cue.kind == "PASSPORT" and (cue.direct or (cue.near and not spaced)):
            return Span(start, number.end, "PASSPORT", 0.95 if cue.direct else 0.8, "passports")
        if cue.kind == "DRIVER_LICENSE" and cue.direct and not spaced:
            return Span(start, number.end, licence(cue.said), 0.75, "passports")
        if seen == _FAR:
            break
    follows = after(text, number.end)
    if follows and follows.kind == "PASSPORT" and not spaced:
        return Span(start, number.end, "PASSPORT", 0.9, "passports")
    if follows and follows.kind == "ISSUED" and ours and not spaced:
        return Span(start, number.end, "PASSPORT", 0.8, "passports")
    return None


def licence(said: str) -> str:
    """Whose driving licence it is, by the language of the word that names it."""
    return "US_DRIVER_LICENSE" if said.startswith("d") else "DRIVER_LICENSE"
