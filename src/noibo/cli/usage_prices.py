"""The prices that `noibo usage prices` shows, and the file it takes them from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from noibo.cli.table import Column, print_paragraph, print_table
from noibo.modelstore.printable import shown
from noibo.settings import Settings
from noibo.usage.prices import FILE_NAME, Price, PriceTable, written

_RATES = ("input", "cached_input", "cache_write", "output", "reasoning")


def take_file(tree: Settings, file: Path, as_of: str | None) -> None:
    """Let a table hold from now on, once it was read whole."""
    from noibo.modelstore.disk import write_atomically
    from noibo.usage.price_import import read_file

    table = read_file(file, as_of or time.strftime("%Y-%m-%d"))
    tree.home.mkdir(parents=True, exist_ok=True)
    write_atomically(tree.home / FILE_NAME, written(table).encode())
    print(
        f"{len(table.prices)} prices of {table.as_of} hold from now on ({tree.home / FILE_NAME}); "
        "a server that runs takes them at its next start."
    )


def print_prices(table: PriceTable, found: Sequence[Price]) -> None:
    """Dollars for a million tokens, of each kind."""
    heads = ("MODEL", "INPUT", "CACHED", "CACHE WRITE", "OUTPUT", "THOUGHT", "IMAGE", "AS OF")
    columns = [Column(head, right=0 < place < 7) for place, head in enumerate(heads)]
    print_table(columns, [_cells(one) for one in sorted(found, key=lambda one: one.name)])
    print()
    print_paragraph(
        f"Dollars for a million tokens, or for an image. {table.source}. A model that is not here "
        'has no known price; [prices."NAME"] in noibo.toml gives it one.'
    )


def as_rows(found: Sequence[Price]) -> list[dict[str, Any]]:
    """Them as rows with names."""
    return [
        {
            "name": one.name,
            **{rate: _number(getattr(one.usual, rate)) for rate in _RATES},
            "long_above": one.long_above if one.long else None,
            "long": one.long and {rate: _number(getattr(one.long, rate)) for rate in _RATES},
            "image": _number(one.image),
            "request": _number(one.request),
            "as_of": one.as_of,
            "source": one.source,
        }
        for one in found
    ]


def _cells(one: Price) -> list[str]:
    amounts = [*(getattr(one.usual, rate) for rate in _RATES), one.image]
    return [shown(one.name, 100), *("" if a is None else f"{a:f}" for a in amounts), one.as_of]


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
