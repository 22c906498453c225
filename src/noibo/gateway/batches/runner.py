"""Runs the batches of a database: one server at a time does, others wait for it to end.

It looks at what there is when it starts, when one comes, and every few seconds: another server may
have taken one, or cancelled one of these. It also sweeps the files. Whatever goes wrong is logged
and tried again: only the end of the server ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.types import ASGIApp

from noibo.access.grant import EVERYTHING
from noibo.access.keyring import Keyring
from noibo.engines.supervision.claim import Priority
from noibo.errors import Forbidden, NoiboError, Unauthorized
from noibo.gateway import inside
from noibo.gateway.access import permissions
from noibo.gateway.callers import Caller
from noibo.gateway.stored import Opening, Stored
from noibo.gateway.watching import request_id
from noibo.wire import openai

if TYPE_CHECKING:
    from noibo.gateway.batches.batch import Batch

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 8  # lines of an owner's batches that are asked at the same time
RUNS: Final = 4  # batches of an owner that are worked on: each holds lines that wait their turn
LOOKS_EVERY_S: Final = 3.0
SWEEPS_EVERY_S: Final = 30.0
_AFTER_FAULT_S: Final = 10.0
_REQUEST: Final = request_id.HEADER.decode()
_LETS_GO_S: Final = 5.0  # in which what is cancelled should end
_HOLD: Final = "batches"


@dataclass(frozen=True, slots=True)
class _Run:
    """One batch at work. `ending`: nothing more is asked for it."""

    owner: str
    ending: bool
    task: asyncio.Task[None]


class BatchRunner:
    """Begins a run for each batch that is not at its end."""

    def __init__(self, stored: Opening, ring: Keyring) -> None:
        self._stored = stored
        self._ring = ring
        self._news = asyncio.Event()
        self._runs: dict[str, _Run] = {}
        self._rests: dict[str, float] = {}  # until when a batch that failed is left alone
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(IN_FLIGHT)
        )
        self._checking = asyncio.Lock()
        self._app: ASGIApp | None = None

    @property
    def running(self) -> int:
        """How many are at work here."""
        return len(self._runs)

    def wake(self) -> None:
        """There is a new batch, or one is to be cancelled."""
        self._news.set()

    async def run(self, app: ASGIApp) -> None:
        """As long as the server does."""
        self._app = app
        while True:
            held = await _tried("batches do not run", self._hold_and_run())
            await self._pause(LOOKS_EVERY_S if held else _AFTER_FAULT_S)

    async def _hold_and_run(self) -> None:
        stored = await self._stored.wanted()
        hold = await stored.database.hold(_HOLD)
        if hold is None:
            return  # another server runs them
        try:
            sweep_at = 0.0
            while await hold.lasts():
                if (now := time.monotonic()) >= sweep_at:
                    sweep_at = now + SWEEPS_EVERY_S
                    await _tried("files are not swept", stored.files.sweep())
                    await _tried("results are not swept", stored.batches.forget_results())
                seen = await _tried("batches are not seen", self._look(stored))
                await self._pause(LOOKS_EVERY_S if seen else _AFTER_FAULT_S)
        finally:
            await self._end(list(self._runs))
            await hold.release()

    async def _look(self, stored: Stored) -> None:
        for name, run in list(self._runs.items()):
            if run.task.done():
                del self._runs[name]
                self._note(name, run.task)
        for batch in await stored.batches.active():
            ending = batch.status == "cancelling" or batch.is_over
            if (known := self._runs.get(batch.id)) is not None:
                if known.owner == batch.owner and (known.ending or not ending):
                    continue
                await self._end([batch.id])
            if self._may_begin(batch, ending=ending):
                self._begin(batch, stored, ending=ending)

    def _may_begin(self, batch: Batch, *, ending: bool) -> bool:
        if time.monotonic() < self._rests.get(batch.id, 0):
            return False
        return ending or Counter(run.owner for run in self._runs.values())[batch.owner] < RUNS

    def _begin(self, batch: Batch, stored: Stored, *, ending: bool) -> None:
        from noibo.gateway.batches.run import BatchRun

        run = BatchRun(batch, stored.batches, stored.files, self._ask, self._checking)
        task = asyncio.create_task(run.work())
        task.add_done_callback(lambda _: self.wake())
        self._runs[batch.id] = _Run(batch.owner, ending, task)

    def _note(self, name: str, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            self._rests.pop(name, None)
            return
        self._rests[name] = time.monotonic() + _AFTER_FAULT_S
        if isinstance(error, NoiboError):
            log.error("%s waits: %s", name, error)
        else:
            log.error("%s failed and is tried again", name, exc_info=error)

    async def _ask(self, batch: Batch, body: bytes) -> tuple[int, bytes, str, float | None]:
        """One line, as if its owner had sent it: after all who want an answer now. All batches of
        an owner are one caller, so that many take no more of the queue than one. What it may is
        what the key may now that the batch was made with."""
        assert self._app is not None  # noqa: S101 - run sets it
        name, by = f"batches of {batch.owner}", batch.asked_by or ""
        try:
            grant = await self._ring.grant_of(by) if by else EVERYTHING
            permissions.require(grant, "POST", batch.endpoint)
        except (Unauthorized, Forbidden) as refused:
            return refused.status, msgspec.json.encode(openai.error_body(refused)), "", None
        caller = Caller(name, Priority.BATCH, batch.owner, grant, by)
        async with self._turns[batch.owner]:
            status, headers, answer = await inside.ask(
                self._app, batch.endpoint, body, caller, label=batch.label
            )
        later, request = headers.get("retry-after", ""), headers.get(_REQUEST, "")
        return status, answer, request, float(later) if later.isdecimal() else None

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        self._news.clear()

    async def _end(self, names: list[str]) -> None:
        """End runs. One that does not let go is not waited for: what it still finds is not taken
        down once its batch is at another step."""
        tasks = {self._runs.pop(name).task for name in names}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LETS_GO_S)


async def _tried(what: str, work: Awaitable[None]) -> bool:
    """Have something done that may fail. False where it did."""
    try:
        await work
    except NoiboError as error:
        log.error("%s: %s", what, error)
    except Exception:
        log.exception("%s; it is tried again", what)
    else:
        return True
    return False
