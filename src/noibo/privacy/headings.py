"""Headings of columns: in a table the word that names a number stands at the top, not before it.

    Họ tên,Mã số thuế,Ngày sinh          | Tên | Số tài khoản |
    Lan,0101243150,1988-12-01            |-----|--------------|
    Hùng,0301442379,1990-07-07           | Hoa | 102345678901 |

A table is a block of lines without an empty one, whose first line has cells and no numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from noibo.privacy.cues import Cue, before

_DELIMITERS: Final = "\t|;,"
_LONGEST_HEADING: Final = 2000  # characters
_QUOTED: Final = re.compile(r'"[^"\n]*"')
_DIGITS: Final = re.compile(r"[0-9]{4}")


@dataclass(slots=True)
class Headings:
    """Of one text, asked from left to right: each block's heading is read once."""

    text: str
    _start: int = 0
    _end: int = -1
    _delimiter: str = ""
    _first_row: int = 0
    _cues: list[Cue | None] = field(default_factory=list)

    def cue(self, place: int) -> Cue | None:
        """What the heading of the column says that the place is in, if it is in a table."""
        if place >= self._end:
            self._read_block(place)
        if not self._delimiter or place < self._first_row:
            return None
        line = self.text.rfind("\n", self._start, place) + 1
        if place - line > _LONGEST_HEADING:
            return None
        row = self.text[line:place]
        if self._delimiter == "," and '"' in row:
            row = _QUOTED.sub("", row)
        column = row.count(self._delimiter)
        return self._cues[column] if column < len(self._cues) else None

    def _read_block(self, place: int) -> None:
        text = self.text
        self._start = text.rfind("\n\n", self._end if self._end > 0 else 0, place) + 2
        if self._start < 2:
            self._start = max(self._end, 0)
        end = text.find("\n\n", place)
        self._end = len(text) if end < 0 else end + 2
        self._delimiter = ""
        while text.startswith("\n", self._start):
            self._start += 1
        stop = text.find("\n", self._start, self._start + _LONGEST_HEADING)
        if stop < 0 or stop > place:
            return
        heading = text[self._start : stop]
        delimiter = max(_DELIMITERS, key=heading.count)
        if delimiter not in heading or _DIGITS.search(heading):
            return
        cues = [_whole(cell) for cell in heading.split(delimiter)]
        if any(cues):
            self._delimiter, self._cues, self._first_row = delimiter, cues, stop


def _whole(cell: str) -> Cue | None:
    """The cue that a cell is, or ends with."""
    cue = next(before(cell, len(cell)), None) if len(cell) < 60 else None
    return cue if cue and cue.direct else None
