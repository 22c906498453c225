"""A table on a terminal: columns as wide as they must be, long text wrapped within the edge."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

WIDTH: Final = 100  # where no terminal says how wide it is
_GAP: Final = "  "
_LEAST: Final = 12  # a wrapped column is never narrower


@dataclass(frozen=True, slots=True)
class Column:
    """A heading. `most` characters before a cell is wrapped; `right`: numbers."""

    title: str
    most: int | None = None
    right: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings; the last column takes what width is left, and wraps."""
    cells = [[column.title for column in columns], *rows]
    widths = _widths(columns, cells, _edge())
    for row in cells:
        for line in _lines(columns, row, widths):
            print(line)


def print_paragraph(text: str) -> None:
    """Print text wrapped at the same edge."""
    for line in textwrap.wrap(text, _edge(), subsequent_indent="  "):
        print(line)


def _edge() -> int:
    return min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    natural = [max(len(row[number]) for row in cells) for number in range(len(columns))]
    fixed = [min(wide, column.most or wide) for wide, column in zip(natural, columns, strict=True)][
        :-1
    ]
    left = width - sum(fixed) - len(_GAP) * len(fixed)
    return [*fixed, min(natural[-1], max(left, _LEAST))]


def _lines(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    wrapped = [textwrap.wrap(cell, wide) or [""] for cell, wide in zip(row, widths, strict=True)]
    for parts in zip_longest(*wrapped, fillvalue=""):
        padded = (
            f"{part:>{wide}}" if column.right else f"{part:<{wide}}"
            for part, wide, column in zip(parts, widths, columns, strict=True)
        )
        yield _GAP.join(padded).rstrip()
