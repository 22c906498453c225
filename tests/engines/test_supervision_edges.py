"""Things that meet at a bad moment: a stop and a start, a death and a request, two files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

import psutil
import pytest

from noibo import settings
from noibo.engines.echo import Echo
from noibo.engines.memory.machine import Machine
from noibo.engines.supervision.claim import Claim
from noibo.errors import WorkerStartFailed
from tests.engines.supervised import Holder, Make, ask, echo, eventually, for_one, pid_of, running
from tests.running import until

pytestmark = pytest.mark.anyio


async def test_a_stop_in_the_moment_of_the_request_leaves_nothing_behind(make: Make) -> None:
    supervisor = make()
    asked = asyncio.create_task(ask(supervisor, echo()))
    await asyncio.sleep(0)  # the request is in, nothing has been started yet
    await supervisor.stop("echo")
    with pytest.raises(WorkerStartFailed):
        await asked
    assert await asyncio.wait_for(ask(supervisor, echo()), 30) > 0


async def test_two_stops_of_one_start_leave_no_process(make: Make) -> None:
    supervisor = make()
    asked = asyncio.create_task(ask(supervisor, echo(start_hangs=True)))
    await eventually(lambda: bool(supervisor.workers() and supervisor.workers()[0].process))
    pid = pid_of(supervisor.workers()[0])
    os.kill(pid, signal.SIGSTOP)
    await asyncio.gather(*(supervisor.stop("echo") for _ in range(2)))
    with pytest.raises(WorkerStartFailed):
        await asked
    assert not psutil.pid_exists(pid)
    assert supervisor.workers() == []


@pytest.mark.heavy
async def test_a_name_that_means_another_file_is_answered_by_that_file(make: Make) -> None:
    supervisor = make()
    old, new = echo(version=1, start_delay_s=0.5), echo(version=2)
    first = asyncio.create_task(ask(supervisor, old))
    await eventually(lambda: bool(supervisor.workers()))
    async with supervisor.lease(Claim(new)) as worker:
        assert worker.model.options["version"] == 2
    await first


async def test_a_worker_that_dies_in_the_moment_it_is_ready_is_no_worker(make: Make) -> None:
    supervisor = make()
    for _ in range(3):  # the news of both come in any order: what counts is that nobody hangs
        with contextlib.suppress(WorkerStartFailed):
            await asyncio.wait_for(ask(supervisor, echo(dies_when_ready=True)), 20)
    await eventually(lambda: not supervisor.workers())


@pytest.mark.heavy
async def test_a_pin_outlives_a_crash(make: Make) -> None:
    supervisor = make()
    await ask(supervisor, echo())
    supervisor.pin("echo", pinned=True)
    worker = supervisor.workers()[0]
    os.kill(pid_of(worker), signal.SIGKILL)
    await eventually(lambda: not supervisor.workers())
    await ask(supervisor, echo())
    assert supervisor.facts(supervisor.workers()[0])["pinned"]


@pytest.mark.heavy
async def test_want_of_memory_while_answering_makes_the_next_worker_smaller(make: Make) -> None:
    supervisor = make(limits={"parallel": 4})
    held = await Holder(supervisor, echo()).began()
    assert held.worker is not None
    assert held.worker.slots == 4
    held.worker._end_for(_out_of_memory())
    await eventually(lambda: not supervisor.workers())
    async with supervisor.lease(Claim(echo())) as worker:
        assert worker.slots == 3
    await held.end()


def _out_of_memory() -> object:
    from noibo.engines.faults import Fault, Kind

    return Fault(Kind.OUT_OF_MEMORY, "took too much")


@pytest.mark.heavy
async def test_a_model_that_dies_of_illegal_instructions_does_not_take_a_proven_build(
    make: Make,
) -> None:
    supervisor = make()
    await ask(supervisor, echo("good"))
    with pytest.raises(WorkerStartFailed, match="illegal instruction"):
        await ask(supervisor, echo("bad", start_dies_by="SIGILL"))
    await supervisor.stop("good")
    assert await ask(supervisor, echo("good")) > 0


class Surprising(Echo):
    """An adapter with a fault of its own."""

    def placed(self, log: object) -> dict[str, object]:
        raise ZeroDivisionError("nobody thought of that")


async def test_an_error_nobody_thought_of_is_an_answer_and_backs_off(make: Make) -> None:
    supervisor = make(engine=Surprising())
    with pytest.raises(WorkerStartFailed, match="nobody thought of that"):
        await asyncio.wait_for(ask(supervisor, echo()), 30)
    assert supervisor.workers() == []


async def test_a_load_takes_no_slot_and_counts_as_no_answer(make: Make) -> None:
    supervisor = make()
    held = await Holder(supervisor, echo()).began()
    waiting = Holder(supervisor, echo())
    await eventually(lambda: waiting.ticket is not None)
    async with supervisor.lease(Claim(echo(), answers=False)) as worker:
        assert worker is held.worker
    assert waiting.ticket is not None
    assert waiting.ticket.standing().expected_s is None  # no answer has ended yet
    await held.end()
    await waiting.end()


async def test_a_model_that_is_only_waited_for_can_be_stopped(make: Make) -> None:
    supervisor = make(memory=for_one())
    held = await Holder(supervisor, echo("a")).began()
    waiting = Holder(supervisor, echo("b"))
    await eventually(lambda: waiting.ticket is not None)
    await supervisor.stop("b")
    with pytest.raises(WorkerStartFailed, match="stopped"):
        await waiting.task
    await held.end()


async def test_the_children_of_a_worker_end_with_it(make: Make) -> None:
    supervisor = make()
    await ask(supervisor, echo(grandchild_s=60))
    family = psutil.Process(pid_of(supervisor.workers()[0])).children()
    assert family
    await supervisor.stop("echo")
    await asyncio.to_thread(
        until, lambda: not any(p.is_running() and p.status() != "zombie" for p in family), "gone"
    )


class Crowded(Machine):
    """A machine of which other programs hold almost all; what workers hold is real."""

    def total(self) -> int:
        return 1000 * 2**20

    def available(self) -> int:
        ours = psutil.Process().children()  # servers of other tests run beside them
        workers = [one for one in ours if "noibo.engines.echo_process" in one.cmdline()]
        held = sum(self.held_by(worker.pid) for worker in workers)
        return 560 * 2**20 - held


async def test_what_a_dead_worker_held_is_free_at_once(make: Make) -> None:
    supervisor = make(machine=Crowded())  # 256 MiB stay spare: room for one of these
    large = {"need_mib": 250, "eats_mib": 200}
    held = await Holder(supervisor, echo("a", **large)).began()
    waiting = Holder(supervisor, echo("b", **large))
    await eventually(lambda: waiting.ticket is not None)
    os.kill(pid_of(held.worker), signal.SIGKILL)
    await waiting.began()
    assert waiting.worker is not None
    await held.end()
    await waiting.end()


@pytest.mark.heavy
async def test_a_large_model_is_not_starved_by_busy_small_ones(make: Make) -> None:
    supervisor = make(memory=settings.Memory(budget="440MiB"))
    small = [echo(name, need_mib=200, eats_mib=150) for name in ("c", "d")]
    large = echo("large", need_mib=400, eats_mib=350)
    served = asyncio.Event()

    async def keep_busy(name_number: int) -> None:
        while not served.is_set():
            async with supervisor.lease(Claim(small[name_number])):
                await asyncio.sleep(0.3)

    callers = [asyncio.create_task(keep_busy(i % 2)) for i in range(4)]
    await eventually(lambda: sorted(running(supervisor)) == ["c", "d"])
    began = time.monotonic()
    try:
        await asyncio.wait_for(ask(supervisor, large), 60)
    finally:
        served.set()
        await asyncio.gather(*callers)
    print(f"the large one was served after {time.monotonic() - began:.1f} s")
