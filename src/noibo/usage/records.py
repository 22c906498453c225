"""Calls in the database: brought in once, whoever brings them and how often."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.schema import usage
from noibo.usage.entry import UsageEntry
from noibo.usage.tokens import Tokens

QUARTER_S: Final = 900  # every zone's days begin at a quarter of an hour
_LONGEST_TEXT: Final = 1000
_MOST: Final = 2**62  # a column's, and a sum of two


def insert_entries(connection: Connection, entries: Sequence[UsageEntry]) -> None:
    """Keep calls; those that are kept already stay as they are. All answers come this way: the
    driver is given their values as they are, which takes half the time."""
    if entries:
        statement, values = _insertion(connection.dialect)
        connection.exec_driver_sql(statement, [values(row(entry)) for entry in entries])


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


@functools.lru_cache(maxsize=8)
def _insertion(dialect: sa.Dialect) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """The statement in a dialect, and what puts a row's values in its order."""
    insert = _insert(dialect.name).on_conflict_do_nothing(index_elements=["id"])
    compiled = insert.compile(dialect=dialect)
    return str(compiled), operator.itemgetter(*compiled.positiontup)


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
