"""The ledger of all calls: local ones by way of the journal, in groups; paid ones at once.

`note` is for calls that cost no money: it costs a few µs, and the row is in the database within
seconds. `record` is for those that do: it returns when the row is in the database; where that
cannot be reached, when it is in the journal, and on the disk. (A call with a reservation is settled
by `budgets`, which keeps its row in the same transaction.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from noibo.errors import NoiboError
from noibo.usage.entry import UsageEntry
from noibo.usage.journal import Journal, unpacked

if TYPE_CHECKING:
    from noibo.database.database import Database

log = logging.getLogger(__name__)

FOLDER: Final = "usage"  # in NOIBO_HOME
EVERY_S: Final = 5.0  # a group is brought into the database: until then it is in the journal
_LOOKS_FOR_LEFT_S: Final = 60.0  # by dead processes
_FORGETS_S: Final = 3600.0
_DAY_S: Final = 86_400.0
_AT_ONCE: Final = 5000  # rows in a transaction: who reserves waits no longer than for that

Open = Callable[[], Awaitable["Database"]]


class Ledger:
    """One server's. What comes by the journal settles the reservation that it has, if it has one:
    the database could not be reached when it ended."""

    def __init__(
        self,
        open_database: Open,
        folder: Path,
        *,
        keep_days: int = 0,
        every_s: float = EVERY_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._open = open_database
        self._journal = Journal(folder)
        self._keep_days = keep_days
        self._every_s = every_s
        self._now = now
        self._brought = False
        self._noted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._looked = self._forgot = float("-inf")

    def note(self, entry: UsageEntry | Mapping[str, Any]) -> None:
        """Keep a call that cost no money. Call it before the last byte of its answer: from then on
        no crash of this process loses it. The fields of an entry, without those that are as usual,
        do as well: to make the entry itself takes longer than all else."""
        self._journal.append(entry)
        self._noted.set()

    async def record(self, entry: UsageEntry) -> None:
        """Keep a call that cost money, durably, before its answer ends."""
        try:
            await self._bring([entry])
        except NoiboError as error:
            log.warning("a paid call waits in the journal of usage: %s", error)
            await asyncio.to_thread(self.put_aside, entry)

    def put_aside(self, entry: UsageEntry) -> None:
        """Keep it in the journal, on the disk: for when the database cannot be reached."""
        self._journal.append(entry)
        self._journal.sync()
        self._noted.set()

    async def run(self) -> None:
        """Bring what was noted into the database, in groups, for as long as this is not
        cancelled; what dead processes left is brought in first."""
        await asyncio.to_thread(self._journal.ready)
        while True:
            try:
                await self.flush(goes_on=True)
                await self._forget()
            except (NoiboError, OSError) as error:  # a file that cannot be read ends nothing
                log.warning("usage waits in its journal: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._noted.wait(), _LOOKS_FOR_LEFT_S)
            await asyncio.sleep(self._every_s)

    async def flush(self, *, goes_on: bool = False) -> None:
        """Bring everything in that was noted until now, and what dead processes left. `goes_on`:
        more will be noted, and is not to wait for a file."""
        async with self._turn:
            self._noted.clear()
            closed = partial(self._journal.closed, goes_on=goes_on)
            await self._bring_files(await asyncio.to_thread(closed))
            if held := self._journal.held():
                try:
                    await self._bring(unpacked(b"".join(held)))
                except BaseException:
                    self._journal.hold_again(held)
                    raise
            if time.monotonic() - self._looked > _LOOKS_FOR_LEFT_S:
                self._looked = time.monotonic()
                for lock, files in await asyncio.to_thread(self._journal.left):
                    try:
                        await self._bring_files(files)
                    finally:
                        await asyncio.to_thread(self._journal.forget, lock)

    async def look(self) -> None:
        """Bring in what lies in any journal, those of living processes too, and leave it there:
        for one who reads sums from another process."""
        for path in await asyncio.to_thread(self._journal.all):
            await self._bring(await asyncio.to_thread(_read, path))

    async def charge_the_dead(self) -> None:
        """What dead servers had reserved is charged, and kept as calls that were lost."""
        from noibo.usage.reservations import sweep

        while await (await self._open()).write(sweep):
            pass

    async def close(self) -> None:
        """What was noted is brought in; where it cannot be, it waits for the next start."""
        try:
            await self.flush()
        except (NoiboError, OSError) as error:
            log.warning("usage waits in its journal for the next start: %s", error)
        await asyncio.to_thread(self._journal.close)

    async def _bring_files(self, files: Sequence[Path]) -> None:
        for path in files:
            await self._bring(await asyncio.to_thread(_read, path))
            await asyncio.to_thread(self._journal.remove, path)

    async def _bring(self, entries: Sequence[UsageEntry]) -> None:
        if not entries:
            return
        database = await self._open()
        from noibo.usage.reservations import settle_all

        for start in range(0, len(entries), _AT_ONCE):
            some = entries[start : start + _AT_ONCE]
            await database.write(partial(settle_all, entries=some))
        self._brought = True

    async def _forget(self) -> None:
        if not self._brought or not self._keep_days:
            return  # a server that answers nothing opens no database
        if time.monotonic() - self._forgot < _FORGETS_S:
            return
        from noibo.usage.records import forget_before

        before = self._now() - self._keep_days * _DAY_S
        await (await self._open()).write(lambda connection: forget_before(connection, before))
        self._forgot = time.monotonic()


def _read(path: Path) -> list[UsageEntry]:
    try:
        return unpacked(path.read_bytes())
    except FileNotFoundError:  # another brought it in
        return []
