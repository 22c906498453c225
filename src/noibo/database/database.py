"""One database for one server, opened when it is first used.

Work is a plain function of a connection; it runs in one transaction, and never on the event loop of
those who wait for it: what it packs, reads and writes out may be megabytes.
A SQLite file has a thread of its own: one hop there and back for a whole transaction. aiosqlite,
which hops for every statement, took 1.7 times as long and twice the processor's time (a response
kept and read). PostgreSQL's driver is asynchronous; SQLAlchemy runs the same function there in a
greenlet, on an event loop that has a thread of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from noibo.database.address import Address
from noibo.database.seal import Seal

T = TypeVar("T")
Work = Callable[[Connection], T]


class Hold(Protocol):
    """Something that one server has and no other."""

    async def lasts(self) -> bool:
        """True as long as nobody else can have it."""

    async def release(self) -> None:
        """Let another have it."""


class Backend(Protocol):
    """What a kind of database does in its own way."""

    async def run(self, work: Work[T], *, writes: bool) -> T:
        """`work` in one transaction. Raises `DatabaseError` or `DiskFull`; nothing is left half
        done."""

    async def hold(self, name: str) -> Hold | None:
        """Hold `name`, if no other server of this database does. When this process ends, however it
        ends, another gets it: at once or soon."""

    async def scrub(self) -> bool:
        """Overwrite what was deleted, as far as this kind of database can. False where somebody
        still reads it: then it goes later."""

    async def close(self) -> None:
        """Nothing is asked afterwards."""


class Database:
    """Reads and writes. Errors are not remembered: the next call tries again."""

    def __init__(self, backend: Backend, permit: Callable[[], None] = lambda: None) -> None:
        self._backend = backend
        self._permit = permit

    async def read(self, work: Work[T]) -> T:
        """What `work` finds."""
        self._permit()
        return await self._backend.run(work, writes=False)

    async def write(self, work: Work[T]) -> T:
        """What `work` gives back, when it is written."""
        self._permit()
        # A caller that leaves does not undo half of it.
        return await asyncio.shield(self._backend.run(work, writes=True))

    def hold(self, name: str) -> Awaitable[Hold | None]:
        """Hold `name`, if no other server of this database does."""
        self._permit()
        return self._backend.hold(name)

    async def scrub(self) -> bool:
        """Overwrite what was deleted; False where that must wait for who still reads it."""
        self._permit()
        return await self._backend.scrub()

    async def close(self) -> None:
        """Nothing is asked afterwards."""
        await self._backend.close()


def open_database(
    address: Address, permit: Callable[[], None] = lambda: None, seal: Seal | None = None
) -> Database:
    """The database at an address; it is reached for when it is first used. `permit` raises where
    it may not be; `seal` seals its texts."""
    if address.path is not None:
        from noibo.database.sqlite import SqliteFile

        return Database(SqliteFile(address, address.path, seal), permit)
    from noibo.database.postgresql import PostgresqlServer

    return Database(PostgresqlServer(address, seal), permit)
