"""A PostgreSQL database, by asyncpg: on an event loop of its own, as work does more than wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from noibo.database import migrations
from noibo.database.address import Address
from noibo.database.database import T, Work
from noibo.database.faults import mapped
from noibo.database.lease import Lease
from noibo.database.own_loop import OwnLoop
from noibo.database.seal import Seal, use_seal
from noibo.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_CONNECTS_WITHIN_S: Final = 10


class PostgresqlServer:
    """A database that several servers may share."""

    def __init__(self, address: Address, seal: Seal | None = None) -> None:
        self._address = address
        self._seal = seal
        self._engine: AsyncEngine | None = None
        self._opening = asyncio.Lock()
        self._own: OwnLoop | None = None

    async def run(self, work: Work[T], *, writes: bool) -> T:
        if self._own is None:
            self._own = OwnLoop("noibo-database")
        return await self._own.run(self._run(work))

    async def _run(self, work: Work[T]) -> T:
        with mapped(self._address):
            engine = await self._opened()
            async with engine.begin() as connection:
                return await connection.run_sync(work)

    async def hold(self, name: str) -> Lease | None:
        lease = Lease(name, lambda work: self.run(work, writes=True))
        return lease if await lease.take() else None

    async def scrub(self) -> bool:
        if self._own is None:
            self._own = OwnLoop("noibo-database")
        await self._own.run(self._vacuum())
        return True

    async def _vacuum(self) -> None:
        with mapped(self._address):
            engine = await self._opened()
            alone = engine.execution_options(isolation_level="AUTOCOMMIT")
            async with alone.connect() as connection:
                await connection.exec_driver_sql("VACUUM")  # what is this user's, in all tables

    async def close(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            await own.run(self._close())
            await own.close()

    async def _close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def _opened(self) -> AsyncEngine:
        async with self._opening:
            if self._engine is None:
                engine = self._made()
                if self._seal is not None:
                    use_seal(engine.sync_engine.dialect, self._seal)
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

            return create_async_engine(
                self._address.url,
                pool_pre_ping=True,
                connect_args={"timeout": _CONNECTS_WITHIN_S},
            )
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
