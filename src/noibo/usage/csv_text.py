"""Tables as CSV that a spreadsheet may open: no cell of it can be a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

# What spreadsheets take for the beginning of a formula, or lead to one.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def cell(value: object) -> str:
    """A value as a cell. Of a text that would be a formula an apostrophe makes a text; a number is
    none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    text = str(value).replace("\0", "")
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULAS) else text


def csv_text(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with its titles, as RFC 4180 has it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(titles)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
