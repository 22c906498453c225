"""Finds what is kept: of one user, or with somebody's name in it, whoever stored it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database import schema
from noibo.holdings.places import TEXTS, Texts
from noibo.holdings.wanted import Wanted

_AT_A_TIME: Final = 500


@dataclass(frozen=True, slots=True)
class Hit:
    """One row that somebody is named in. `key`: its primary key; `columns`: in which of its texts;
    `owner`: whose the row is."""

    kind: str
    key: tuple[Any, ...]
    owner: str
    columns: tuple[str, ...]
    excerpt: str = ""

    @property
    def name(self) -> str:
        """What the row is called where people read."""
        return "/".join(map(str, self.key))


@dataclass(slots=True)
class Found:
    """All of it. `unsearched`: files that cannot be read as text."""

    hits: list[Hit] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How many rows of each kind."""
        counted: dict[str, int] = {}
        for hit in self.hits:
            counted[hit.kind] = counted.get(hit.kind, 0) + 1
        return counted


def rows_with(connection: Connection, wanted: Wanted) -> Iterator[Hit]:
    """All rows whose texts name somebody. Reads every row: of what is stored nothing is indexed by
    its words."""
    for texts in TEXTS:
        for row in _all(connection, texts):
            if (hit := _hit(texts, row, wanted)) is not None:
                yield hit


def owned_by(name: str) -> sa.ColumnElement[bool]:
    """True of what is a user's, also of what was theirs before they were removed; for a column
    called `owner`."""
    return owner_is(sa.column("owner"), name)


def owner_is(owner: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
    """That, of any column."""
    former = owner.startswith(f"{name} until ", autoescape=True)
    return sa.or_(owner == name, former)


def rows_of(connection: Connection, name: str) -> Iterator[tuple[Texts, dict[str, Any]]]:
    """All rows with texts that are a user's."""
    for texts in TEXTS:
        for row in connection.execute(_selected(texts).where(owner_is(_owner(texts), name))):
            yield texts, dict(row._mapping)


def _all(connection: Connection, texts: Texts) -> Iterator[Any]:
    """Every row, some at a time in the order of their keys: whoever writes meanwhile may."""
    last: tuple[Any, ...] | None = None
    while True:
        asked = _selected(texts).order_by(*texts.key).limit(_AT_A_TIME)
        if last is not None:
            asked = asked.where(sa.tuple_(*texts.key) > sa.tuple_(*map(sa.literal, last)))
        rows = connection.execute(asked).all()
        yield from rows
        if len(rows) < _AT_A_TIME:
            return
        last = tuple(getattr(rows[-1], column.name) for column in texts.key)


def _selected(texts: Texts) -> sa.Select[Any]:
    whose = _owner(texts).label("owner")
    columns = [column for column in texts.table.columns if column.name != "owner"]
    if texts.table is schema.batch_results:
        joined = schema.batch_results.join(
            schema.batches, schema.batches.c.id == schema.batch_results.c.batch_id
        )
        return sa.select(*columns, whose).select_from(joined)
    return sa.select(*columns, whose)


def _owner(texts: Texts) -> sa.Column[Any]:
    if texts.table is schema.batch_results:
        return schema.batches.c.owner
    return texts.table.c.owner


def _hit(texts: Texts, row: Any, wanted: Wanted) -> Hit | None:
    columns, excerpt = [], ""
    for name in (*texts.columns, *texts.packed):
        value = getattr(row, name)
        said = wanted.within_json(texts.read(name, value)) if value is not None else ""
        if said:
            columns.append(name)
            excerpt = excerpt or wanted.excerpt(said)
    if not columns:
        return None
    key = tuple(getattr(row, column.name) for column in texts.key)
    return Hit(texts.kind, key, row.owner, tuple(columns), excerpt)
