"""What the supervisor does about memory, queues and deaths, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from noibo import settings
from noibo.engines.supervision.claim import Claim, Priority
from noibo.engines.worker import State
from noibo.errors import (
    EngineUnusable,
    ModelNotFound,
    NoRoom,
    OutOfMemory,
    QueueFull,
    ShuttingDown,
    WorkerStartFailed,
)
from tests.engines.supervised import (
    Holder,
    Make,
    OtherEcho,
    ask,
    echo,
    eventually,
    for_one,
    pid_of,
    running,
)

pytestmark = pytest.mark.anyio


# ── memory ──────────────────────────────────────────────────────────────────


async def test_the_budget_has_room_for_one_at_a_time(make: Make) -> None:
    supervisor = make(memory=for_one())
    await ask(supervisor, echo("a"))
    await ask(supervisor, echo("b"))
    assert running(supervisor) == ["b"]


async def test_models_that_fit_together_stay_together(make: Make) -> None:
    supervisor = make(memory=settings.Memory(budget="500MiB"))
    await ask(supervisor, echo("a"))
    await ask(supervisor, echo("b"))
    assert running(supervisor) == ["a", "b"]


async def test_a_model_with_requests_under_way_is_not_evicted(make: Make) -> None:
    supervisor = make(memory=for_one())
    busy = await Holder(supervisor, echo("a")).began()
    waiting = Holder(supervisor, echo("b"))
    await asyncio.sleep(0.3)
    assert running(supervisor) == ["a"]
    assert waiting.ticket is not None
    assert waiting.ticket.standing().why == "memory"
    await busy.end()
    await waiting.began()
    assert running(supervisor) == ["b"]
    await waiting.end()


async def test_a_pinned_model_stays_and_the_error_names_it(make: Make) -> None:
    pinned = {"a": settings.ModelSettings(pinned=True)}
    supervisor = make(memory=for_one(), models=pinned)
    await ask(supervisor, echo("a"))
    with pytest.raises(NoRoom, match="Pinned: a"):
        await ask(supervisor, echo("b"))
    supervisor.pin("a", pinned=False)
    await ask(supervisor, echo("b"))
    assert running(supervisor) == ["b"]


async def test_what_is_larger_than_the_budget_is_refused_with_both_numbers(make: Make) -> None:
    supervisor = make(memory=for_one())
    with pytest.raises(NoRoom, match="1,000 MiB at the least") as caught:
        await ask(supervisor, echo(need_mib=1000, eats_mib=0))
    assert "300 MiB" in caught.value.message
    assert supervisor.workers() == []


async def test_a_worker_is_made_smaller_where_that_makes_it_fit(make: Make) -> None:
    supervisor = make(memory=for_one(), limits={"parallel": 4})
    async with supervisor.lease(Claim(echo(slot_mib=40, eats_mib=0))) as worker:
        assert worker.slots == 2
        assert worker.facts()["placement"]["wanted"]["parallel"] == 4


async def test_what_a_worker_holds_is_measured_and_counted(make: Make) -> None:
    supervisor = make(memory=settings.Memory(budget="2GiB"))
    async with supervisor.lease(Claim(echo(eats_mib=300, need_mib=100))) as worker:
        assert worker.held_bytes > 300 * 2**20
        row = supervisor.facts(worker)
        assert row["predicted_bytes"] == 100 * 2**20
        assert row["memory_bytes"] == worker.held_bytes
        assert supervisor.queue().held_bytes == worker.held_bytes


async def test_a_model_is_unloaded_after_its_keep_alive(make: Make) -> None:
    supervisor = make()
    await ask(supervisor, echo(), keep_alive=0.2)
    assert running(supervisor) == ["echo"]
    await eventually(lambda: not supervisor.workers())


async def test_keep_alive_0_unloads_after_the_answer_and_not_before(make: Make) -> None:
    supervisor = make(limits={"parallel": 2})
    first = await Holder(supervisor, echo(), keep_alive=0.0).began()
    second = await Holder(supervisor, echo(), keep_alive=0.0).began()
    assert running(supervisor) == ["echo"]
    assert second.worker is first.worker
    await first.end()
    assert running(supervisor) == ["echo"]
    await second.end()
    await eventually(lambda: not supervisor.workers())


async def test_a_keep_alive_that_was_said_ends_with_its_worker(make: Make) -> None:
    supervisor = make(memory=settings.Memory(keep_alive="-1"))
    await ask(supervisor, echo(), keep_alive=0.0)
    await ask(supervisor, echo())  # before the first has gone
    (worker,) = supervisor.workers()
    assert supervisor.facts(worker)["keep_until"] is None


async def test_a_keep_alive_that_was_said_ends_with_a_worker_that_dies(make: Make) -> None:
    supervisor = make(models={"echo": settings.ModelSettings(pinned=True)})
    await ask(supervisor, echo(), keep_alive=-1.0)
    os.kill(pid_of(supervisor.workers()[0]), signal.SIGKILL)
    await eventually(lambda: not running(supervisor))
    await ask(supervisor, echo())
    assert supervisor.facts(supervisor.workers()[0])["keep_until"] is not None


async def test_the_keep_alive_of_a_model_is_a_setting(make: Make) -> None:
    own = {"short": settings.ModelSettings(keep_alive="100ms")}
    supervisor = make(models=own, memory=settings.Memory(keep_alive="-1"))
    await ask(supervisor, echo("short"))
    await ask(supervisor, echo("long"))
    await eventually(lambda: running(supervisor) == ["long"])
    assert supervisor.facts(supervisor.workers()[0])["keep_until"] is None


# ── the queue ───────────────────────────────────────────────────────────────


async def test_requests_beyond_the_slots_wait_and_see_their_place(make: Make) -> None:
    supervisor = make()
    first = await Holder(supervisor, echo()).began()
    waiting = [Holder(supervisor, echo()) for _ in range(3)]
    await eventually(lambda: all(one.ticket for one in waiting))
    standings = [one.ticket.standing() for one in waiting if one.ticket]
    assert [s.place for s in standings] == [1, 2, 3]
    assert {s.why for s in standings} == {"queue"}
    rows = supervisor.queue()
    assert [row.place for row in rows.waiting] == [1, 2, 3]
    assert [row.caller for row in rows.answering] == ["local"]
    for one in (first, *waiting):
        await one.end()


async def test_a_batch_request_goes_after_one_that_came_later(make: Make) -> None:
    supervisor = make()
    first = await Holder(supervisor, echo()).began()
    batch = Holder(supervisor, echo(), priority=Priority.BATCH)
    await eventually(lambda: batch.ticket is not None)
    late = Holder(supervisor, echo())
    await eventually(lambda: late.ticket is not None)
    await first.end()
    await late.began()
    assert batch.worker is None
    await late.end()
    await batch.began()
    await batch.end()


async def test_a_full_queue_says_when_to_come_back(make: Make) -> None:
    supervisor = make(queue=settings.Queue(longest=4))
    first = await Holder(supervisor, echo()).began()
    waiting = [Holder(supervisor, echo(), caller="a") for _ in range(2)]
    await eventually(lambda: all(one.ticket for one in waiting))
    with pytest.raises(QueueFull) as caught:
        await ask(supervisor, echo(), caller="a")
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 1
    other = Holder(supervisor, echo(), caller="b")  # there is a place for another
    await eventually(lambda: other.ticket is not None)
    await asyncio.gather(*(one.end() for one in (first, *waiting, other)))


async def test_who_leaves_the_queue_is_not_served(make: Make) -> None:
    supervisor = make()
    first = await Holder(supervisor, echo()).began()
    leaver, stayer = Holder(supervisor, echo()), Holder(supervisor, echo())
    await eventually(lambda: bool(leaver.ticket and stayer.ticket))
    leaver.task.cancel()
    await eventually(leaver.task.done)
    assert [row.place for row in supervisor.queue().waiting] == [1]
    await first.end()
    await stayer.began()
    await stayer.end()
    assert supervisor.workers()[0].leases == 0


async def test_those_who_wait_are_told_that_the_server_stops(make: Make) -> None:
    supervisor = make()
    first = await Holder(supervisor, echo()).began()
    waiting = Holder(supervisor, echo())
    await eventually(lambda: waiting.ticket is not None)
    await supervisor.close()
    with pytest.raises(ShuttingDown):
        await waiting.task
    await first.end()


# ── deaths ──────────────────────────────────────────────────────────────────


async def test_those_who_wait_outlive_the_worker(make: Make) -> None:
    supervisor = make()
    first = await Holder(supervisor, echo()).began()
    waiting = Holder(supervisor, echo())
    await eventually(lambda: waiting.ticket is not None)
    os.kill(pid_of(first.worker), signal.SIGKILL)
    await waiting.began()
    assert pid_of(waiting.worker) != pid_of(first.worker)
    await first.end()
    await waiting.end()


async def test_the_death_of_one_leaves_the_other_alone(make: Make) -> None:
    supervisor = make()
    held = await Holder(supervisor, echo("a")).began()
    with pytest.raises(WorkerStartFailed):
        await ask(supervisor, echo("b", start_fails="no weights"))
    with pytest.raises(WorkerStartFailed):
        await ask(supervisor, echo("c", start_dies_by="SIGSEGV"))
    assert held.worker is not None
    assert held.worker.state is State.READY
    await held.end()


async def test_a_start_that_is_killed_is_tried_once_more(make: Make) -> None:
    supervisor = make()
    waiting = Holder(supervisor, echo(start_delay_s=0.5))
    await eventually(lambda: bool(supervisor.workers() and supervisor.workers()[0].process))
    os.kill(pid_of(supervisor.workers()[0]), signal.SIGKILL)
    await waiting.began()
    assert waiting.worker is not None
    await waiting.end()


@pytest.mark.heavy
async def test_repeated_failures_back_off_and_say_why(make: Make) -> None:
    supervisor = make()
    model = echo(start_fails="no weights")
    for _ in range(3):
        with pytest.raises(WorkerStartFailed, match="no weights"):
            await ask(supervisor, model)
    with pytest.raises(WorkerStartFailed, match=r"3 times in a row(?s:.*)no weights") as caught:
        await ask(supervisor, model)
    assert caught.value.retry_after_s is not None


@pytest.mark.heavy
async def test_want_of_memory_is_named_and_tried_smaller(make: Make) -> None:
    # Each slot takes more than the process may have for three of them.
    supervisor = make(limits={"parallel": 4})
    async with supervisor.lease(Claim(echo(slot_eats_mib=400, need_mib=0, eats_mib=0))) as worker:
        assert worker.slots == 2
        assert worker.facts()["placement"]["wanted"]["parallel"] == 4
    with pytest.raises(OutOfMemory, match="for want of memory"):
        await ask(supervisor, echo("huge", slot_eats_mib=4000, eats_mib=0))


async def test_a_build_with_an_illegal_instruction_is_disqualified(make: Make) -> None:
    model = echo(start_dies_by="SIGILL")
    with pytest.raises(EngineUnusable, match="illegal instruction"):
        await ask(make(), model)
    with pytest.raises(EngineUnusable):  # also after a new start of the server, and at once
        await ask(make(), echo())
    assert await ask(make(engine=OtherEcho()), echo()) > 0  # until another build is there


@pytest.mark.heavy
async def test_a_worker_that_stands_still_is_replaced(make: Make) -> None:
    supervisor = make(limits={"answer_stall_s": 1.0})
    held = await Holder(supervisor, echo()).began()
    assert held.worker is not None
    os.kill(pid_of(held.worker), signal.SIGSTOP)
    await asyncio.sleep(2.5)
    assert held.worker.state is State.READY  # nobody waits for it: its caller reads slowly
    with held.worker.owing():
        await eventually(lambda: held.worker is not None and held.worker.state is State.FAILED)
    assert "did nothing" in str(await held.worker.died())
    await held.end()
    assert await ask(supervisor, echo()) != pid_of(held.worker)


async def test_stopping_a_model_tells_those_who_wait_for_it(make: Make) -> None:
    supervisor = make()
    first = await Holder(supervisor, echo()).began()
    waiting = Holder(supervisor, echo())
    await eventually(lambda: waiting.ticket is not None)
    await supervisor.stop("echo")
    with pytest.raises(WorkerStartFailed, match="stopped"):
        await waiting.task
    with pytest.raises(ModelNotFound):
        supervisor.pin("echo", pinned=True)
    await first.end()
