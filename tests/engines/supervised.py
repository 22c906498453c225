"""A supervisor with echo models, requests that are held, and waiting for what must come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from noibo import settings
from noibo.engines.echo import Echo
from noibo.engines.engine import Model
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.worker import Worker

Make = Callable[..., Supervisor]
LIMITS = settings.Engine(start_stall_s=10, stop_grace_s=2, parallel=1)


class OtherEcho(Echo):
    """Another build of the same engine."""

    def build(self) -> str:
        return "echo 2"


def echo(name: str = "echo", **options: object) -> Model:
    return Model(name, "echo", options={"need_mib": 200, "eats_mib": 160, **options})


def for_one() -> settings.Memory:
    """A budget in which one model has room, and two have not."""
    return settings.Memory(budget="300MiB")


def running(supervisor: Supervisor) -> list[str]:
    return [worker.model.name for worker in supervisor.workers()]


async def ask(supervisor: Supervisor, model: Model, **claim: Any) -> int:
    async with supervisor.lease(Claim(model, **claim)) as worker:
        assert worker.process is not None
        return worker.process.pid


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


class Holder:
    """A request under way, that ends when it is told to."""

    def __init__(self, supervisor: Supervisor, model: Model, **claim: Any) -> None:
        self.worker: Worker | None = None
        self.ticket: Ticket | None = None
        self._end = asyncio.Event()
        self._claim = Claim(model, **claim)
        self.task = asyncio.create_task(self._hold(supervisor))

    async def _hold(self, supervisor: Supervisor) -> None:
        async with supervisor.lease(self._claim, self._told) as self.worker:
            await self._end.wait()

    def _told(self, ticket: Ticket) -> None:
        self.ticket = ticket

    async def began(self) -> Holder:
        await eventually(lambda: self.worker is not None or self.task.done())
        return self

    async def end(self) -> None:
        self._end.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def pid_of(worker: Worker | None) -> int:
    assert worker is not None
    assert worker.process is not None
    return worker.process.pid
