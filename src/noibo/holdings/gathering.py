"""Gathers what goes into an export: a user's own rows, or those in which somebody is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database import schema
from noibo.holdings.accounts import KEY, USER
from noibo.holdings.export import Export
from noibo.holdings.finding import Found, owner_is, rows_of
from noibo.holdings.places import TEXTS, Texts
from noibo.holdings.steward import Folder

Json = dict[str, Any]
# What may be shown of accounts: no digest of a key, no password.
_SHOWN: Final = {
    KEY: tuple(
        schema.api_keys.c[name]
        for name in ("id", "name", "owner", "role", "models", "routes", "created_at", "expires_at",
                     "revoked_at")
    ),
    USER: tuple(schema.users.c[name] for name in ("name", "role", "created_at")),
}  # fmt: skip


def of_user(connection: Connection, name: str) -> dict[str, list[Json]]:
    """All rows that are a user's or a key's, by kind, without digests of secrets."""
    found: dict[str, list[Json]] = {texts.kind: [] for texts in TEXTS}
    for texts, row in rows_of(connection, name):
        found[texts.kind].append(readable(texts, row))
    sessions, usage = schema.sessions, schema.usage
    users = sa.select(*_SHOWN[USER]).where(schema.users.c.name == name)
    keys = sa.select(*_SHOWN[KEY]).where(schema.api_keys.c.owner == name)
    found[USER], found[KEY] = _rows(connection, users), _rows(connection, keys)
    times = sa.select(sessions.c.created_at, sessions.c.seen_at).where(sessions.c.user == name)
    found["session"] = _rows(connection, times)
    found["usage"] = _rows(connection, sa.select(usage).where(owner_is(usage.c.owner, name)))
    spent = schema.budget_spending
    scopes = [f"user:{name}", name, *(f"key:{row['id']}" for row in found[KEY])]
    found["budget"] = _rows(connection, sa.select(spent).where(spent.c.scope.in_(scopes)))
    return {kind: rows for kind, rows in found.items() if rows}


def of_hits(connection: Connection, found: Found) -> dict[str, list[Json]]:
    """The rows that were found."""
    by_kind = {texts.kind: texts for texts in TEXTS}
    rows: dict[str, list[Json]] = {}
    for hit in found.hits:
        if hit.kind in _SHOWN:
            shown = _SHOWN[hit.kind]
            asked = sa.select(*shown).where(shown[0] == hit.key[0])
            rows.setdefault(hit.kind, []).extend(_rows(connection, asked))
        texts = by_kind.get(hit.kind)
        if texts is None:
            continue
        mine = sa.and_(*(c == one for c, one in zip(texts.key, hit.key, strict=True)))
        row = connection.execute(sa.select(texts.table).where(mine)).one_or_none()
        if row is not None:
            rows.setdefault(hit.kind, []).append(readable(texts, dict(row._mapping)))
    return rows


def readable(texts: Texts, row: Mapping[str, Any]) -> Json:
    """A row as JSON: its texts as the JSON that they are."""
    return {
        name: texts.read(name, value)
        if name in (*texts.columns, *texts.packed) and value is not None
        else value
        for name, value in row.items()
    }


def put_files(export: Export, folder: Folder, names: Iterable[str]) -> None:
    """The contents that are there."""
    for name in names:
        path = folder.find(name)
        if path is not None:
            export.file(name, path, folder.open)


def put_on_disk(export: Export, home: Path, paths: Iterable[Path]) -> None:
    """Conversations and typed lines of this home."""
    for path in paths:
        export.file(str(path.relative_to(home)), path, lambda one: one.open("rb"))


def _rows(connection: Connection, asked: sa.Select[Any]) -> list[Json]:
    return [dict(row._mapping) for row in connection.execute(asked)]
