"""What a server keeps, opened when it is first asked for.

A database takes a while to import and to open: a server that only chats never does, and one whose
database is broken still chats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from noibo.access.records import AccessRecords
    from noibo.database.database import Database
    from noibo.gateway.batches.records import BatchRecords
    from noibo.gateway.files.files import Files
    from noibo.gateway.responses.records import ResponseRecords


@dataclass(frozen=True, slots=True)
class Stored:
    """The database, and what lies in it."""

    database: Database
    responses: ResponseRecords
    files: Files
    batches: BatchRecords
    access: AccessRecords


class Opening:
    """`await opening()` gives what is stored. Until then nothing is imported."""

    def __init__(self, open_stored: Callable[[], Stored], exists: Callable[[], bool]) -> None:
        self._open = open_stored
        self._exists = exists
        self._stored: Stored | None = None
        self._turn = asyncio.Lock()
        self._opened = asyncio.Event()

    async def __call__(self) -> Stored:
        if self._stored is None:
            async with self._turn:
                if self._stored is None:
                    self._stored = await asyncio.to_thread(self._open)
                    self._opened.set()
        return self._stored

    async def wanted(self) -> Stored:
        """What is stored, when there may be something: by an earlier server, or since somebody
        asked for it."""
        if not await asyncio.to_thread(self._exists):
            await self._opened.wait()
        return await self()

    async def close(self) -> None:
        """Nothing is asked afterwards."""
        if self._stored is not None:
            await self._stored.database.close()
