"""Ends workers at random moments: while they load, while they rest, in the middle of answers."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from noibo.wire.management import WorkerRow
from tests.chaos.call import Call, End, Outcome, words
from tests.chaos.load import Load
from tests.running import RunningServer

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT)
LOADING, IDLE, ANSWERING = "loading", "idle", "answering"


@dataclass(frozen=True, slots=True)
class Kill:
    """One worker that was ended."""

    at: float
    pid: int
    model: str
    signal: str
    phase: str


class Killer:
    """Kills the workers of one server, which has `busy` models under load and an `idle` one."""

    def __init__(
        self,
        server: RunningServer,
        load: Load,
        busy: Sequence[str],
        idle: str | None = None,
        seed: int = 4,
    ) -> None:
        self.kills: list[Kill] = []
        self._server = server
        self._load = load
        self._busy = busy
        self._idle = idle
        self._rng = random.Random(seed)
        self._killed_in_load: set[str] = set()

    async def kill(self, times: int) -> None:
        """So many times, in turn in each phase at random."""
        phases = [ANSWERING] * 3 + [LOADING] * 2 + [IDLE] * bool(self._idle)
        while len(self.kills) < times:
            phase = self._rng.choice(phases)
            if phase is IDLE:
                await self._kill_idle()
            else:
                await self._kill_busy(self._rng.choice(self._busy), then=phase)

    async def _kill_busy(self, model: str, then: str) -> None:
        """In the middle of answers; and once more while the next one loads, if `then` says so.

        The load after that must succeed: who is killed again and again is held back, and that is
        another test."""
        await self._load.until_answered([model])
        row = await self._worker(model, "ready", asked=True)
        await asyncio.sleep(self._rng.uniform(0, 0.1))
        self._end(row, ANSWERING)
        if then is LOADING:
            row = await self._worker(model, "starting")
            await asyncio.sleep(self._rng.uniform(0, 0.35))
            rows = await asyncio.to_thread(self._rows)
            loads = any(each.pid == row.pid and each.state == "starting" for each in rows)
            self._end(row, LOADING if loads else ANSWERING)

    async def _kill_idle(self) -> None:
        assert self._idle is not None
        assert (await self._ask_idle()).end is End.ANSWERED
        row = await self._worker(self._idle, "ready")
        self._end(row, IDLE)
        await self._gone(row.pid or 0)
        assert (await self._ask_idle()).end is End.ANSWERED  # nobody paid for it

    async def _ask_idle(self) -> Outcome:
        assert self._idle is not None
        text = words(self._rng, -len(self.kills), 5)
        return await self._load.ask(Call(self._idle, text, key="the one who comes now and then"))

    async def _worker(self, model: str, state: str, *, asked: bool = False) -> WorkerRow:
        async with asyncio.timeout(60):
            while True:
                rows = await asyncio.to_thread(self._rows)
                for row in rows:
                    found = (row.model, row.state) == (model, state) and row.pid
                    if found and (row.requests or not asked):
                        return row
                await asyncio.sleep(0.02)

    def _rows(self) -> list[WorkerRow]:
        with self._server.client() as client:
            return client.workers()

    def _end(self, row: WorkerRow, phase: str) -> None:
        which = self._rng.choice(SIGNALS)
        try:
            os.kill(row.pid or 0, which)
        except ProcessLookupError:  # it was quicker
            return
        self.kills.append(Kill(time.monotonic(), row.pid or 0, row.model, which.name, phase))

    async def _gone(self, pid: int) -> None:
        async with asyncio.timeout(30):
            while any(row.pid == pid for row in await asyncio.to_thread(self._rows)):
                await asyncio.sleep(0.01)


def recoveries(kills: Sequence[Kill], outcomes: Sequence[Outcome]) -> list[float]:
    """From each kill to the next good answer of that model by another worker."""
    found = []
    for kill in kills:
        good = [
            outcome.ended - kill.at
            for outcome in outcomes
            if outcome.end is End.ANSWERED
            and outcome.call.model == kill.model
            and outcome.ended > kill.at
            and outcome.by != f"echo-{kill.pid}"
        ]
        found += [min(good)] if good else []
    return found


def blamed(kills: Sequence[Kill], failed: Sequence[Outcome]) -> dict[int, list[Outcome]]:
    """Failures by the process that was killed while it answered: the last of that model before."""
    found: dict[int, list[Outcome]] = {}
    answering = [kill for kill in kills if kill.phase == ANSWERING]
    for outcome in failed:
        before = [k for k in answering if k.model == outcome.call.model and k.at <= outcome.ended]
        found.setdefault(max(before, key=lambda k: k.at).pid if before else 0, []).append(outcome)
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
