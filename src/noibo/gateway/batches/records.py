"""Batches in the database, and what came of each of their lines.

A result and the counts that it changes are one transaction: after a kill at any moment, the lines
that have no result are those that are still to be asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.database import Database
from noibo.database.schema import batch_results, batches
from noibo.errors import NotFound
from noibo.gateway.page import Page, listed
from noibo.gateway.page_rows import rows_of
from noibo.wire import ids
from noibo.wire.batches import ACTIVE, WINDOW, WINDOW_S, Asked, Usage
from noibo.wire.body import Json
from noibo.wire.ids import is_id

_TIMES: Final = [
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. `body` has what only its reader wants to know."""

    id: str
    owner: str
    created_at: float
    expires_at: float
    status: str
    input_file_id: str
    total: int = 0
    completed: int = 0
    failed: int = 0
    body: Json = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return str(self.body["endpoint"])

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    def told(self) -> Json:
        """OpenAI's object."""
        counts = {"total": self.total, "completed": self.completed, "failed": self.failed}
        return {
            "id": self.id,
            "object": "batch",
            "status": self.status,
            "created_at": int(self.created_at),
            "expires_at": int(self.expires_at),
            "input_file_id": self.input_file_id,
            "completion_window": WINDOW,
            "request_counts": counts,
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
            "usage": Usage().told(),
            **dict.fromkeys(_TIMES),
            **{k: v for k, v in self.body.items() if k != "output_lifetime_s"},
        }


class BatchRecords:
    """All batches. Callers name an owner; the runner sees all."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, owner: str, asked: Asked) -> Batch:
        """A new one, whose input is still to be looked at."""
        now = time.time()
        body = {
            "endpoint": asked.endpoint,
            "metadata": asked.metadata,
            "output_lifetime_s": asked.output_lifetime_s,
        }
        batch = Batch(
            ids.new("batch"),
            owner,
            now,
            now + WINDOW_S,
            "validating",
            asked.input_file_id,
            body=body,
        )
        row = {name: getattr(batch, name) for name in _COLUMNS} | {"body": _text(body)}
        await self.database.write(lambda connection: connection.execute(_insert(row)))
        return batch

    async def get(self, owner: str, name: str) -> Batch:
        """One batch. Raises `NotFound`."""
        found = await self.database.read(lambda connection: _one(connection, name, owner))
        if found is None:
            raise NotFound(
                f"There is no batch {name[:80]!r}.",
                next_step="GET /v1/batches lists what there is.",
            )
        return found

    async def page(self, owner: str, page: Page) -> Json:
        """The batches of an owner, the newest first."""

        def read(connection: Connection) -> tuple[list[Any], bool]:
            return rows_of(connection, batches, page, batches.c.owner == owner)

        rows, has_more = await self.database.read(read)
        return listed([_batch(row).told() for row in rows], has_more=has_more)

    async def active(self) -> list[Batch]:
        """Those that are not at their end, the oldest first."""

        def read(connection: Connection) -> list[Any]:
            mine = sa.select(batches).where(batches.c.status.in_(ACTIVE))
            return list(connection.execute(mine.order_by(batches.c.created_at)).all())

        return [_batch(row) for row in await self.database.read(read)]

    async def change(self, name: str, step: Callable[[Batch], Json | None]) -> Batch | None:
        """Let `step` say what is new of a batch as it stands now: its columns, or keys of its
        body. None, or nothing new: it stays as it is."""

        def write(connection: Connection) -> Batch | None:
            found = _one(connection, name, for_update=True)
            new = step(found) if found is not None else None
            if found is None or not new:
                return found
            columns = {k: v for k, v in new.items() if k in _COLUMNS}
            body = found.body | {k: v for k, v in new.items() if k not in _COLUMNS}
            changed = batches.update().where(batches.c.id == name)
            connection.execute(changed.values(**columns, body=_text(body)))
            return _one(connection, name)

        return await self.database.write(write)

    async def add_result(self, name: str, line: int, result: bytes, *, ok: bool) -> None:
        """What came of a line. A line has one result: the first."""

        def write(connection: Connection) -> None:
            here = (batch_results.c.batch_id == name, batch_results.c.line == line)
            if connection.execute(sa.select(batch_results.c.line).where(*here)).first():
                return
            row = {"batch_id": name, "line": line, "ok": ok, "body": result.decode()}
            connection.execute(batch_results.insert().values(**row))
            column = batches.c.completed if ok else batches.c.failed
            changed = batches.update().where(batches.c.id == name)
            connection.execute(changed.values({column: column + 1}))

        await self.database.write(write)

    async def done(self, name: str) -> set[int]:
        """The lines that have a result."""

        def read(connection: Connection) -> set[int]:
            mine = sa.select(batch_results.c.line).where(batch_results.c.batch_id == name)
            return {row.line for row in connection.execute(mine)}

        return await self.database.read(read)

    async def results(self, name: str, *, ok: bool, after: int, most: int) -> Sequence[Any]:
        """Some of the results, in the order of the input: rows of `line` and `body`."""

        def read(connection: Connection) -> Sequence[Any]:
            mine = sa.select(batch_results.c.line, batch_results.c.body).where(
                batch_results.c.batch_id == name,
                batch_results.c.ok == ok,
                batch_results.c.line > after,
            )
            return connection.execute(mine.order_by(batch_results.c.line).limit(most)).all()

        return await self.database.read(read)

    async def forget_results(self) -> None:
        """Of all that are at their end: their results stand in files."""

        def write(connection: Connection) -> None:
            active = sa.select(batches.c.id).where(batches.c.status.in_(ACTIVE))
            over = batch_results.c.batch_id.not_in(active)
            connection.execute(batch_results.delete().where(over))

        await self.database.write(write)


_COLUMNS: Final = frozenset(
    [
        "id",
        "owner",
        "created_at",
        "expires_at",
        "status",
        "input_file_id",
        "total",
        "completed",
        "failed",
    ]
)


def _insert(row: Json) -> sa.Insert:
    return batches.insert().values(**row)


def _one(
    connection: Connection, name: str, owner: str | None = None, *, for_update: bool = False
) -> Batch | None:
    if not is_id(name):
        return None
    mine = sa.select(batches).where(batches.c.id == name)
    if owner is not None:
        mine = mine.where(batches.c.owner == owner)
    if for_update:
        mine = mine.with_for_update()
    row = connection.execute(mine).one_or_none()
    return None if row is None else _batch(row)


def _batch(row: Any) -> Batch:
    columns = {name: getattr(row, name) for name in _COLUMNS}
    return Batch(**columns, body=msgspec.json.decode(row.body))


def _text(body: Json) -> str:
    return msgspec.json.encode(body).decode()
