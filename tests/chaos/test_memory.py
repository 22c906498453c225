"""Workers that want more memory than there is for them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.call import Call, End
from tests.chaos.echoes import echoes
from tests.chaos.killing import Killer, recoveries
from tests.chaos.load import Load, Mix
from tests.chaos.report import Row, keep

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(600)]

TIMES = 4
MORE_MIB = 3000  # than a worker's limit: twice what it needs, and a gigabyte


async def test_a_worker_that_eats_ends_alone(home: Path, seed: int) -> None:
    """It is refused the memory, dies of it, and the others do not notice."""
    recoveries: list[float] = []
    ends: list[str] = []
    with echoes(home, {"a": {}, "eater": {}}) as server:
        async with Load(server.url, Mix(("a",)), 6, seed) as load:
            for number in range(TIMES):
                greedy = {"x_echo": {"grows_mib": MORE_MIB, "delay_ms": 5}}
                outcome = await load.ask(Call("eater", f"meal {number} or so", more=greedy))
                at = time.monotonic()
                ends.append(outcome.code)
                assert "memory" in outcome.message
                assert (await load.ask(Call("eater", f"hungry {number}"))).end is End.ANSWERED
                recoveries.append(time.monotonic() - at)
    keep(Row.of("worker over its memory while it answers", TIMES, load.outcomes, recoveries))
    assert ends == ["worker_died"] * TIMES
    assert len(load.of(End.FAILED)) == TIMES
    assert load.bad() == []


async def test_a_model_too_large_for_its_limit_is_named_and_takes_no_other_down(
    home: Path, seed: int
) -> None:
    with echoes(home, {"a": {}, "giant": {"eats_mib": MORE_MIB}}) as server:
        async with Load(server.url, Mix(("a",)), 6, seed) as load:
            outcomes = [await load.ask(Call("giant", f"try {i}")) for i in range(2)]
    keep(Row.of("model that dies of memory while it loads", 2, load.outcomes))
    assert {(o.status, o.code) for o in outcomes} == {(503, "out_of_memory")}
    assert len(load.of(End.FAILED)) == 2
    assert load.bad() == []


async def test_a_model_that_dies_on_load_takes_no_other_down(home: Path, seed: int) -> None:
    with echoes(home, {"a": {}, "dies": {"start_dies_by": "SIGSEGV"}}) as server:
        async with Load(server.url, Mix(("a",)), 6, seed) as load:
            outcomes = [await load.ask(Call("dies", f"try {i}")) for i in range(6)]
    keep(Row.of("model that crashes while it loads", 6, load.outcomes))
    assert {(o.status, o.code) for o in outcomes} == {(503, "worker_start_failed")}
    assert all("SIGSEGV" in o.message for o in outcomes)
    assert len(load.of(End.FAILED)) == 6
    assert load.bad() == []


async def test_models_that_alternate_in_a_budget_for_one_survive_kills(
    home: Path, seed: int
) -> None:
    half = {"need_mib": 200, "eats_mib": 160}
    with echoes(home, {"a": half, "b": half}, NOIBO_MEMORY_BUDGET="300MiB") as server:
        async with Load(server.url, Mix(("a", "b")), 8, seed) as load:
            killer = Killer(server, load, ("a", "b"), seed=seed)
            await killer.kill(6)
            await load.until_answered(["a", "b"])
    keep(
        Row.of(
            "worker killed while two models take turns in memory for one",
            len(killer.kills),
            load.outcomes,
            recoveries(killer.kills, load.outcomes),
        )
    )
    assert load.bad() == []
    assert {outcome.code for outcome in load.of(End.FAILED)} <= {"worker_died"}
