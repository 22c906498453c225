"""Uploaded files: a row in the database for each, its content beside it in a folder.

No kill and no cancel leaves one without the other. A file comes in one transaction, when its
content is whole (`contents`). It goes in two steps: it expires, and nobody sees it any more; then
its content is removed, and after that its row. What a kill leaves in between is done by `sweep`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.database import Database
from noibo.database.schema import batches, files
from noibo.database.seal import Seal
from noibo.database.sealed_file import FRAME, key_of
from noibo.errors import DatabaseError, NameTaken, NoiboError, NotFound
from noibo.gateway.files.card import Card, card_of, row_of
from noibo.gateway.files.contents import Contents, Incoming
from noibo.gateway.page import Page, listed
from noibo.gateway.page_rows import rows_of
from noibo.wire import ids
from noibo.wire.batches import ACTIVE
from noibo.wire.body import Json
from noibo.wire.ids import is_id

log = logging.getLogger(__name__)

_AT_A_TIME: Final = 500


class Files:
    """All files. Every question names an owner; what is another's is not found."""

    def __init__(
        self, database: Database, folder: Path, largest: int, seal: Seal | None = None
    ) -> None:
        self._database = database
        self._contents = Contents(folder, seal)
        self.largest = largest

    async def start(self) -> Incoming:
        """A new content, to be written piece by piece."""
        name = ids.new("file", "-")
        creating = asyncio.create_task(asyncio.to_thread(self._contents.create, name))
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            creating.add_done_callback(_unwanted)
            raise

    @contextlib.asynccontextmanager
    async def coming(self) -> AsyncIterator[Incoming]:
        """A new content that is abandoned at the end, unless it was given to `keep`."""
        incoming = await self.start()
        try:
            yield incoming
        finally:
            if not incoming.given:
                await asyncio.to_thread(incoming.abandon)

    async def keep(
        self,
        coming: Mapping[Card, Incoming],
        if_true: Callable[[Connection], bool] = lambda connection: True,
    ) -> bool:
        """Make whole contents files, in one transaction with what `if_true` writes; where that is
        false they are abandoned. A caller that leaves does not undo half of it."""
        for incoming in coming.values():
            incoming.given = True
        return await asyncio.shield(asyncio.create_task(self._keep(coming, if_true)))

    async def _keep(
        self, coming: Mapping[Card, Incoming], if_true: Callable[[Connection], bool]
    ) -> bool:
        def write(connection: Connection) -> bool:
            kept = if_true(connection)
            if kept and coming:
                connection.execute(files.insert(), [row_of(card) for card in coming])
            return kept

        try:
            for incoming in coming.values():
                await asyncio.to_thread(incoming.settle)
            return await self._database.write(write)
        finally:  # however that ended, the rows say what is a file
            with contextlib.suppress(NoiboError):  # where they do not answer, `sweep` asks again
                await self._settle(list(coming.values()))

    async def _settle(self, whole: list[Incoming]) -> None:
        """Give those their names that have rows, and abandon the others."""

        def read(connection: Connection) -> set[str]:
            mine = files.c.id.in_([incoming.id for incoming in whole])
            return {row.id for row in connection.execute(sa.select(files.c.id).where(mine))}

        def settle(known: set[str]) -> None:
            for incoming in whole:
                if incoming.id not in known:
                    incoming.abandon()
                    continue
                with contextlib.suppress(OSError):  # whoever reads it tries again
                    self._contents.name(incoming.id)

        try:
            await asyncio.to_thread(settle, await self._database.read(read))
        finally:
            for incoming in whole:
                await asyncio.to_thread(incoming.end)

    async def require(self) -> None:
        """Raise what keeps files from being kept, as far as that can be known before."""
        await self._database.write(lambda connection: None)

    async def get(self, owner: str, name: str, *, expired: bool = False) -> Card | None:
        """A file, if it is there and has not expired; or even then, for who still reads it."""

        def read(connection: Connection) -> Any:
            mine = sa.select(files).where(files.c.id == name, files.c.owner == owner)
            return connection.execute(mine if expired else mine.where(lives())).one_or_none()

        row = await self._database.read(read) if is_id(name) else None
        return None if row is None else card_of(row)

    async def require_one(self, owner: str, name: str) -> Card:
        """A file. Raises `NotFound`."""
        card = await self.get(owner, name)
        if card is None:
            raise NotFound(
                f"There is no file {name[:80]!r}.", next_step="GET /v1/files lists what there is."
            )
        return card

    async def page(self, owner: str, page: Page, purpose: str | None) -> Json:
        """The files of an owner, by the time they came."""

        def read(connection: Connection) -> tuple[list[Any], bool]:
            where = [files.c.owner == owner, lives()]
            if purpose is not None:
                where.append(files.c.purpose == purpose)
            return rows_of(connection, files, page, *where)

        rows, has_more = await self._database.read(read)
        return listed([card_of(row).told() for row in rows], has_more=has_more)

    async def delete(self, owner: str, name: str) -> None:
        """Forget a file. Raises `NotFound`, and `NameTaken` while a batch reads it."""
        await self.require_one(owner, name)

        def write(connection: Connection) -> None:
            mine = files.update().where(files.c.id == name)
            connection.execute(mine.values(expires_at=0.0))
            reads = sa.select(batches.c.id).where(
                batches.c.input_file_id == name, batches.c.status.in_(ACTIVE)
            )
            if batch := connection.execute(reads.limit(1)).scalar():
                raise NameTaken(
                    f"The batch {batch} still reads {name}.",
                    next_step=f"Wait for it, or cancel it: POST /v1/batches/{batch}/cancel.",
                )

        await self._database.write(write)
        await asyncio.shield(asyncio.create_task(self._remove([name])))

    async def content(self, card: Card) -> Content:
        """A content that can be read. Raises `DatabaseError` where somebody took it away."""
        path = await asyncio.to_thread(self._contents.find, card.id)
        if path is None:
            raise DatabaseError(
                f"The content of {card.id} is not in {self._contents.folder}.",
                next_step="Servers that share a database share that folder too; else delete the"
                " file and upload it again.",
            )
        return Content(path, self._contents)

    async def read(self, card: Card) -> bytes:
        """A whole content."""
        content = await self.content(card)
        return await asyncio.to_thread(content.read)

    async def older_than(self, before: float) -> int:
        """How many came before a time, and are still there."""
        asked = sa.select(sa.func.count()).select_from(files)
        mine = asked.where(files.c.created_at < before, lives())
        return await self._database.read(lambda found: int(found.execute(mine).scalar_one()))

    async def forget(self, before: float) -> int:
        """Let those expire that came before a time, and take them away; how many that were. Those
        that a batch reads go when it has ended."""
        gone = files.update().where(files.c.created_at < before, lives()).values(expires_at=0.0)
        count = await self._database.write(lambda found: found.execute(gone).rowcount)
        await self.sweep()
        return count

    async def sweep(self) -> None:
        """Take away what has expired, and settle what a kill left behind. A whole content that no
        row names stays: the rows may be in another database today."""
        if left := await asyncio.to_thread(self._contents.left_behind):
            await self._settle(left)

        def read(connection: Connection) -> list[str]:
            read_by_batch = sa.select(batches.c.input_file_id).where(batches.c.status.in_(ACTIVE))
            gone = sa.and_(sa.not_(lives()), files.c.id.not_in(read_by_batch))
            found = sa.select(files.c.id).where(gone).limit(_AT_A_TIME)
            return [row.id for row in connection.execute(found)]

        while (gone := await self._database.read(read)) and await self._remove(gone):
            pass

    async def _remove(self, names: Iterable[str]) -> bool:
        """Take contents away, then their rows. False where none could be."""

        def remove() -> list[str]:
            removed = []
            for name in names:
                try:
                    self._contents.remove(name)
                    removed.append(name)
                except OSError as exc:
                    log.warning("%s cannot be removed: %s", self._contents.path(name), exc)
            return removed

        removed = await asyncio.to_thread(remove)
        if removed:
            gone = files.delete().where(files.c.id.in_(removed))
            await self._database.write(lambda connection: connection.execute(gone))
        return bool(removed)


@dataclass(frozen=True, slots=True)
class Content:
    """What is in one file. All of it off the event loop."""

    path: Path
    contents: Contents

    def open(self) -> BinaryIO:
        """Read it. Raises `DatabaseError` where it is sealed and was changed; `OSError`."""
        return self.contents.open(self.path)

    def read(self) -> bytes:
        """All of it."""
        with self.open() as file:
            return file.read()

    def is_sealed(self) -> bool:
        """True if the file on the disk is another than what is in it."""
        return bool(key_of(self.path))

    def pieces(self) -> Iterator[bytes]:
        """It, piece by piece."""
        with self.open() as file:
            while piece := file.read(FRAME):
                yield piece


def _unwanted(creating: asyncio.Task[Incoming]) -> None:
    """It was made when nobody waited for it any more."""
    if not creating.cancelled() and creating.exception() is None:
        asyncio.get_running_loop().run_in_executor(None, creating.result().abandon)


def lives() -> sa.ColumnElement[bool]:
    """True of rows whose files have not expired."""
    return sa.or_(files.c.expires_at.is_(None), files.c.expires_at > time.time())
