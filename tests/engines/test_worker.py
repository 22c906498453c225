from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from noibo import settings
from noibo.engines.echo import Echo
from noibo.engines.engine import Model, Speed
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.size import Size
from noibo.engines.worker import MOVES, State, Worker
from noibo.errors import WorkerStartFailed
from tests.running import until

pytestmark = pytest.mark.anyio
LIMITS = settings.Engine(start_stall_s=2.0, stop_grace_s=2.0)


def echo_worker(**options: object) -> Worker:
    model = Model("echo", "echo", options=options)
    return Worker(Echo(), model, Echo().launch(model, Size(0, 4), LIMITS, Speed()), LIMITS)


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    until(lambda: set(psutil.Process().children(recursive=True)) <= before, "workers are gone")


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(State)
    assert not MOVES[State.STOPPED]
    assert not MOVES[State.FAILED]


async def test_an_illegal_move_is_refused() -> None:
    worker = echo_worker()
    with pytest.raises(RuntimeError, match="cannot become"):
        worker._move(State.READY)


async def test_a_worker_starts_and_stops() -> None:
    worker = echo_worker()
    await worker.start()
    assert worker.state is State.READY
    assert worker.url.startswith("http://127.0.0.1:")
    await worker.stop()
    assert worker.state is State.STOPPED
    await worker.stop()


async def test_a_failed_start_tells_the_last_lines() -> None:
    worker = echo_worker(start_fails="the dog ate the weights")
    with pytest.raises(WorkerStartFailed, match="the dog ate the weights"):
        await worker.start()
    assert worker.state is State.FAILED


async def test_a_start_without_progress_fails() -> None:
    worker = echo_worker(start_hangs=True)
    with pytest.raises(WorkerStartFailed, match="made no progress for 2 s"):
        await worker.start()


async def test_a_slow_start_that_makes_progress_does_not_fail() -> None:
    # Works for twice the stall limit and says nothing.
    worker = echo_worker(start_works_s=4)
    await worker.start()
    assert worker.state is State.READY
    await worker.stop()


async def test_a_killed_worker_has_failed_and_says_how() -> None:
    ended: list[Worker] = []
    worker = echo_worker()
    worker._on_end = ended.append
    await worker.start()
    assert worker.process is not None
    os.kill(worker.process.pid, signal.SIGKILL)
    error = await worker.died()
    assert "SIGKILL" in str(error)
    assert worker.state is State.FAILED
    assert ended == [worker]


async def test_a_worker_that_will_not_stop_is_killed() -> None:
    worker = echo_worker()
    await worker.start()
    assert worker.process is not None
    os.kill(worker.process.pid, signal.SIGSTOP)
    await worker.stop()
    assert worker.state is State.STOPPED
    assert not psutil.pid_exists(worker.process.pid)


async def test_a_start_that_is_cancelled_leaves_no_process() -> None:
    worker = echo_worker(start_delay_s=30)
    start = asyncio.create_task(worker.start())
    while worker.process is None:
        await asyncio.sleep(0.01)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert worker.state is State.STOPPED


async def test_a_worker_has_no_secret_in_its_environment_or_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    worker = echo_worker()
    await worker.start()
    assert worker.process is not None
    process = psutil.Process(worker.process.pid)
    seen = " ".join([*process.cmdline(), *map(" ".join, process.environ().items())])
    assert "sk-very-secret" not in seen
    assert worker.key not in seen
    await worker.stop()


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    ["own_arch_unknown", "own_chat_template_ssti", "own_nul_in_key", "own_tensor_name_traversal"],
)
async def test_a_hostile_model_fails_to_load_cleanly(shared: Path, name: str) -> None:
    path = shared / "hostile" / "gguf" / f"{name}.gguf"
    assert path.is_file()
    model = Model("bad", "llama_cpp", path=path)
    limits = settings.Engine(start_stall_s=30)
    launch = LlamaCpp().launch(model, Size(512, 1), limits, Speed())
    worker = Worker(LlamaCpp(), model, launch, limits)
    with pytest.raises(WorkerStartFailed, match=r"llama\.cpp could not load"):
        await worker.start()


@pytest.mark.heavy
async def test_a_worker_that_talks_nonsense_leaves_no_process() -> None:
    for said in ({"url": "http://10.0.0.1:80"}, {}):
        worker = echo_worker(announces=said)
        with pytest.raises(WorkerStartFailed, match="no progress"):
            await worker.start()
        assert worker.state is State.FAILED


def grandchildren() -> list[psutil.Process]:
    said = "noibo-test-grandchild"
    return [p for p in psutil.process_iter(["cmdline"]) if said in str(p.info["cmdline"])]


async def test_a_death_is_seen_although_a_grandchild_holds_the_pipes() -> None:
    worker = echo_worker(grandchild_s=30)
    await worker.start()
    assert worker.process is not None
    assert grandchildren()
    os.kill(worker.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while worker.state is not State.FAILED:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    until(lambda: not grandchildren(), "the grandchild is gone too")
