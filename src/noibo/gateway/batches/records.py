"""Batches in the database, and what came of each of their lines.

A result and the counts that it changes are one transaction: after a kill at any moment, the lines
that have no result are those that are still to be asked.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.conflict import insert_new
from noibo.database.database import Database
from noibo.database.schema import batch_results, batches, files
from noibo.errors import InvalidRequest, NotFound
from noibo.gateway.batches.batch import COLUMNS, Batch, batch_of, text_of
from noibo.gateway.callers import Caller
from noibo.gateway.files.files import lives
from noibo.gateway.page import Page, listed
from noibo.gateway.page_rows import rows_of
from noibo.privacy.walk import OWN
from noibo.wire import ids
from noibo.wire.batches import ACTIVE, WINDOW_S, Asked
from noibo.wire.body import Json
from noibo.wire.ids import is_id

PAGE: Final = 8 * 2**20  # characters of results that are in memory at the same time
_AT_A_TIME: Final = 100


class BatchRecords:
    """All batches. Callers name an owner; the runner sees all."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(
        self, caller: Caller, asked: Asked, label: Mapping[str, str] | None = None
    ) -> Batch:
        """A new one, whose input is still to be looked at. `label`: what was said of it, which
        holds for all its lines. Raises `InvalidRequest` without a file for it."""
        now = time.time()
        body: Json = {
            "endpoint": asked.endpoint,
            "metadata": asked.metadata,
            "output_lifetime_s": asked.output_lifetime_s,
        }
        if label:
            body[OWN] = dict(label)
        batch = Batch(
            ids.new("batch"),
            caller.owner,
            now,
            now + WINDOW_S,
            "validating",
            asked.input_file_id,
            body=body,
            asked_by=caller.by or None,
        )
        row = {name: getattr(batch, name) for name in COLUMNS} | {"body": text_of(body)}

        def write(connection: Connection) -> None:
            _require_input(connection, caller.owner, asked.input_file_id)
            connection.execute(batches.insert().values(**row))

        await self.database.write(write)
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
        return listed([batch_of(row).told() for row in rows], has_more=has_more)

    async def active(self) -> list[Batch]:
        """Those that are not at their end, the oldest first."""

        def read(connection: Connection) -> list[Any]:
            mine = sa.select(batches).where(batches.c.status.in_(ACTIVE))
            return list(connection.execute(mine.order_by(batches.c.created_at)).all())

        return [batch_of(row) for row in await self.database.read(read)]

    async def change(self, name: str, step: Callable[[Batch], Json | None]) -> Batch | None:
        """Let `step` say what is new of a batch as it stands now: its columns, or keys of its
        body. None, or nothing new: it stays as it is."""

        return await self.database.write(lambda connection: change_in(connection, name, step)[0])

    async def add_result(self, name: str, line: int, result: bytes, *, ok: bool) -> None:
        """What came of a line. A line has one result, the first; and none once its batch has gone
        on, whatever a server still asks that does not know of it."""
        row = {"batch_id": name, "line": line, "ok": ok, "body": result.decode()}

        def write(connection: Connection) -> None:
            found = _one(connection, name, for_update=True)
            if found is None or found.status != "in_progress":
                return
            if insert_new(connection, batch_results, row):
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

    async def results(self, name: str, *, ok: bool) -> AsyncIterator[Sequence[Any]]:
        """The results in the order of the input, as rows of `line` and `body`: in pages, each no
        larger than `PAGE` or than one result."""
        mine = (batch_results.c.batch_id == name, batch_results.c.ok == ok)
        line, body = batch_results.c.line, batch_results.c.body
        sized = sa.select(line, sa.func.length(body)).where(*mine).order_by(line).limit(_AT_A_TIME)
        after = 0
        while sizes := await self._rows(sized.where(line > after)):
            for first, last in _pages(sizes):
                page = sa.select(line, body).where(*mine, line.between(first, last))
                yield await self._rows(page.order_by(line))
            after = sizes[-1][0]

    async def older_than(self, before: float) -> int:
        """How many were made before a time, and are at their end."""
        asked = sa.select(sa.func.count()).select_from(batches).where(*_old(before))
        return int((await self._rows(asked))[0][0])

    async def forget(self, before: float) -> int:
        """Take those away that were made before a time and are at their end; how many that were.
        Their results in files are files."""
        old = sa.select(batches.c.id).where(*_old(before)).limit(_AT_A_TIME)
        gone = batches.delete().where(batches.c.id.in_(old))
        count = 0
        while some := await self.database.write(lambda found: found.execute(gone).rowcount):
            count += some
        return count

    async def forget_results(self) -> None:
        """Of all that are at their end: their results stand in files. Some at a time, since others
        want the database too."""
        active = sa.select(batches.c.id).where(batches.c.status.in_(ACTIVE))
        named = sa.select(batch_results.c.batch_id, batch_results.c.line)
        over = named.where(batch_results.c.batch_id.not_in(active)).limit(_AT_A_TIME)

        def write(connection: Connection) -> bool:
            rows = connection.execute(over).all()
            for name in {row.batch_id for row in rows}:
                lines = [row.line for row in rows if row.batch_id == name]
                mine = (batch_results.c.batch_id == name, batch_results.c.line.in_(lines))
                connection.execute(batch_results.delete().where(*mine))
            return len(rows) == _AT_A_TIME

        while await self.database.write(write):
            pass

    async def _rows(self, asked: sa.Select[Any]) -> Sequence[Any]:
        return await self.database.read(lambda connection: connection.execute(asked).all())


def _old(before: float) -> tuple[sa.ColumnElement[bool], ...]:
    return batches.c.created_at < before, batches.c.status.not_in(ACTIVE)


def change_in(
    connection: Connection, name: str, step: Callable[[Batch], Json | None]
) -> tuple[Batch | None, bool]:
    """The batch after a step, in a transaction of the caller's, and whether it was taken."""
    found = _one(connection, name, for_update=True)
    new = step(found) if found is not None else None
    if found is None or not new:
        return found, False
    columns = {k: v for k, v in new.items() if k in COLUMNS}
    body = found.body | {k: v for k, v in new.items() if k not in COLUMNS}
    changed = batches.update().where(batches.c.id == name)
    connection.execute(changed.values(**columns, body=text_of(body)))
    return _one(connection, name), True


def _require_input(connection: Connection, owner: str, name: str) -> None:
    """The input stays, for as long as this transaction: who deletes it waits. Raises
    `InvalidRequest`."""
    mine = sa.select(files.c.purpose).where(files.c.id == name, files.c.owner == owner, lives())
    purpose = connection.execute(mine.with_for_update()).scalar()
    if purpose != "batch":
        what = "There is no file" if purpose is None else "Not uploaded for a batch is"
        raise InvalidRequest(
            f"{what} {name}.",
            param="input_file_id",
            next_step="Upload it with the purpose batch: POST /v1/files.",
        )


def _pages(sizes: Sequence[Any]) -> list[tuple[int, int]]:
    """The first and the last line of each page, by lines and their sizes."""
    pages: list[tuple[int, int]] = []
    room = 0
    for line, size in sizes:
        room -= size
        if room < 0 or not pages:
            pages.append((line, line))
            room = PAGE - size
        pages[-1] = (pages[-1][0], line)
    return pages


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
    return None if row is None else batch_of(row)
