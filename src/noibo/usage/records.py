"""Calls in the database: brought in once, whoever brings them and how often."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.schema import usage
from noibo.usage.entry import UsageEntry
from noibo.usage.tokens import Tokens

QUARTER_S: Final = 900  # every zone's days begin at a quarter of an hour
_LONGEST: Final = {"request": 64, "owner": 128, "key": 128, "route": 128, "label": 64}
_LONGEST_TEXT: Final = 1000
_MOST: Final = 2**62  # a column's, and a sum of two


def insert_entries(connection: Connection, entries: Sequence[UsageEntry]) -> None:
    """Keep calls; those that are kept already stay as they are."""
    if entries:
        insert = _insert(connection).on_conflict_do_nothing(index_elements=["id"])
        connection.execute(insert, [row(entry) for entry in entries])


def replace_entry(connection: Connection, entry: UsageEntry) -> None:
    """Keep a call in place of what was kept of it."""
    values = row(entry)
    changed = {name: value for name, value in values.items() if name != "id"}
    insert = _insert(connection).values(values)
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changed))


def forget_before(connection: Connection, at: float) -> int:
    """Calls that ended before are gone; how many."""
    old = usage.delete().where(usage.c.quarter < int(at // QUARTER_S))
    return connection.execute(old).rowcount


def row(entry: UsageEntry) -> dict[str, Any]:
    """An entry as a row. A NUL, which PostgreSQL takes in no text, is left out."""
    tokens = entry.tokens
    found: dict[str, Any] = {
        "id": entry.id,
        "request": entry.request,
        "at": entry.at,
        "quarter": int(entry.at // QUARTER_S),
        "owner": entry.owner,
        "key": entry.key,
        "asked": entry.asked,
        "model": entry.model,
        "route": entry.route,
        "reasons": json.dumps([one[:200] for one in entry.reasons[:20]], ensure_ascii=False),
        "local": entry.local,
        "destination": entry.destination,
        "input": tokens.input,
        "cached": tokens.cached,
        "cache_write": tokens.cache_write,
        "output": tokens.output,
        "reasoning": tokens.reasoning,
        "images": tokens.images,
        "first_ms": entry.first_ms,
        "total_ms": entry.total_ms,
        "cost": entry.cost,
        "cost_by": entry.cost_by,
        "label": entry.label,
        "outcome": entry.outcome,
    }
    for name, value in found.items():
        if isinstance(value, str) and name != "reasons":
            found[name] = value.replace("\0", "")[: _LONGEST.get(name, _LONGEST_TEXT)]
        elif type(value) is int:
            found[name] = max(min(value, _MOST), -_MOST)
    return found


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


def _insert(connection: Connection) -> Any:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(usage)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(usage)


def entries(connection: Connection, where: Sequence[sa.ColumnElement[bool]]) -> list[UsageEntry]:
    """Single calls, in the order in which they ended."""
    asked = sa.select(usage).where(*where).order_by(usage.c.at, usage.c.id)
    return [entry_of(found) for found in connection.execute(asked)]
