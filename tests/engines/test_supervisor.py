from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from noibo import settings
from noibo.engines.echo import Echo
from noibo.engines.engine import Model
from noibo.engines.memory.book import Book
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from noibo.engines.worker import State
from noibo.errors import EngineMissing, ModelNotFound, ShuttingDown, WorkerStartFailed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    limits = settings.Engine(start_stall_s=5, stop_grace_s=2)
    tree = settings.Settings(home=tmp_path, engine=limits)
    made = Supervisor(
        {"echo": Echo()}, tree, Tuning(tmp_path / "tuning.json"), Book(tmp_path / "book.json")
    )
    yield made
    await made.close()


def echo(name: str = "echo", **options: object) -> Model:
    return Model(name, "echo", options=options)


async def hold(supervisor: Supervisor, model: Model) -> int:
    async with supervisor.lease(Claim(model)) as worker:
        assert worker.process is not None
        return worker.process.pid


async def test_callers_that_arrive_during_a_start_share_it(supervisor: Supervisor) -> None:
    model = echo(start_delay_s=0.5)
    pids = await asyncio.gather(*(hold(supervisor, model) for _ in range(20)))
    assert len(set(pids)) == 1


async def test_a_caller_that_leaves_does_not_take_the_start_away(supervisor: Supervisor) -> None:
    model = echo(start_delay_s=0.5)
    leaver = asyncio.create_task(hold(supervisor, model))
    stayer = asyncio.create_task(hold(supervisor, model))
    await asyncio.sleep(0.1)
    leaver.cancel()
    assert await stayer > 0
    assert leaver.cancelled()


async def test_all_callers_of_a_failed_start_are_told_and_the_next_tries_again(
    supervisor: Supervisor,
) -> None:
    model = echo(start_fails="no weights")
    results = await asyncio.gather(
        *(hold(supervisor, model) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [WorkerStartFailed] * 3
    assert supervisor.workers() == []
    with pytest.raises(WorkerStartFailed):
        await hold(supervisor, model)


async def test_two_models_have_two_workers(supervisor: Supervisor) -> None:
    assert await hold(supervisor, echo("one")) != await hold(supervisor, echo("two"))
    assert [worker.model.name for worker in supervisor.workers()] == ["one", "two"]


async def test_a_dead_worker_is_replaced(supervisor: Supervisor) -> None:
    first = await hold(supervisor, echo())
    worker = supervisor.workers()[0]
    assert worker.process is not None
    worker.process.kill()
    while worker.state is not State.FAILED:
        await asyncio.sleep(0.01)
    assert await hold(supervisor, echo()) != first


async def test_stopping_what_does_not_run_says_what_does(supervisor: Supervisor) -> None:
    await hold(supervisor, echo())
    with pytest.raises(ModelNotFound, match="Running: echo"):
        await supervisor.stop("llama")
    await supervisor.stop("echo")
    assert supervisor.workers() == []


async def test_stopping_during_a_start_ends_the_start(supervisor: Supervisor) -> None:
    waiting = asyncio.create_task(hold(supervisor, echo(start_delay_s=60)))
    while not supervisor.workers():
        await asyncio.sleep(0.01)
    await supervisor.stop("echo")
    with pytest.raises(WorkerStartFailed, match="stopped while it was waited for"):
        await waiting


async def test_an_unknown_engine_names_those_there_are(supervisor: Supervisor) -> None:
    with pytest.raises(EngineMissing, match="echo"):
        await hold(supervisor, Model("m", "tensor_rt"))


async def test_a_closed_supervisor_takes_no_work(supervisor: Supervisor) -> None:
    await hold(supervisor, echo())
    await supervisor.close()
    assert supervisor.workers() == []
    with pytest.raises(ShuttingDown):
        await hold(supervisor, echo())
