"""The server itself is killed under load, and started again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from noibo.modelstore.store import Store
from tests.chaos.call import End
from tests.chaos.echoes import Scripts, echoes
from tests.chaos.killing import alive
from tests.chaos.load import Load, Mix
from tests.chaos.report import Row, keep
from tests.running import RunningServer, run_noibo, until

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(1800)]

TIMES = 10
MODELS: Scripts = {"a": {}, "b": {}, "slow to start": {"start_delay_s": 1}}


async def test_a_killed_server_leaves_nothing_running_and_starts_again(
    home: Path, seed: int, smollm2_gguf: Path
) -> None:
    rng = random.Random(seed)
    assert run_noibo("add", str(smollm2_gguf), "--name", "kept", home=home).returncode == 0
    recoveries: list[float] = []
    seen: set[int] = set()
    killed: list[tuple[float, float]] = []
    server = await asyncio.to_thread(echoes(home, MODELS).__enter__)
    try:
        async with Load(server.url, Mix(tuple(MODELS)), 8, seed) as load:
            for _ in range(TIMES):
                await load.until_answered(["a"])
                await asyncio.sleep(rng.uniform(0, 1.5))
                at = time.monotonic()
                seen |= kill(server)
                assert_gone(seen)
                assert_files_are_whole(home)
                server = await asyncio.to_thread(echoes(home, MODELS).__enter__)
                load.url = server.url
                killed.append((at, time.monotonic()))
                await load.until_answered(["a", "b"])
                recoveries.append(time.monotonic() - at)
    finally:
        server.__exit__()
    cut = [o for o in load.of(End.CUT) if any(at <= o.ended <= back for at, back in killed)]
    asked = [o for o in load.outcomes if o.end is not End.NOBODY and o not in cut]
    note = f"{len(cut)} more had their connection cut with it"
    keep(Row.of("server killed with -9 and started again", TIMES, asked, recoveries, note))
    assert load.of(End.WRONG, End.HUNG, End.FAILED) == []
    assert len(cut) == len(load.of(End.CUT))
    assert len(cut) <= TIMES * 8
    assert_files_are_whole(home)
    assert list((home.parent / "tmp").iterdir()) == []


def kill(server: RunningServer) -> set[int]:
    """End the server at once; the processes that it had started."""
    process = psutil.Process(server.process.pid)
    children = {child.pid for child in process.children(recursive=True)}
    os.kill(server.process.pid, signal.SIGKILL)
    server.__exit__()
    return children


def assert_gone(pids: set[int]) -> None:
    until(lambda: not any(alive(pid) for pid in pids), "no worker outlives the server")


def assert_files_are_whole(home: Path) -> None:
    """Every state file can be read; the store has what it had."""
    for path in home.rglob("*.json"):
        json.loads(path.read_text())
    (kept,) = Store(home / "models").list()
    assert str(kept.reference).startswith("kept")
