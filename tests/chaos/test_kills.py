"""Workers that are killed under load: their own requests fail, told why, and no other."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.chaos.call import End, Outcome
from tests.chaos.echoes import echoes
from tests.chaos.killing import Killer, alive, blamed, recoveries
from tests.chaos.load import Load, Mix
from tests.chaos.report import Row, keep
from tests.running import RunningServer, until

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(1800)]

SERVER_KILLS = 10
SLOTS = 4
GROWTH_BYTES = 24 * 2**20


async def test_workers_killed_at_any_point_cost_only_their_own_requests(
    home: Path, kills: int, seed: int
) -> None:
    busy = ("a", "b", "c")
    with echoes(home, {name: {} for name in (*busy, "rests")}) as server:
        process = psutil.Process(server.pid)
        async with Load(server.url, Mix(busy, leaves=0.1, batch=0.2), 8, seed) as load:
            killer = Killer(server, load, busy, "rests", seed)
            await killer.kill((kills - SERVER_KILLS) // 5)
            before, files = process.memory_info().rss, process.num_fds()
            await killer.kill(kills - SERVER_KILLS)
        grown = process.memory_info().rss - before
        opened = process.num_fds() - files
    count = load.count()
    phases = {p: sum(k.phase == p for k in killer.kills) for p in (k.phase for k in killer.kills)}
    keep(
        Row.of(
            "worker killed (SIGKILL, SIGTERM, SIGSEGV, SIGABRT)",
            len(killer.kills),
            load.outcomes,
            recoveries(killer.kills, load.outcomes),
            f"{', '.join(f'{n} {p}' for p, n in phases.items())}; "
            f"server grew by {grown / 2**20:.1f} MiB",
        )
    )
    assert load.bad() == []
    assert count[End.ANSWERED] > len(killer.kills)
    assert_only_the_killed_failed(killer, load.of(End.FAILED))
    assert grown < GROWTH_BYTES
    assert opened < 20
    assert_nothing_is_left(server, [kill.pid for kill in killer.kills])


def assert_only_the_killed_failed(killer: Killer, failed: list[Outcome]) -> None:
    """Who waited got an answer: a failure is always one of the few that the killed one answered."""
    assert {outcome.code for outcome in failed} <= {"worker_died"}
    named = {kill.signal for kill in killer.kills}
    assert all(any(name in outcome.message for name in named) for outcome in failed)
    for pid, outcomes in blamed(killer.kills, failed).items():
        assert pid
        assert len(outcomes) <= SLOTS, outcomes
        assert {outcome.by for outcome in outcomes} <= {"", f"echo-{pid}"}


def assert_nothing_is_left(server: RunningServer, pids: list[int]) -> None:
    """No process, no folder, no state file, after the end of a server."""
    until(lambda: not any(alive(pid) for pid in pids), "the workers are gone")
    assert not (server.home / "server.json").exists()
    assert list((server.home.parent / "tmp").iterdir()) == []


async def test_a_real_model_is_killed(home: Path, model_store: Path, seed: int) -> None:
    real = "smollm2:135m"
    mix = Mix((real,), real=frozenset({real}), patience_s=180)
    with echoes(
        home, {}, NOIBO_STORE_PATH=str(model_store), NOIBO_ENGINE_CTX_SIZE="1024"
    ) as server:
        async with Load(server.url, mix, 4, seed) as load:
            killer = Killer(server, load, (real,), seed=seed)
            await killer.kill(3)
            await load.until_answered([real])
    keep(
        Row.of(
            "worker of a real model killed",
            len(killer.kills),
            load.outcomes,
            recoveries(killer.kills, load.outcomes),
            "SmolLM2-135M, each answer forced to a text of its own by a grammar",
        )
    )
    assert load.bad() == []
    assert {outcome.code for outcome in load.of(End.FAILED)} <= {"worker_died"}
    assert_nothing_is_left(server, [kill.pid for kill in killer.kills])
