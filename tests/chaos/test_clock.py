"""The clock on the wall is set while models run: nothing that waits goes by it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.chaos.call import Call, End
from tests.chaos.echoes import echoes
from tests.chaos.load import Load, Mix
from tests.chaos.report import Row, keep
from tests.running import RunningServer

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
JUMPS = ("-86400", "+31536000", "+0")  # seconds

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not here: apt-get install faketime"),
]


class WallClock:
    """What the server takes for the time of day: off by so many seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set("+0")

    @property
    def environ(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: str) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(seconds + "\n")
        fresh.replace(self._path)


async def test_a_clock_that_jumps_changes_nothing(home: Path, tmp_path: Path, seed: int) -> None:
    clock = WallClock(tmp_path / "clock")
    scripts = {"a": {}, "brief": {}, "slow": {"start_delay_s": 3}, "dies": {"start_fails": "no"}}
    with echoes(home, scripts, **clock.environ) as server:
        async with Load(server.url, Mix(("a",)), 6, seed) as load:
            await load.until_answered(["a"])
            pid = (await _running(server))["a"]
            for jump in JUMPS:
                # Someone waits for a load, one model is to go in a second, one is held back.
                brief = Call("brief", "hello", more={"keep_alive": 2.0})
                assert (await load.ask(brief)).end is End.ANSWERED
                slow = asyncio.create_task(load.ask(Call("slow", f"patience {jump}")))
                await _until_waited_for(server, "slow")
                clock.set(jump)
                assert "brief" in await _running(server)  # it does not go at once
                expected = await _expected(server, "slow")
                assert 0 <= expected < 60
                await _until_gone(server, "brief")
                assert (await slow).end is End.ANSWERED
                assert (await _running(server))["a"] == pid
                await asyncio.to_thread(_stop, server, "slow")
            refusals = []
            for jump in JUMPS:
                refusals.append(await load.ask(Call("dies", "x")))
                clock.set(jump)
    keep(
        Row.of(
            "clock set back by a day, forward by a year, and right again", len(JUMPS), load.outcomes
        )
    )
    assert {outcome.end for outcome in load.outcomes if outcome not in refusals} == {End.ANSWERED}
    assert {outcome.code for outcome in refusals} == {"worker_start_failed"}
    # One that waited long for the load had been told of that by then: its stream had begun.
    assert {outcome.status for outcome in refusals} <= {200, 503}


async def _running(server: RunningServer) -> dict[str, int]:
    def ask() -> dict[str, int]:
        with server.client() as client:
            return {row.model: row.pid for row in client.workers() if row.pid}

    return await asyncio.to_thread(ask)


async def _expected(server: RunningServer, model: str) -> float:
    (expected,) = await _waits(server, model)
    return expected


async def _waits(server: RunningServer, model: str) -> list[float]:
    def ask() -> list[float]:
        with server.client() as client:
            rows = client.queue().waiting
            return [row.expected_s or 0.0 for row in rows if row.model == model]

    return await asyncio.to_thread(ask)


async def _until_waited_for(server: RunningServer, model: str) -> None:
    async with asyncio.timeout(10):
        while not await _waits(server, model):
            await asyncio.sleep(0.02)


async def _until_gone(server: RunningServer, model: str) -> None:
    deadline = time.monotonic() + 30
    while model in await _running(server):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def _stop(server: RunningServer, model: str) -> None:
    with server.client() as client:
        client.stop_worker(model)
