"""Columns of SQL: in `INSERT INTO … (name, tax_code) VALUES ('Lan', '0101243150')` the word that
names a value stands in the list before it, at the same place."""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.cues import Cue, before

_LONGEST: Final = 2000  # characters of a statement that are read back
_COLUMNS: Final = re.compile(r"\(([^()]{1,600})\)\s{0,8}values\s{0,8}(?=\()", re.IGNORECASE)
_QUOTED: Final = re.compile(r"'(?:[^'\n]|'')*'|\"[^\"\n]*\"")


def speaks(text: str) -> bool:
    """Whether there may be such a statement at all."""
    return "VALUES" in text or "values" in text or "Values" in text


def column(text: str, place: int) -> Cue | None:
    """What the column is called that the value at `place` is put into, if it is in a statement."""
    since = max(0, place - _LONGEST)
    statements = list(_COLUMNS.finditer(text, since, place))
    if not statements:
        return None
    opened = statements[-1]
    row = _QUOTED.sub("", text[opened.end() : place])
    if ";" in row:
        return None
    # The quotation around the value is still open: what is before it counts.
    row = row.rpartition("(")[2]
    if ")" in row:
        return None
    names = opened[1].split(",")
    at = row.count(",")
    if at >= len(names):
        return None
    cue = next(before(names[at], len(names[at])), None)
    return cue if cue and cue.direct else None
