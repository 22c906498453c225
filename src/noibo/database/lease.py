"""What one server has and no other, for as long as it says so often enough.

A row with a time at which it ends, by the database's clock: machines' clocks differ, and a server
that is killed, cut off or stopped says nothing. (A lock of a PostgreSQL session would outlive a
machine that lost its power by two hours, and means nothing behind a pooler of connections.)
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.conflict import insert_new
from noibo.database.schema import leases
from noibo.errors import NoiboError

log = logging.getLogger(__name__)

LASTS_S: Final = 15.0  # without a word of its holder
_ANSWER_S: Final = 5.0
_NOW: Final = sa.extract("epoch", sa.func.clock_timestamp())

Run = Callable[[Callable[[Connection], bool]], Awaitable[bool]]


class Lease:
    """A name that is held. `run` does its work in a transaction."""

    def __init__(self, name: str, run: Run) -> None:
        self._name = name
        self._holder = secrets.token_hex(16)
        self._run = run
        self._sure_until = 0.0

    async def take(self) -> bool:
        """True if nobody else has it now."""
        return await self._ask(self._take)

    async def lasts(self) -> bool:
        """Say that it is still held. False where another has it, or may have it by now."""
        try:
            return await asyncio.wait_for(self._ask(self._renew), _ANSWER_S)
        except (NoiboError, TimeoutError) as error:
            log.warning("whether %s is still held here is not known: %s", self._name, error)
            return time.monotonic() < self._sure_until

    async def release(self) -> None:
        """Another may have it at once; where that cannot be said, when its time is over."""
        try:
            await asyncio.wait_for(self._run(self._end), _ANSWER_S)
        except (NoiboError, TimeoutError) as error:
            log.warning("%s is held until its time is over: %s", self._name, error)

    async def _ask(self, work: Callable[[Connection], bool]) -> bool:
        asked = time.monotonic()
        found = await self._run(work)
        self._sure_until = asked + LASTS_S if found else 0.0
        return found

    def _take(self, connection: Connection) -> bool:
        over = leases.update().where(leases.c.name == self._name, leases.c.until < _NOW)
        if connection.execute(over.values(**self._mine())).rowcount:
            return True
        return insert_new(connection, leases, {"name": self._name, **self._mine()})

    def _renew(self, connection: Connection) -> bool:
        return bool(
            connection.execute(
                leases.update().where(*self._is_mine()).values(**self._mine())
            ).rowcount
        )

    def _end(self, connection: Connection) -> bool:
        return bool(connection.execute(leases.delete().where(*self._is_mine())).rowcount)

    def _mine(self) -> dict[str, Any]:
        return {"holder": self._holder, "until": _NOW + LASTS_S}

    def _is_mine(self) -> tuple[sa.ColumnElement[bool], ...]:
        return leases.c.name == self._name, leases.c.holder == self._holder
