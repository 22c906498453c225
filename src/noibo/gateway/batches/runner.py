"""Runs the batches of a database: one server at a time does, others wait for it to end.

It looks at what there is when it starts, when one comes, and every few seconds: another server may
have taken one, or cancelled one of these.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp

from noibo.errors import NoiboError
from noibo.gateway import inside
from noibo.gateway.stored import Opening, Stored
from noibo.wire.management import PRIORITY_HEADER

if TYPE_CHECKING:
    from noibo.gateway.batches.records import Batch
    from noibo.gateway.batches.run import BatchRun

log = logging.getLogger(__name__)

LOOKS_EVERY_S: Final = 3.0
_SWEEPS_EVERY_S: Final = 600.0
_AFTER_FAULT_S: Final = 10.0
_HOLD: Final = "batches"


class BatchRunner:
    """Begins a run for each batch that is not at its end."""

    def __init__(self, stored: Opening) -> None:
        self._stored = stored
        self._news = asyncio.Event()
        self._runs: dict[str, tuple[BatchRun, asyncio.Task[None]]] = {}
        self._rests: dict[str, float] = {}  # until when a batch that failed is left alone
        self._app: ASGIApp | None = None

    def wake(self) -> None:
        """There is a new batch, or one is to be cancelled."""
        self._news.set()

    async def run(self, app: ASGIApp) -> None:
        """As long as the server does."""
        self._app = app
        try:
            if not await self._stored.exists():
                await self._news.wait()  # there was never anything to keep
            while True:
                try:
                    await self._hold_and_run(await self._stored())
                except NoiboError as error:
                    log.error("batches do not run: %s", error)
                except Exception:
                    log.exception("batches do not run; they are tried again")
                await self._pause(_AFTER_FAULT_S)
        finally:
            await self._end_all()

    async def _hold_and_run(self, stored: Stored) -> None:
        hold = await stored.database.hold(_HOLD)
        if hold is None:
            return  # another server runs them
        swept_at = 0.0
        try:
            await stored.batches.forget_results()
            while await hold.lasts():
                if time.monotonic() - swept_at > _SWEEPS_EVERY_S:
                    await stored.files.sweep()
                    swept_at = time.monotonic()
                await self._look(stored)
                await self._pause(LOOKS_EVERY_S)
        finally:
            await self._end_all()
            await hold.release()

    async def _look(self, stored: Stored) -> None:
        from noibo.gateway.batches.run import BatchRun

        for name, (_, task) in list(self._runs.items()):
            if task.done():
                del self._runs[name]
                self._note(name, task)
        for batch in await stored.batches.active():
            if batch.id in self._runs:
                self._runs[batch.id][0].look(batch)
            elif time.monotonic() >= self._rests.get(batch.id, 0):
                run = BatchRun(batch, stored.batches, stored.files, self._ask)
                task = asyncio.create_task(run.work())
                task.add_done_callback(lambda _: self.wake())
                self._runs[batch.id] = (run, task)

    def _note(self, name: str, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            self._rests.pop(name, None)
            return
        self._rests[name] = time.monotonic() + _AFTER_FAULT_S
        if isinstance(error, NoiboError):
            log.error("%s waits: %s", name, error)
        else:
            log.error("%s failed and is tried again", name, exc_info=error)

    async def _ask(self, batch: Batch, body: bytes) -> tuple[int, bytes, float | None]:
        """One line, as if it had come over HTTP: a caller of its own, after all others."""
        assert self._app is not None  # noqa: S101 - run sets it
        status, headers, answer = await inside.ask(
            self._app, batch.endpoint, body, batch.id, {PRIORITY_HEADER: "batch"}
        )
        later = headers.get("retry-after", "")
        return status, answer, float(later) if later.isdecimal() else None

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        self._news.clear()

    async def _end_all(self) -> None:
        tasks = [task for _, task in self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runs.clear()
