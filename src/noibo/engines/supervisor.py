"""Which workers run. One worker a model, shared by all callers, started by the first of them.

What comes in its own issue has its place here: memory budgets and eviction before `_start`, the
queue in `lease`, back-off and disqualified builds in `_failed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping

from noibo import settings
from noibo.engines.engine import Engine, Launch, Model, Speed
from noibo.engines.tuning import Tuning, threads_for
from noibo.engines.worker import State, Worker
from noibo.errors import EngineMissing, ModelNotFound, ShuttingDown, WorkerStartFailed

log = logging.getLogger(__name__)


class Supervisor:
    """Starts, shares and stops workers. Lives on one event loop."""

    def __init__(
        self, engines: Mapping[str, Engine], limits: settings.Engine, tuning: Tuning
    ) -> None:
        self._engines = engines
        self._limits = limits
        self._tuning = tuning
        self._workers: dict[str, Worker] = {}
        self._starts: dict[str, asyncio.Task[Worker]] = {}
        self._closed = False

    @contextlib.asynccontextmanager
    async def lease(self, model: Model) -> AsyncIterator[Worker]:
        """A ready worker for `model`, held for the time of one request."""
        worker = await self._ready_worker(model)
        worker.leases += 1
        try:
            yield worker
        finally:
            worker.leases -= 1
            worker.used_at = time.time()

    async def _ready_worker(self, model: Model) -> Worker:
        if self._closed:
            raise ShuttingDown("The server is stopping.", next_step="Try again when it is back.")
        worker = self._workers.get(model.name)
        if worker is not None and worker.state is State.READY:
            if worker.model == model or worker.leases:
                return worker
            await worker.stop()  # the name now means another file
        start = self._starts.get(model.name)
        if start is None:
            start = asyncio.create_task(self._start(model))
            self._starts[model.name] = start
            start.add_done_callback(lambda task: self._start_ended(model.name, task))
        try:
            # A caller that leaves does not take the start away from the others.
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            if start.cancelled():
                raise WorkerStartFailed(f"{model.name} was stopped while it started.") from None
            raise

    def _start_ended(self, name: str, start: asyncio.Task[Worker]) -> None:
        self._starts.pop(name, None)
        if not start.cancelled() and (error := start.exception()):
            log.error("%s", error)  # also when no caller is left to be told

    async def _start(self, model: Model) -> Worker:
        engine = self.engine(model.engine)
        key, launch = await asyncio.to_thread(self._plan, engine, model)
        worker = Worker(engine, model, launch, self._limits, self._forget)
        self._workers[model.name] = worker
        try:
            await worker.start()
        except BaseException:
            self._forget(worker)
            raise
        if worker.prefill_rate:
            await asyncio.to_thread(self._tuning.record, key, worker.prefill_rate)
        return worker

    def _plan(self, engine: Engine, model: Model) -> tuple[str, Launch]:
        """How to start a worker, and under which key its speed is kept. Reads files."""
        threads = threads_for(self._limits.threads)
        key = f"{engine.name} {engine.available()} {model.path} threads={threads}"
        speed = Speed(self._tuning.prefill_rate(key), self._tuning.wants_more(key))
        return key, engine.launch(model, self._limits, speed)

    def engine(self, name: str) -> Engine:
        """The adapter of that name."""
        try:
            return self._engines[name]
        except KeyError:
            raise EngineMissing(
                f"There is no engine {name!r}.",
                next_step=f"Engines here: {', '.join(sorted(self._engines))}.",
            ) from None

    def _forget(self, worker: Worker) -> None:
        if self._workers.get(worker.model.name) is worker:
            del self._workers[worker.model.name]

    def workers(self) -> list[Worker]:
        """Workers that start or run, in order of start."""
        return list(self._workers.values())

    async def stop(self, name: str) -> None:
        """Stop the worker of one model. Raises `ModelNotFound` where none runs."""
        worker = self._workers.get(name)
        if worker is None:
            running = ", ".join(self._workers) or "none"
            raise ModelNotFound(f"{name} is not running.", next_step=f"Running: {running}.")
        if start := self._starts.get(name):
            start.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await start
        await worker.stop()

    async def close(self) -> None:
        """Take no new work and stop every worker."""
        self._closed = True
        for start in list(self._starts.values()):
            start.cancel()
        await asyncio.gather(*self._starts.values(), return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self.workers()))
