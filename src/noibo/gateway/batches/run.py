"""One batch from its input to its files.

    validating → in_progress → finalizing → completed
         │            ├─────────────────→ expired
         │            └→ cancelling ────→ cancelled
         └→ failed

Every step can be taken again: a server that is killed in the middle goes on where the database
says it was. Lines are asked as if they had come over HTTP, after all who wait for an answer now.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from noibo.errors import DatabaseError
from noibo.gateway.batches.records import Batch, BatchRecords
from noibo.gateway.files.files import Card, Files
from noibo.wire import batches as wire
from noibo.wire.batches import Line, Usage
from noibo.wire.body import Json
from noibo.wire.files import BATCH_OUTPUT

AT_ONCE: Final = 8  # lines of a batch that are asked at the same time
# How often a line is asked that is answered so: the queue is full; its worker died; there is no
# room or no worker; the disk is full.
_TRIES: Final[Mapping[int, float]] = {429: math.inf, 502: 3, 503: 20, 507: 20}
_PAUSE_S: Final = (0.5, 30.0)
_ROWS: Final = 200
_LOOKS_S: Final = 1.0
_EXPIRED: Final = (
    "batch_expired",
    "This request could not be executed before the completion window expired.",
)
_CANCELLED: Final = ("batch_cancelled", "The batch was cancelled before this request was executed.")

# Asks one line: the batch, its body. Its status, its body, and when to come again.
Ask = Callable[[Batch, bytes], Awaitable[tuple[int, bytes, float | None]]]


class BatchRun:
    """Works on one batch, for as long as this server is the one to do so."""

    def __init__(self, batch: Batch, records: BatchRecords, files: Files, ask: Ask) -> None:
        self.batch = batch
        self._records = records
        self._files = files
        self._ask = ask
        self._stop = asyncio.Event()  # no further line is begun

    async def work(self) -> None:
        """To its end, or until it is cancelled by leaving."""
        if self.batch.status == "validating":
            await self._validate()
        if self.batch.status == "in_progress" and not self._is_over:
            await self._ask_all()
        if self.batch.status in {"finalizing", "cancelling"} or self._is_over:
            await self._finish()

    def look(self, now: Batch) -> None:
        """The batch as it stands in the database: it may have been cancelled."""
        self.batch = now
        if now.status == "cancelling":
            self._stop.set()

    @property
    def _is_over(self) -> bool:
        return self.batch.status == "in_progress" and time.time() >= self.batch.expires_at

    async def _validate(self) -> None:
        card = await self._files.get(self.batch.owner, self.batch.input_file_id)
        if card is None:
            found = wire.Checked()
            found.add({"code": "file_not_found", "message": "The input file is not there."})
        else:
            found = await self._checked(card)

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

    async def _checked(self, card: Card) -> wire.Checked:
        try:
            path = await self._files.content(card)
        except DatabaseError as error:
            found = wire.Checked()
            found.add({"code": "file_not_found", "message": error.message})
            return found
        return await asyncio.to_thread(_check, path, self.batch.endpoint)

    async def _ask_all(self) -> None:
        """Ask every line that has no result, some at a time."""
        waiting = await self._rows()
        asking = [asyncio.create_task(self._ask_some(waiting)) for _ in range(AT_ONCE)]
        try:
            await self._until_over(asking)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        if not self._is_over:
            await self._change(_finalising)

    async def _rows(self) -> _Rows:
        """The lines that have no result."""
        done = await self._records.done(self.batch.id)
        card = await self._files.get(self.batch.owner, self.batch.input_file_id, expired=True)
        if card is None:
            raise DatabaseError(f"The input of {self.batch.id} is gone.")
        return _Rows(await self._files.content(card), self.batch.endpoint, done)

    async def _until_over(self, asking: list[asyncio.Task[None]]) -> None:
        """Wait for all lines; of a batch that is cancelled for those under way; or for the end of
        its time, by the clock on the wall: a machine may have slept."""
        left = set(asking)
        while left and not self._is_over:
            done, left = await asyncio.wait(
                left, timeout=_LOOKS_S, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()

    async def _ask_some(self, waiting: _Rows) -> None:
        while not self._stop.is_set():
            line = await waiting.next()
            if line is None:
                return
            result = await self._ask_one(line)
            if result is not None:
                body, ok = result
                await self._records.add_result(self.batch.id, line.number, body, ok=ok)

    async def _ask_one(self, line: Line) -> tuple[bytes, bool] | None:
        """Its result; None where the batch was cancelled before it had one."""
        pause, tries = _PAUSE_S[0], Counter[int]()
        while True:
            status, body, later_s = await self._ask(self.batch, line.body)
            tries[status] += 1
            if tries[status] >= _TRIES.get(status, 1):
                return line.answered(status, body), status == 200
            if self._stop.is_set():
                return None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(pause, later_s or 0))
                return None
            pause = min(2 * pause, _PAUSE_S[1])

    async def _finish(self) -> None:
        """Write the files, and say that they are there."""
        batch = self.batch
        if batch.status == "cancelling":
            await self._give_up(*_CANCELLED)
        elif batch.status == "in_progress":
            await self._give_up(*_EXPIRED)
        output, usage = await self._write("output", ok=True)
        errors, _ = await self._write("error", ok=False)

        def step(now: Batch) -> Json | None:
            end = _ENDS.get(now.status)
            if end is None:
                return None
            told = {"output_file_id": output, "error_file_id": errors, "usage": usage}
            return {"status": end, f"{end}_at": int(time.time()), **told}

        await self._change(step)
        await self._records.forget_results()

    async def _give_up(self, code: str, message: str) -> None:
        """Every line without a result gets one that says why."""
        if not self.batch.total:
            return
        try:
            waiting = await self._rows()
        except DatabaseError:
            return  # its input is gone: what is done is told, and nothing of the rest
        while (line := await waiting.next()) is not None:
            told = line.unanswered(code, message)
            await self._records.add_result(self.batch.id, line.number, told, ok=False)

    async def _write(self, what: str, *, ok: bool) -> tuple[str | None, Json]:
        """The results as a file; None where there is none. And the tokens they took."""
        after, used = 0, Usage()
        name = f"file-{what}-{self.batch.id.removeprefix('batch_')}"
        incoming = await self._files.start(name)
        try:
            while rows := await self._records.results(
                self.batch.id, ok=ok, after=after, most=_ROWS
            ):
                after = rows[-1].line
                lines = [row.body.encode() for row in rows]
                used.add(lines)
                await asyncio.to_thread(incoming.write, b"\n".join(lines) + b"\n")
            if not incoming.size:
                return None, used.told()
            await asyncio.to_thread(incoming.settle)
        finally:
            if not incoming.settled:
                await asyncio.to_thread(incoming.abandon)
        lifetime = self.batch.body.get("output_lifetime_s")
        now = time.time()
        card = Card(
            id=name,
            owner=self.batch.owner,
            created_at=now,
            purpose=BATCH_OUTPUT,
            bytes=incoming.size,
            name=f"{self.batch.id}_{what}.jsonl",
            expires_at=None if lifetime is None else now + lifetime,
        )
        await self._files.add(card)
        return name, used.told()

    async def _change(self, step: Callable[[Batch], Json | None]) -> None:
        changed = await self._records.change(self.batch.id, step)
        if changed is not None:
            self.look(changed)


_ENDS: Final = {
    "finalizing": "completed",
    "in_progress": "expired",
    "cancelling": "cancelled",
}


def _finalising(batch: Batch) -> Json | None:
    if batch.status != "in_progress":
        return None
    return {"status": "finalizing", "finalizing_at": int(time.time())}


def _check(path: Path, endpoint: str) -> wire.Checked:
    with path.open("rb") as rows:
        return wire.check(rows, endpoint)


class _Rows:
    """The lines of an input that are still to be asked, read as they are wanted."""

    def __init__(self, path: Path, endpoint: str, done: set[int]) -> None:
        self._rows = self._read(path, endpoint, done)
        self._turn = asyncio.Lock()

    async def next(self) -> Line | None:
        async with self._turn:
            return await asyncio.to_thread(next, self._rows, None)

    def _read(self, path: Path, endpoint: str, done: set[int]) -> Iterator[Line]:
        with path.open("rb") as rows:
            for line in wire.lines(rows, endpoint):
                if line.number not in done:
                    yield line
