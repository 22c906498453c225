"""Uploaded files: a row in the database for each, its content beside it in a folder.

A content has its file's id for a name, and is there whole or not at all. The row comes after the
content and goes before it, so what is left behind by a kill is a content nobody knows of: it is
swept away when it has lain there for an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.database import Database
from noibo.database.schema import batches, files
from noibo.errors import DatabaseError, DiskFull, NameTaken, NoiboError, NotFound
from noibo.gateway.page import Page, listed
from noibo.gateway.page_rows import rows_of
from noibo.wire import ids
from noibo.wire.batches import ACTIVE
from noibo.wire.body import Json
from noibo.wire.ids import is_id

UNKNOWN_FOR_S: Final = 3600.0  # how long a content may lie there without a row
PARTIAL: Final = ".part"


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a file."""

    id: str
    owner: str
    created_at: float
    purpose: str
    bytes: int
    name: str
    expires_at: float | None = None

    def told(self) -> Json:
        """OpenAI's object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": int(self.created_at),
            "expires_at": None if self.expires_at is None else int(self.expires_at),
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """All files. Every question names an owner; what is another's is not found."""

    def __init__(self, database: Database, folder: Path, largest: int) -> None:
        self._database = database
        self._folder = folder
        self.largest = largest

    async def start(self, name: str | None = None) -> Incoming:
        """A new content, to be written piece by piece."""
        return await asyncio.to_thread(Incoming.create, self._folder, name or ids.new("file", "-"))

    async def add(self, card: Card) -> None:
        """A file whose content is there. One that is added again is the same."""
        row = {
            "owner": card.owner,
            "created_at": card.created_at,
            "purpose": card.purpose,
            "bytes": card.bytes,
            "expires_at": card.expires_at,
            "name": msgspec.json.encode(card.name).decode(),
        }

        def write(connection: Connection) -> None:
            again = files.update().where(files.c.id == card.id).values(**row)
            if not connection.execute(again).rowcount:
                connection.execute(files.insert().values(id=card.id, **row))

        await self._database.write(write)

    async def require(self) -> None:
        """Raise what keeps files from being kept, as far as that can be known before."""
        await self._database.write(lambda connection: None)

    async def get(self, owner: str, name: str, *, expired: bool = False) -> Card | None:
        """A file, if it is there and has not expired; or even then, for who still reads it."""

        def read(connection: Connection) -> Any:
            mine = sa.select(files).where(files.c.id == name, files.c.owner == owner)
            return connection.execute(mine if expired else mine.where(_lives())).one_or_none()

        row = await self._database.read(read) if is_id(name) else None
        return None if row is None else _card(row)

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
            where = [files.c.owner == owner, _lives()]
            if purpose is not None:
                where.append(files.c.purpose == purpose)
            return rows_of(connection, files, page, *where)

        rows, has_more = await self._database.read(read)
        return listed([_card(row).told() for row in rows], has_more=has_more)

    async def delete(self, owner: str, name: str) -> None:
        """Forget a file. Raises `NameTaken` while a batch reads it."""
        card = await self.require_one(owner, name)

        def write(connection: Connection) -> str | None:
            reads = sa.select(batches.c.id).where(
                batches.c.input_file_id == name, batches.c.status.in_(ACTIVE)
            )
            batch: str | None = connection.execute(reads.limit(1)).scalar()
            if batch is None:
                connection.execute(files.delete().where(files.c.id == name))
            return batch

        if batch := await self._database.write(write):
            raise NameTaken(
                f"The batch {batch} still reads {name}.",
                next_step=f"Wait for it, or cancel it: POST /v1/batches/{batch}/cancel.",
            )
        await asyncio.to_thread(self.path(card.id).unlink, missing_ok=True)

    def path(self, name: str) -> Path:
        """Where a content lies. Only ever an id of ours."""
        return self._folder / name

    async def content(self, card: Card) -> Path:
        """A content that can be read. Raises `DatabaseError` where somebody took it away."""
        path = self.path(card.id)
        if not await asyncio.to_thread(path.is_file):
            raise DatabaseError(
                f"The content of {card.id} is not in {self._folder}.",
                next_step="Servers that share a database share that folder too; else delete the"
                " file and upload it again.",
            )
        return path

    async def read(self, card: Card) -> bytes:
        """A whole content."""
        path = await self.content(card)
        return await asyncio.to_thread(path.read_bytes)

    async def sweep(self) -> None:
        """Take away what has expired, and uploads that nobody goes on with. A whole content that no
        row names stays: the rows may be in another database today."""

        def gone(connection: Connection) -> list[str]:
            read_by_batch = sa.select(batches.c.input_file_id).where(batches.c.status.in_(ACTIVE))
            old = sa.and_(sa.not_(_lives()), files.c.id.not_in(read_by_batch))
            names = [row.id for row in connection.execute(sa.select(files.c.id).where(old))]
            connection.execute(files.delete().where(old))
            return names

        if await asyncio.to_thread(self._folder.is_dir):
            names = await self._database.write(gone)
            await asyncio.to_thread(self._sweep_folder, names)

    def _sweep_folder(self, names: Iterable[str]) -> None:
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.part"):
                if time.time() - path.stat().st_mtime > UNKNOWN_FOR_S:
                    path.unlink()
        for name in names:
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()


class Incoming:
    """A content on its way in. `settle` makes it a file; until then it can be abandoned."""

    def __init__(self, path: Path, name: str, file: BinaryIO) -> None:
        self.id = name
        self.size = 0
        self.settled = False
        self._path = path
        self._file = file

    @classmethod
    def create(cls, folder: Path, name: str) -> Incoming:
        """Begin. Raises `DiskFull` or `DatabaseError`."""
        path = folder / f"{name}{PARTIAL}"
        with _written(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            return cls(path, name, os.fdopen(handle, "wb"))

    def write(self, data: bytes) -> None:
        """More of it. Off the event loop."""
        with _written(self._path.parent):
            self._file.write(data)
        self.size += len(data)

    def settle(self) -> None:
        """It is whole, and on the disk. Off the event loop."""
        with _written(self._path.parent):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(self._path.with_name(self.id))
        self.settled = True

    def abandon(self) -> None:
        """Nothing of it is wanted. Off the event loop."""
        with contextlib.suppress(OSError):
            self._file.close()
        for path in (self._path, self._path.with_name(self.id)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _written(folder: Path) -> Any:
    try:
        yield
    except OSError as exc:
        raise _unwritten(exc, folder) from exc


def _unwritten(exc: OSError, folder: Path) -> NoiboError:
    if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(
            f"The disk of {folder} is full.",
            next_step="Make room and upload it again: nothing of it was kept.",
        )
    return DatabaseError(
        f"Nothing can be written to {folder}: {exc.strerror}.",
        next_step="Mend its permissions, or name another folder: NOIBO_HOME.",
    )


def _lives() -> sa.ColumnElement[bool]:
    return sa.or_(files.c.expires_at.is_(None), files.c.expires_at > time.time())


def _card(row: Any) -> Card:
    return Card(
        id=row.id,
        owner=row.owner,
        created_at=row.created_at,
        purpose=row.purpose,
        bytes=row.bytes,
        name=msgspec.json.decode(row.name),
        expires_at=row.expires_at,
    )
