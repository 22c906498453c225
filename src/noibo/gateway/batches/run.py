"""One batch from its input to its files.

    validating → in_progress → finalizing → completed
         │            │            └──────→ expired
         │            └→ cancelling ──────→ cancelled
         └→ failed

Every step can be taken again: a server that is killed in the middle goes on where the database
says it was. So a run that is to end early is cancelled, whatever it waits for, and another begins
with what is left to do. Lines are asked as if they had come over HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from noibo.errors import DatabaseError, NoiboError
from noibo.gateway.batches import rows
from noibo.gateway.batches.batch import Batch
from noibo.gateway.batches.finishing import finish
from noibo.gateway.batches.records import BatchRecords
from noibo.gateway.batches.rows import Rows
from noibo.gateway.files.files import Files
from noibo.wire import batches as wire
from noibo.wire.batches import Line
from noibo.wire.body import Json

log = logging.getLogger(__name__)

AT_ONCE: Final = 8  # lines of a batch that are asked at the same time, if its owner has no other
# How often a line is asked that is answered so: the queue is full; its worker died; there is no
# room or no worker; the disk is full.
_TRIES: Final[Mapping[int, float]] = {429: math.inf, 502: 3, 503: 20, 507: 20}
_PAUSE_S: Final = (0.5, 30.0)

# Asks one line: the batch, its body. Its status, its body, the id of the request that it was, and
# when to come again.
Ask = Callable[[Batch, bytes], Awaitable[tuple[int, bytes, str, float | None]]]


class BatchRun:
    """Works on one batch, for as long as this server is the one to do so. `checking` is the turn
    of those that look at their input, which takes a processor."""

    def __init__(
        self,
        batch: Batch,
        records: BatchRecords,
        files: Files,
        ask: Ask,
        checking: asyncio.Lock,
    ) -> None:
        self.batch = batch
        self._records = records
        self._files = files
        self._ask = ask
        self._checking = checking

    async def work(self) -> None:
        """To its end."""
        if self.batch.status == "validating":
            await self._validate()
        if self.batch.status == "in_progress":
            if not self.batch.is_over:
                await self._ask_all()
            await self._change(_finalising)
        if self.batch.status in {"finalizing", "cancelling"}:
            await finish(self.batch, self._records, self._files)
        await self._records.forget_results()

    async def _validate(self) -> None:
        async with self._checking:
            found = await self._checked()

        def step(batch: Batch) -> Json | None:
            if batch.status != "validating":
                return None
            now = int(time.time())
            if found.errors:
                errors = {"object": "list", "data": found.errors}
                return {"status": "failed", "failed_at": now, "errors": errors}
            new: Json = {"status": "in_progress", "in_progress_at": now, "total": found.total}
            return new | ({"model": found.model} if found.model else {})

        await self._change(step)

    async def _checked(self) -> wire.Checked:
        card = await self._files.get(self.batch.owner, self.batch.input_file_id, expired=True)
        unwanted = threading.Event()
        try:
            if card is None:
                raise DatabaseError("The input file is not there.")
            path = await self._files.content(card)
            return await asyncio.to_thread(rows.check, path, self.batch.endpoint, unwanted.is_set)
        except DatabaseError as error:
            found = wire.Checked()
            found.lost(error.message)
            return found
        finally:
            unwanted.set()

    async def _ask_all(self) -> None:
        """Ask every line that has no result, some at a time."""
        waiting = await self._rows()
        asking = [asyncio.create_task(self._ask_some(waiting)) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*asking)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _rows(self) -> Rows:
        """The lines that have no result."""
        done = await self._records.done(self.batch.id)
        card = await self._files.get(self.batch.owner, self.batch.input_file_id, expired=True)
        if card is None:
            raise DatabaseError(f"The input of {self.batch.id} is gone.")
        return Rows(await self._files.content(card), self.batch.endpoint, done)

    async def _ask_some(self, waiting: Rows) -> None:
        while (line := await waiting.next()) is not None:
            body, ok = await self._ask_one(line)
            await self._keep(line, body, ok=ok)

    async def _ask_one(self, line: Line) -> tuple[bytes, bool]:
        """Its result."""
        pause, tries = _PAUSE_S[0], Counter[int]()
        while True:
            status, body, request, later_s = await self._ask(self.batch, line.body)
            tries[status] += 1
            if tries[status] >= _TRIES.get(status, 1):
                told = await asyncio.to_thread(line.answered, status, body, request)
                return told, status == 200
            await asyncio.sleep(min(max(pause, later_s or 0), _PAUSE_S[1]))
            pause *= 2

    async def _keep(self, line: Line, result: bytes, *, ok: bool) -> None:
        """Write a result down, as soon as that can be done: it is not asked for again."""
        pause = _PAUSE_S[0]
        while True:
            try:
                return await self._records.add_result(self.batch.id, line.number, result, ok=ok)
            except NoiboError as error:
                log.warning(
                    "%s: the result of line %d waits: %s", self.batch.id, line.number, error
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSE_S[1])

    async def _change(self, step: Callable[[Batch], Json | None]) -> None:
        self.batch = await self._records.change(self.batch.id, step) or self.batch


def _finalising(batch: Batch) -> Json | None:
    if batch.status != "in_progress":
        return None
    return {"status": "finalizing", "finalizing_at": int(time.time())}
