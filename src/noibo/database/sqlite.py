"""A SQLite file with a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, cast

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, event

from noibo.database import migrations
from noibo.database.address import Address
from noibo.database.database import T, Work
from noibo.database.faults import mapped
from noibo.database.seal import Seal, use_seal

_WRITES: Final = "noibo_writes"
_PRAGMAS: Final = (
    "busy_timeout = 10000",  # two servers of one home take turns
    "journal_mode = WAL",
    "synchronous = NORMAL",  # outlives a kill; a power cut may take the last moments, no more
    "foreign_keys = ON",
    "secure_delete = ON",  # what is deleted is overwritten
    "journal_size_limit = 67108864",
)


class SqliteFile:
    """The default database: nothing to install, nothing to run."""

    def __init__(self, address: Address, path: Path, seal: Seal | None = None) -> None:
        self._address = address
        self._seal = seal
        self._path = path
        self._thread = ThreadPoolExecutor(1, "noibo-database")
        self._engine: Engine | None = None

    async def run(self, work: Work[T], *, writes: bool) -> T:
        return await self._there(functools.partial(self._run, work, writes))

    async def hold(self, name: str) -> LockFile | None:
        lock = FileLock(self._path.with_name(f"{name}.lock"), thread_local=False, mode=0o600)

        def take() -> bool:
            with mapped(self._address):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    return False
                return True

        return LockFile(lock) if await self._there(take) else None

    async def scrub(self) -> bool:
        return await self._there(self._scrub)

    async def close(self) -> None:
        await self._there(self._close)
        self._thread.shutdown(wait=False)

    async def _there(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _run(self, work: Work[T], writes: bool) -> T:
        with mapped(self._address):
            if self._engine is None:
                self._engine = self._open()
            return _transaction(self._engine, work, writes=writes)

    def _scrub(self) -> bool:
        """The log is written back and cut off: in the file, `secure_delete` has overwritten it."""
        with mapped(self._address):
            if self._engine is None:
                self._engine = self._open()
            with self._engine.connect() as connection:
                plain = cast("sqlite3.Connection", connection.connection.dbapi_connection)
                busy, _, _ = plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def _open(self) -> Engine:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The file is there, for nobody else, before SQLite makes one for all.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        with contextlib.suppress(OSError):
            self._path.chmod(0o600)
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self._path)), pool_size=1, max_overflow=0
        )
        if self._seal is not None:
            use_seal(engine.dialect, self._seal)
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
        try:
            if not _transaction(engine, migrations.is_current, writes=False):
                _transaction(engine, migrations.migrate, writes=True)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


class LockFile:
    """A lock that ends with its process."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    async def lasts(self) -> bool:
        return True

    async def release(self) -> None:
        await asyncio.to_thread(self._lock.release)


def _transaction(engine: Engine, work: Work[T], *, writes: bool) -> T:
    with engine.connect() as connection:
        connection.execution_options(**{_WRITES: writes})
        with connection.begin():
            return work(connection)


def _set_up(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say it
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Who is going to write says so at once: a reader that becomes a writer may be refused."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
