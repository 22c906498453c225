"""Answers for what is kept: finds, exports and erases it in the database and on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database import schema
from noibo.database.database import Database
from noibo.holdings import accounts, erasing, models, on_disk
from noibo.holdings.contents import excerpt, is_text
from noibo.holdings.erasing import Gone
from noibo.holdings.finding import Found, Hit, owner_is, rows_with
from noibo.holdings.wanted import Wanted

HERE: Final = "local"  # whose everything is that is stored on this machine without a key

_MOST_LOOKS: Final = 20
_LOOK_S: Final = 0.5  # a journal is brought in every 5 seconds


class Folder(Protocol):
    """Where the contents of files lie."""

    def find(self, name: str) -> Path | None:
        """A content that is there."""

    def open(self, path: Path) -> BinaryIO:
        """Read it."""

    def remove(self, name: str) -> None:
        """Take it away."""


@dataclass(slots=True)
class Erased:
    """What was taken out. `scrubbed`: false where the database's log still has it for a while."""

    counts: dict[str, int] = field(default_factory=dict)
    scrubbed: bool = True
    stayed: list[str] = field(default_factory=list)  # files that a batch still reads
    users: list[str] = field(default_factory=list)  # who are called so, and still are
    models: list[str] = field(default_factory=list)  # that are called so, and still are
    waiting: bool = False  # true where calls of theirs will come into the database later


class Steward:
    """All that is kept in one home and its database."""

    def __init__(
        self, database: Database, folder: Folder, home: Path, models: Path | None = None
    ) -> None:
        self._database = database
        self._folder = folder
        self._home = home
        self._models = models or home / "models"

    async def find(self, wanted: Wanted) -> Found:
        """Everything in which somebody is named, whoever stored it."""

        def read(connection: Connection) -> list[Hit]:
            return [*rows_with(connection, wanted), *accounts.called_after(connection, wanted)]

        found = Found(await self._database.read(read))
        files = await self._database.read(_files)
        await asyncio.to_thread(self._look_into, files, wanted, found)
        found.hits += await asyncio.to_thread(self._typed_here, wanted)
        found.hits += await asyncio.to_thread(
            lambda: list(models.naming(self._models, wanted, HERE))
        )
        return found

    async def erase_text(self, wanted: Wanted, found: Found) -> Erased:
        """Take somebody out of what was found: names are replaced, files go altogether; users and
        models that are called so stay, and are named."""
        aside = {"content", "on_disk", accounts.KEY, accounts.USER, models.MODEL}
        rows = [hit for hit in found.hits if hit.kind not in aside]
        named = [str(hit.key[0]) for hit in found.hits if hit.kind == "content"]
        gone = await self._database.write(
            lambda connection: erasing.blank(connection, rows, wanted)
        )
        blanked = await self._database.write(
            lambda connection: accounts.blank_keys(connection, found.hits, wanted)
        )
        gone.add(accounts.KEY, blanked)
        let_go = await self._database.write(lambda connection: erasing.let_go(connection, named))
        await self._remove(let_go)
        gone.add("content", len(let_go))
        for hit in found.hits:
            if hit.kind == "on_disk":
                await asyncio.to_thread(on_disk.blank, self._home / str(hit.key[0]), wanted)
                gone.add("on_disk", 1)
            elif hit.kind == models.MODEL:
                done = await asyncio.to_thread(models.blank, self._models, hit, wanted)
                gone.add(models.MODEL, int(done))
        scrubbed = await self._database.scrub()
        users = sorted(str(hit.key[0]) for hit in found.hits if hit.kind == accounts.USER)
        called = [
            models.name_of(self._models, one) for one in filter(models.is_called_so, found.hits)
        ]
        return Erased(gone.counts, scrubbed, sorted(set(named) - set(let_go)), users, called)

    async def erase_user(self, name: str) -> Erased:
        """Take out all that a user or a key stored, and who they were. Raises `NameTaken` while a
        batch of theirs runs."""
        gone = await self._erase_owner(name)
        waiting = await self._calls_wait(name)  # what came in meanwhile is theirs as well
        later = await self._erase_owner(name)
        for kind, count in later.counts.items():
            gone.add(kind, count)
        if name == HERE:
            for path in list(on_disk.kept(self._home)):
                await asyncio.to_thread(path.unlink)
                gone.add("on_disk", 1)
        return Erased(gone.counts, await self._database.scrub(), waiting=waiting)

    async def _erase_owner(self, name: str) -> Gone:
        gone: Gone = await self._database.write(
            lambda connection: erasing.erase_owner(connection, name)
        )
        await self._remove(gone.files)
        return gone

    async def _calls_wait(self, name: str) -> bool:
        """Give a server that runs time to bring their last calls in; true if some still wait."""
        for _ in range(_MOST_LOOKS):
            if not await asyncio.to_thread(on_disk.calls_wait, self._home, name):
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    async def count_of(self, name: str) -> dict[str, int]:
        """How much a user or a key stored, by kind."""

        def read(connection: Connection) -> dict[str, int]:
            tables = (schema.responses, schema.response_items, schema.files, schema.batches)
            counted = {}
            for table in (*tables, schema.usage):
                mine = sa.select(sa.func.count()).select_from(table)
                here = owner_is(table.c.owner, name)
                counted[table.name] = int(connection.execute(mine.where(here)).scalar_one())
            for table, column in ((schema.api_keys, "owner"), (schema.sessions, "user"),
                                  (schema.users, "name")):  # fmt: skip
                mine = sa.select(sa.func.count()).select_from(table)
                here = table.c[column] == name
                counted[table.name] = int(connection.execute(mine.where(here)).scalar_one())
            return {kind: count for kind, count in counted.items() if count}

        counted = await self._database.read(read)
        if name == HERE and (here := sum(1 for _ in on_disk.kept(self._home))):
            counted["on_disk"] = here
        return counted

    async def _remove(self, names: Iterable[str]) -> None:
        """Contents first, then their rows: what a kill leaves in between is swept away later."""
        wanted = list(names)
        for name in wanted:
            await asyncio.to_thread(self._folder.remove, name)
        await self._database.write(lambda connection: erasing.drop_files(connection, wanted))

    def _look_into(self, files: list[tuple[str, str]], wanted: Wanted, found: Found) -> None:
        for name, owner in files:
            path = self._folder.find(name)
            if path is None:
                continue
            if not is_text(path, self._folder.open):
                found.unsearched.append(name)
            elif said := excerpt(path, wanted, self._folder.open):
                found.hits.append(Hit("content", (name,), owner, ("content",), said))

    def _typed_here(self, wanted: Wanted) -> list[Hit]:
        return [
            Hit("on_disk", (str(one.path.relative_to(self._home)),), HERE, ("text",), one.excerpt)
            for one in on_disk.naming(self._home, wanted)
        ]


def _files(connection: Connection) -> list[tuple[str, str]]:
    table = schema.files
    rows: Any = connection.execute(sa.select(table.c.id, table.c.owner).order_by(table.c.id))
    return [(row.id, row.owner) for row in rows]
