"""One model that is loaded, or being loaded, and what runs it. Lives on a room's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Self

from noibo.assembly import open_supervisor
from noibo.engines.engine import Model
from noibo.engines.memory.machine import Machine
from noibo.engines.supervision.claim import Claim
from noibo.engines.upstream import new_session
from noibo.engines.worker import State, Worker
from noibo.errors import ModelNotFound
from noibo.gateway.pipeline import Pipeline
from noibo.gateway.window.policy import Policies
from noibo.llm_service.answer import Answer
from noibo.llm_service.asking import Question, Tell, ask
from noibo.llm_service.finding import Found
from noibo.settings import Settings

LEAST_CLEARED: Final = 64 * 2**20  # bytes that a worker must have grown by to be started anew


def sized(tree: Settings, model: Model) -> Settings:
    """The settings with the context length that the program asked for: no longer than what the
    model was trained for."""
    wanted = tree.llm.max_length
    if not wanted:
        return tree
    context = min(wanted, model.trained_context or wanted)
    return replace(tree, engine=replace(tree.engine, ctx_size=context))


class Home:
    """Opened with `async with`. The worker starts when it is first wanted, and stays."""

    def __init__(self, tree: Settings, found: Found) -> None:
        self.tree = tree
        self.found = found
        self._supervisor = open_supervisor(tree)
        self._leaving = contextlib.AsyncExitStack()
        self._asks = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._at_start: tuple[int, int] = (0, 0)  # a worker's process, and bytes it held when ready
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        session = await self._leaving.enter_async_context(new_session())
        foreign = await self._leaving.enter_async_context(new_session(keeps=True))
        self._leaving.push_async_callback(self._supervisor.close)
        policies = Policies(self.tree)
        self._pipeline = Pipeline(self._resolve, self._supervisor, session, foreign, policies)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the worker. Whoever comes meanwhile shares it, and whoever goes does not end it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._leaving.aclose())
        await asyncio.shield(self._closing)

    async def _resolve(self, name: str) -> Model:
        return self.found.model

    def is_for(self, tree: Settings, model: Model) -> bool:
        """True if that is what runs here."""
        return (self.tree.engine, self.found.model) == (tree.engine, model)

    @property
    def worker(self) -> Worker | None:
        """Who answers; None while nobody does."""
        worker = self._supervisor.worker(self.found.model.seat)
        return worker if worker and worker.state is State.READY else None

    async def ready(self) -> None:
        """Wait until it can be asked. Raises why it cannot; whoever comes meanwhile shares it. No
        other model takes its place before that."""
        claim = Claim(self.found.model, keep_alive=math.inf, answers=False)
        with self._asked():
            async with self._supervisor.lease(claim) as worker:
                pid = worker.process.pid if worker.process else 0
                if pid and pid != self._at_start[0]:
                    self._at_start = pid, await asyncio.to_thread(Machine().held_by, pid)

    async def ask(self, question: Question, tell: Tell) -> Answer:
        """The answer to one question; leaving ends the work for it."""
        with self._asked():
            return await ask(self._pipeline, self.found.model, question, tell)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        self._asks += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._asks -= 1
            if not self._asks:
                self._idle.set()

    async def finished(self) -> None:
        """Wait for the end of what is being loaded and answered."""
        while self._asks:  # who has loaded it asks it next, before anybody else is woken
            await self._idle.wait()

    async def clear(self) -> int | None:
        """Stop the worker where it has grown and nobody is answered; bytes it had grown by. None
        where there is nothing to do."""
        pid, before = self._at_start
        if not pid or self.worker is None:
            return None
        held = await asyncio.to_thread(Machine().held_by, pid)
        if self._asks or held - before < LEAST_CLEARED:
            return None
        with contextlib.suppress(ModelNotFound):  # it has just ended by itself
            await self._supervisor.stop(self.found.model.seat)
        return max(held - before, 0)

    def kill(self) -> None:
        """End the workers at once, from any thread, when nothing else can be done any more."""
        for worker in self._supervisor.workers():
            if worker.process is not None:
                worker.process.kill()
                shutil.rmtree(worker.process.folder, ignore_errors=True)
