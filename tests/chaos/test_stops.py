"""Processes that stand still: for a moment, and for good."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.call import End
from tests.chaos.echoes import echoes
from tests.chaos.killing import alive
from tests.chaos.load import Load, Mix
from tests.chaos.report import Row, keep
from tests.running import RunningServer

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(600)]


@contextlib.contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def worker_pid(server: RunningServer, model: str) -> int:
    with server.client() as client:
        (found,) = [row.pid for row in client.workers() if row.model == model]
    return found or 0


async def test_a_worker_that_stands_still_for_a_moment_loses_nothing(home: Path, seed: int) -> None:
    recoveries = []
    with echoes(home, {"a": {}, "b": {}}) as server:
        async with Load(server.url, Mix(("a", "b")), 8, seed) as load:
            for _ in range(3):
                await load.until_answered(["a", "b"])
                pid = await asyncio.to_thread(worker_pid, server, "a")
                with standing_still(pid):
                    await asyncio.sleep(1.5)
                at = time.monotonic()
                await load.until_answered(["a"])
                recoveries.append(time.monotonic() - at)
                assert await asyncio.to_thread(worker_pid, server, "a") == pid
    keep(Row.of("worker stopped for 1.5 s (SIGSTOP, SIGCONT)", 3, load.outcomes, recoveries))
    assert {outcome.end for outcome in load.outcomes} == {End.ANSWERED}


async def test_a_worker_that_stands_still_for_good_is_replaced(home: Path, seed: int) -> None:
    recoveries = []
    with echoes(home, {"a": {}, "b": {}}, NOIBO_ENGINE_ANSWER_STALL_S="5") as server:
        async with Load(server.url, Mix(("a", "b")), 8, seed) as load:
            for _ in range(2):
                await load.until_answered(["a", "b"])
                pid = await asyncio.to_thread(worker_pid, server, "a")
                at = time.monotonic()
                os.kill(pid, signal.SIGSTOP)
                while alive(pid):
                    await asyncio.sleep(0.02)
                await load.until_answered(["a"])
                recoveries.append(time.monotonic() - at)
    failed = load.of(End.FAILED)
    keep(
        Row.of(
            "worker stopped for good (SIGSTOP)",
            2,
            load.outcomes,
            recoveries,
            "engine.answer_stall_s = 5 (120 by default)",
        )
    )
    assert load.bad() == []
    assert {outcome.call.model for outcome in failed} == {"a"}
    assert {outcome.code for outcome in failed} == {"worker_died"}
    assert all("did nothing for" in outcome.message for outcome in failed)
    assert len(failed) <= 2 * 4


async def test_a_server_that_stands_still_for_a_moment_loses_nothing(home: Path, seed: int) -> None:
    recoveries = []
    with echoes(home, {"a": {}, "b": {}}, NOIBO_ENGINE_ANSWER_STALL_S="5") as server:
        async with Load(server.url, Mix(("a", "b")), 8, seed) as load:
            for _ in range(1):
                await load.until_answered(["a", "b"])
                with standing_still(server.process.pid):
                    await asyncio.sleep(8)  # longer than a worker may do nothing
                at = time.monotonic()
                await load.until_answered(["a", "b"])
                recoveries.append(time.monotonic() - at)
    keep(Row.of("server stopped for 8 s (SIGSTOP, SIGCONT)", 1, load.outcomes, recoveries))
    assert {outcome.end for outcome in load.outcomes} == {End.ANSWERED}
