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


class Opening:
    """`await opening()` gives what is stored. Until then nothing is imported."""

    def __init__(self, open_stored: Callable[[], Stored], exists: Callable[[], bool]) -> None:
        self._open = open_stored
        self._exists = exists
        self._stored: Stored | None = None
        self._turn = asyncio.Lock()

    async def __call__(self) -> Stored:
        if self._stored is None:
            async with self._turn:
                if self._stored is None:
                    self._stored = await asyncio.to_thread(self._open)
        return self._stored

    async def exists(self) -> bool:
        """True if anything may have been kept by an earlier server."""
        return await asyncio.to_thread(self._exists)

    async def close(self) -> None:
        """Nothing is asked afterwards."""
        if self._stored is not None:
            await self._stored.database.close()
