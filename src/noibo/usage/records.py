"""Calls in the database: brought in once, whoever brings them and how often."""

from __future__ import annotations

import functools
import itertools
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.schema import usage
from noibo.usage.entry import UsageEntry
from noibo.usage.tokens import Tokens

QUARTER_S: Final = 900  # every zone's days begin at a quarter of an hour
_LONGEST_TEXT: Final = 1000
_MOST: Final = 2**62  # a column's, and a sum of two
_TOGETHER: Final = 40  # rows in a statement: SQLite took 999 values once, and there are 24 columns


def insert_entries(connection: Connection, entries: Sequence[UsageEntry]) -> None:
    """Keep calls; those that are kept already stay as they are. All answers come this way: the
    driver is given their values as they are, and SQLite many rows with one step, in which it holds
    up no other thread; in the order of their requests, so that each page of that index is written
    once."""
    if not entries:
        return
    insertion = _insertion(connection.dialect)
    ordered = sorted(entries, key=operator.attrgetter("request"))
    rows = [insertion.values(row(entry)) for entry in ordered]
    whole = len(rows) - len(rows) % _TOGETHER if insertion.together else 0
    for start in range(0, whole, _TOGETHER):
        some = itertools.chain.from_iterable(rows[start : start + _TOGETHER])
        connection.exec_driver_sql(insertion.together, tuple(some))
    if rows[whole:]:
        connection.exec_driver_sql(insertion.single, rows[whole:])


def replace_entry(connection: Connection, entry: UsageEntry) -> None:
    """Keep a call in place of what was kept of it."""
    values = row(entry)
    changed = {name: value for name, value in values.items() if name != "id"}
    insert = _insert(connection.dialect.name).values(values)
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changed))


def forget_before(connection: Connection, at: float) -> int:
    """Calls that ended before are gone; how many."""
    old = usage.delete().where(usage.c.quarter < int(at // QUARTER_S))
    return connection.execute(old).rowcount


def row(entry: UsageEntry) -> dict[str, Any]:
    """An entry as a row. A NUL, which PostgreSQL takes in no text, is left out."""
    tokens = entry.tokens
    reasons = [one[:200] for one in entry.reasons[:20]]
    return {
        "id": entry.id,
        "request": _text(entry.request, 64),
        "at": entry.at,
        "quarter": int(entry.at // QUARTER_S),
        "owner": _text(entry.owner, 128),
        "key": _text(entry.key, 128),
        "asked": _text(entry.asked),
        "model": _text(entry.model),
        "route": _text(entry.route, 128),
        "reasons": json.dumps(reasons, ensure_ascii=False) if reasons else "[]",
        "local": entry.local,
        "destination": _text(entry.destination),
        "input": _whole(tokens.input),
        "cached": _whole(tokens.cached),
        "cache_write": _whole(tokens.cache_write),
        "output": _whole(tokens.output),
        "reasoning": _whole(tokens.reasoning),
        "images": _whole(tokens.images),
        "first_ms": _whole(entry.first_ms),
        "total_ms": _whole(entry.total_ms),
        "cost": _whole(entry.cost),
        "cost_by": entry.cost_by,
        "label": _text(entry.label, 64),
        "outcome": entry.outcome,
    }


def _text(said: str, longest: int = _LONGEST_TEXT) -> str:
    return said.replace("\0", "")[:longest]


def _whole(number: int | None) -> int | None:
    return number if number is None or -_MOST <= number <= _MOST else _bounded(number)


def _bounded(number: int) -> int:
    return max(min(number, _MOST), -_MOST)


def entry_of(found: Any) -> UsageEntry:
    """A row as an entry."""
    tokens = Tokens(
        found.input, found.cached, found.cache_write, found.output, found.reasoning, found.images
    )
    return UsageEntry(
        id=found.id,
        request=found.request,
        at=found.at,
        owner=found.owner,
        model=found.model,
        key=found.key,
        asked=found.asked,
        route=found.route,
        reasons=tuple(json.loads(found.reasons)),
        local=found.local,
        destination=found.destination,
        tokens=tokens,
        first_ms=found.first_ms,
        total_ms=found.total_ms,
        cost=found.cost,
        cost_by=found.cost_by,
        label=found.label,
        outcome=found.outcome,
    )


@dataclass(frozen=True, slots=True)
class _Insertion:
    """The statement in a dialect, of one row and of `_TOGETHER`, where it can be said of several;
    and what puts a row's values in its order."""

    single: str
    together: str
    values: Callable[[Mapping[str, Any]], Any]


@functools.lru_cache(maxsize=8)
def _insertion(dialect: sa.Dialect) -> _Insertion:
    insert = _insert(dialect.name).on_conflict_do_nothing(index_elements=["id"])
    compiled = insert.compile(dialect=dialect)
    single, places = str(compiled), f"({', '.join('?' * len(compiled.positiontup))})"
    together = single.replace(places, ", ".join([places] * _TOGETHER))
    return _Insertion(
        single, "" if together == single else together, operator.itemgetter(*compiled.positiontup)
    )


def _insert(dialect: str) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(usage)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(usage)


def entries(connection: Connection, where: Sequence[sa.ColumnElement[bool]]) -> list[UsageEntry]:
    """Single calls, in the order in which they ended."""
    asked = sa.select(usage).where(*where).order_by(usage.c.at, usage.c.id)
    return [entry_of(found) for found in connection.execute(asked)]
