"""A PostgreSQL database, by asyncpg."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from noibo.database import migrations
from noibo.database.address import Address
from noibo.database.database import T, Work
from noibo.database.faults import mapped
from noibo.errors import NoiboError, SettingsError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class PostgresqlServer:
    """A database that several servers may share."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._engine: AsyncEngine | None = None
        self._opening = asyncio.Lock()

    async def run(self, work: Work[T], *, writes: bool) -> T:
        with mapped(self._address):
            engine = await self._opened()
            async with engine.begin() as connection:
                return await connection.run_sync(work)

    async def hold(self, name: str) -> AdvisoryLock | None:
        with mapped(self._address):
            engine = await self._opened()
            connection = await engine.connect()
            try:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                key = zlib.crc32(f"noibo {name}".encode())
                got = await connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key)))
            except BaseException:
                await connection.close()
                raise
            if not got:
                await connection.close()
                return None
            return AdvisoryLock(connection, self._address)

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def _opened(self) -> AsyncEngine:
        async with self._opening:
            if self._engine is None:
                engine = self._made()
                try:
                    async with engine.begin() as connection:
                        await connection.run_sync(migrations.migrate)
                except BaseException:
                    await engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    def _made(self) -> AsyncEngine:
        try:
            import asyncpg  # noqa: F401 - SQLAlchemy imports it by name
            from sqlalchemy.ext.asyncio import create_async_engine

            return create_async_engine(self._address.url, pool_pre_ping=True)
        except (ImportError, ValueError, sa.exc.ArgumentError) as exc:
            missing = isinstance(exc, ImportError)
            raise SettingsError(
                "PostgreSQL needs asyncpg, which is not installed."
                if missing
                else "database.url is no address of a PostgreSQL database.",
                next_step='pip install "noibo[postgresql]"'
                if missing
                else "Write postgresql+asyncpg://USER:PASSWORD@HOST/NAME.",
            ) from exc


class AdvisoryLock:
    """A lock that ends with its connection."""

    def __init__(self, connection: AsyncConnection, address: Address) -> None:
        self._connection = connection
        self._address = address

    async def lasts(self) -> bool:
        try:
            with mapped(self._address):
                await self._connection.execute(sa.select(sa.literal(1)))
        except NoiboError:
            return False
        return True

    async def release(self) -> None:
        """Also of a connection that is gone. It is not given back to the pool: it is the lock."""
        await _quietly(self._connection.invalidate())
        await _quietly(self._connection.close())


async def _quietly(work: Any) -> None:
    try:
        await work
    except (sa.exc.SQLAlchemyError, OSError):
        return
