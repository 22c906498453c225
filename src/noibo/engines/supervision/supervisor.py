"""Which workers run. One worker a model, shared by all callers, started by the first of them.

Everything that is decided is decided in `_step`, which waits for nothing: it gives free slots to
those who are next, makes room in the memory for models that are waited for, and unloads what has
been idle for long enough. It is called whenever something has changed, and by an alarm when it said
so. What takes time (planning, starting, stopping) is a task of the model's seat, and ends in a
`_step`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from noibo.engines.engine import Engine
from noibo.engines.faults import Kind
from noibo.engines.memory.book import Book
from noibo.engines.memory.machine import Machine, amount
from noibo.engines.memory.size import Use
from noibo.engines.supervision import keep_alive, turns
from noibo.engines.supervision.builds import Builds
from noibo.engines.supervision.claim import Claim, Standing
from noibo.engines.supervision.line import Line
from noibo.engines.supervision.plan import Plan, Planner
from noibo.engines.supervision.seat import Seat
from noibo.engines.supervision.setbacks import Setbacks
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.supervision.times import Times, wait_s
from noibo.engines.tuning import Tuning
from noibo.engines.worker import State, Worker
from noibo.errors import (
    ModelNotFound,
    NoiboError,
    NoRoom,
    QueueFull,
    ShuttingDown,
    WorkerStartFailed,
)
from noibo.settings import Settings
from noibo.wire.management import AnsweringRow, QueueRow, WaitingRow

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0  # at what the workers hold
LEAST_SPARE_BYTES = 256 * 2**20  # of the machine's memory, whatever the budget


class Supervisor:
    """Starts, shares and stops workers. Lives on one event loop."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        tree: Settings,
        tuning: Tuning,
        book: Book,
        machine: Machine | None = None,
    ) -> None:
        self._tree = tree
        self._tuning = tuning
        self._book = book
        self._machine = machine or Machine()
        self._planner = Planner(engines, tree, tuning, book, self._machine)
        self._builds = Builds(tree.home / "builds.json")
        self._budget = amount(tree.memory.budget, self._machine.total(), "memory.budget")
        self._keep_alive = keep_alive.parse(tree.memory.keep_alive, "memory.keep_alive")
        self._line = Line(tree.queue.longest)
        self._seats: dict[str, Seat] = {}
        self._setbacks = Setbacks()
        self._times = Times()
        self._alarm: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closed = False

    # ── what requests do ────────────────────────────────────────────────────

    @contextlib.asynccontextmanager
    async def lease(
        self, claim: Claim, told: Callable[[Ticket], None] = lambda ticket: None
    ) -> AsyncIterator[Worker]:
        """A ready worker for the claim's model, held for the time of one request.

        `told` is given the ticket if the request has to wait. Raises `QueueFull`, or why there can
        be no worker."""
        ticket = self._enter(claim)
        try:
            if ticket.worker is None:
                told(ticket)
            yield ticket.worker or await ticket.granted()
        finally:
            self._leave(ticket)

    def _enter(self, claim: Claim) -> Ticket:
        if self._closed:
            raise ShuttingDown("The server is stopping.", next_step="Try again when it is back.")
        ticket = Ticket(claim, self._standing)
        seat = self._seat(claim)
        worker = seat.ready
        name = claim.model.name
        if worker and worker.model is not claim.model and worker.model != claim.model:
            # The name means another file now: this worker goes when it has finished.
            seat.leaving, seat.plan, seat.model = True, None, claim.model
        elif worker is not None and worker.leases < worker.slots and not self._line.waiting(name):
            self._grant(seat, worker, ticket)
            return ticket
        if refusal := self._setbacks.refusal(name, time.monotonic()):
            raise refusal
        if not self._line.has_place_for(claim.caller):
            raise self._full(claim)
        ticket.wait()
        self._line.add(ticket)
        self._step()
        return ticket

    def _seat(self, claim: Claim) -> Seat:
        seat = self._seats.get(claim.model.name)
        if seat is None:
            own = self._tree.models.get(claim.model.name)
            stays = self._keep_alive
            if own is not None and own.keep_alive:
                stays = keep_alive.parse(own.keep_alive, f"models.{claim.model.name}.keep_alive")
            seat = Seat(claim.model, own is not None and own.pinned, stays)
            self._seats[claim.model.name] = seat
        if seat.worker is None:
            if seat.model != claim.model:
                seat.plan = None
            seat.model = claim.model
        return seat

    def _grant(self, seat: Seat, worker: Worker, ticket: Ticket) -> None:
        if not worker.leases:
            worker.wakes()
        worker.leases += 1
        seat.idle_since = None
        seat.answering[ticket] = time.monotonic()
        seat.most_callers = max(seat.most_callers, worker.leases + self._line.waiting(seat.name))
        self._line.took(ticket)
        ticket.grant(worker)

    def _leave(self, ticket: Ticket) -> None:
        name = ticket.model_name
        worker = ticket.worker
        if worker is None:
            if ticket in self._line.places(name):
                self._line.remove(ticket)
            self._forget_if_unused(name)
            return
        now = time.monotonic()
        worker.leases -= 1
        worker.used_at = time.time()
        self._line.gave_back(ticket)
        seat = self._seats.get(name)
        if seat is None or seat.worker is not worker:
            return
        began = seat.answering.pop(ticket, now)
        if worker.state is State.READY:
            self._times.answered(name, now - began)
            self._setbacks.worked(name)
        seat.used_at = now
        if ticket.claim.keep_alive is not None:
            seat.keep_alive = ticket.claim.keep_alive
        if not worker.leases:
            seat.idle_since = now
        self._step()

    def _full(self, claim: Claim) -> QueueFull:
        name = claim.model.name
        seat = self._seats.get(name)
        slots = seat.worker.slots if seat and seat.worker else 1
        ran = self._under_way(seat)
        # One place in the line is free when the one who is next has a slot.
        wait = wait_s(1, slots, ran, self._times.answer_s(name))
        return QueueFull(
            f"Too many requests wait already ({len(self._line)} of "
            f"{self._tree.queue.longest}, or too many of this caller's).",
            next_step=f"Try again in {math.ceil(wait)} s, or raise queue.longest.",
            retry_after_s=max(wait, 1.0),
        )

    # ── the one place of decisions ──────────────────────────────────────────

    def _step(self) -> None:
        now = time.monotonic()
        moments: list[float] = []
        for name in self._line.models():
            self._serve(self._seats[name])
        for seat in list(self._seats.values()):
            self._let_go(seat, now, moments)
        wanted = [self._seats[name] for name in self._line.models()]
        for seat in sorted(wanted, key=self._urgency):
            if seat.worker is None and seat.task is None:
                self._bring(seat, now, moments)
        self._set_alarm(now, moments)

    def _serve(self, seat: Seat) -> None:
        worker = seat.ready
        while worker is not None and worker.leases < worker.slots:
            ticket = self._line.next(seat.name)
            if ticket is None:
                return
            self._line.remove(ticket)
            self._grant(seat, worker, ticket)

    def _let_go(self, seat: Seat, now: float, moments: list[float]) -> None:
        """Stop what leaves and has finished, and what has been idle for long enough."""
        worker = seat.worker
        if worker is None or seat.task is not None or worker.leases:
            return
        if seat.leaving or (now >= seat.keep_until and not self._line.waiting(seat.name)):
            seat.leaving = True
            self._do(seat, self._stop(seat, worker))
        elif seat.keep_until < math.inf:
            moments.append(seat.keep_until)

    def _urgency(self, seat: Seat) -> tuple[int, float]:
        first = next(iter(self._line.places(seat.name)))
        return first.claim.priority, first.entered

    def _bring(self, seat: Seat, now: float, moments: list[float]) -> None:
        """Take the next step towards a worker for a model that is waited for."""
        if refusal := seat.error or self._setbacks.refusal(seat.name, now):
            seat.error = None
            self._refuse(seat.name, refusal)
            return
        if (until := self._setbacks.wait_until(seat.name)) > now:
            moments.append(until)
            return
        if seat.plan is None:
            self._do(seat, self._make_plan(seat))
            return
        number = seat.plan.fitting(self._most_for(seat), seat.rung)
        if number is None:
            self._refuse(seat.name, self._no_room(seat, seat.plan))
            return
        decision = self._decide(seat, seat.plan.rungs[number].bytes, now)
        if decision.start:
            seat.bytes = seat.plan.rungs[number].bytes
            self._do(seat, self._start(seat, seat.plan, number))
        elif decision.impossible:
            self._refuse(seat.name, self._no_room(seat, seat.plan))
        for name in decision.evict + decision.drain:
            log.info("%s gives way to %s", name, seat.name)
            self._seats[name].leaving = True
            self._let_go(self._seats[name], now, moments)
        if decision.again_at is not None:
            moments.append(decision.again_at)

    def _decide(self, seat: Seat, needed: int, now: float) -> turns.Decision:
        tickets = self._line.places(seat.name)
        wanted = turns.Wanted(
            seat.name,
            needed,
            self._times.load_s(seat.name, seat.model.bytes),
            min(ticket.entered for ticket in tickets),
            min(ticket.claim.priority for ticket in tickets),
        )
        residents = [
            other.resident(
                self._line.waiting(other.name), self._times.load_s(other.name, other.model.bytes)
            )
            for other in self._seats.values()
            if other.bytes
        ]
        return turns.decide(wanted, residents, self._free(), now)

    def _set_alarm(self, now: float, moments: list[float]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if moments and not self._closed:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(min(moments) - now, 0.0) + 0.001, self._step)

    # ── memory ──────────────────────────────────────────────────────────────

    def _reserved(self) -> int:
        return sum(seat.bytes for seat in self._seats.values())

    def _held(self) -> int:
        return sum(seat.worker.held_bytes for seat in self._seats.values() if seat.worker)

    def _free(self) -> int:
        """What a new worker may take: of the budget, and of what the machine really has left."""
        reserved = self._reserved()
        promised = max(reserved - self._held(), 0)  # reserved, and not yet taken
        left = self._machine.available() - promised - self._spare()
        return min(self._budget - reserved, left)

    def _spare(self) -> int:
        return max(LEAST_SPARE_BYTES, self._machine.total() // 50)

    def _most_for(self, seat: Seat) -> int:
        """What it could have if every model that is not pinned gave way."""
        others = [one for one in self._seats.values() if one is not seat and one.bytes]
        pinned = sum(one.bytes for one in others if one.pinned)
        held = sum(one.worker.held_bytes for one in others if one.worker and not one.pinned)
        left = self._machine.available() + held - self._spare()
        return min(self._budget - pinned, left)

    def _no_room(self, seat: Seat, plan: Plan) -> NoRoom:
        least = plan.rungs[-1].bytes
        pinned = [one.name for one in self._seats.values() if one.pinned and one.bytes]
        step = "Take a smaller model or quantisation, or raise memory.budget."
        if pinned:
            step = f"Pinned: {', '.join(pinned)}. Unload one (`noibo stop`). " + step
        return NoRoom(
            f"{seat.name} needs {least / 2**20:,.0f} MiB at the least; "
            f"{max(self._most_for(seat), 0) / 2**20:,.0f} MiB can be had (memory.budget is "
            f"{self._budget / 2**20:,.0f} MiB, the machine has "
            f"{self._machine.available() / 2**20:,.0f} MiB free).",
            next_step=step,
        )

    async def _look(self) -> None:
        """Measure the workers from time to time, and hold them to the budget."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            workers = [seat.worker for seat in self._seats.values() if seat.worker]
            await asyncio.to_thread(self._examine, workers)
            self._hold_to_budget()

    def _examine(self, workers: list[Worker]) -> None:
        for worker in workers:
            worker.examine(self._machine.held_by)

    def _hold_to_budget(self) -> None:
        """What a worker has grown to counts from now on; over the budget the longest idle goes."""
        for seat in self._seats.values():
            if seat.worker is not None and seat.worker.state is State.READY:
                seat.bytes = max(seat.bytes, seat.worker.held_bytes)
        over = self._held() - self._budget
        idle = [s for s in self._seats.values() if s.ready and s.idle_since and not s.pinned]
        for seat in sorted(idle, key=lambda one: one.used_at):
            if over <= 0:
                return
            log.warning("%s is unloaded: the workers hold more than the budget", seat.name)
            over -= seat.worker.held_bytes if seat.worker else 0
            seat.leaving = True
            self._step()

    # ── what takes time ─────────────────────────────────────────────────────

    def _do(self, seat: Seat, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            finally:
                seat.task = None
                if not self._closed:
                    self._bury(seat)
                    self._forget_if_unused(seat.name)
                    self._step()

        seat.task = asyncio.create_task(run())
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())

    async def _make_plan(self, seat: Seat) -> None:
        model = seat.model
        try:
            plan = await asyncio.to_thread(self._planner.plan, model)
            await asyncio.to_thread(self._builds.require_sound, plan.engine)
        except NoiboError as error:
            seat.error = error
            return
        except Exception as error:
            log.exception("no plan for %s", model.name)
            seat.error = WorkerStartFailed(
                f"How to run {model.name} could not be found out: {type(error).__name__}: {error}."
            )
            return
        if seat.model is model:
            seat.plan, seat.rung = plan, 0

    async def _start(self, seat: Seat, plan: Plan, number: int) -> None:
        began = time.monotonic()
        launch = await asyncio.to_thread(self._planner.launch, plan, number)
        worker = Worker(plan.engine, plan.model, launch, plan.limits, self._ended)
        worker.expected_bytes = plan.rungs[number].expected
        seat.worker, seat.leaving = worker, False
        try:
            await worker.start()
            rate = await worker.prove()
        except asyncio.CancelledError:
            await worker.stop()
            seat.worker, seat.bytes = None, 0
            raise
        except NoiboError as error:
            await worker.stop()
            seat.worker, seat.bytes = None, 0
            self._start_failed(seat, plan, number, worker, error)
            return
        now = time.monotonic()
        self._times.loaded(seat.name, now - began)
        seat.crashed = False
        seat.rung = number
        seat.ready_at = seat.used_at = seat.idle_since = now
        await asyncio.to_thread(self._weigh, seat, plan, number, worker)
        if rate is not None:
            await asyncio.to_thread(self._tuning.record, plan.speed_key, rate)

    def _weigh(self, seat: Seat, plan: Plan, number: int, worker: Worker) -> None:
        """Correct what was estimated by what it holds now."""
        worker.examine(self._machine.held_by)
        rung = plan.rungs[number]
        if worker.held_bytes:
            self._book.measured(rung.key, plan.engine.name, rung.need, worker.held_bytes)
            seat.bytes = worker.held_bytes + rung.need.kept

    def _start_failed(
        self, seat: Seat, plan: Plan, number: int, worker: Worker, error: NoiboError
    ) -> None:
        kind = worker.fault.kind if worker.fault else None
        if kind is Kind.OUT_OF_MEMORY and number + 1 < len(plan.rungs):
            seat.rung = number + 1
            log.warning("%s is tried smaller: %s", seat.name, plan.rungs[number + 1].size)
            return
        if kind is Kind.ILLEGAL_INSTRUCTION and seat.crashed:
            error = self._builds.disqualify(plan.engine, error.message)
        elif kind in {Kind.KILLED, Kind.CRASHED, Kind.ILLEGAL_INSTRUCTION} and not seat.crashed:
            seat.crashed = True  # perhaps for no reason of its own: once more
            log.warning("%s is started once more: %s", seat.name, error.message)
            return
        log.error("%s", error)
        seat.crashed = False
        seat.plan = None  # the file, the settings or the engine may have changed by the next time
        self._setbacks.failed(seat.name, error, time.monotonic())
        self._refuse(seat.name, error)

    async def _stop(self, seat: Seat, worker: Worker) -> None:
        await asyncio.to_thread(self._note_use, seat, worker)
        await worker.stop()
        seat.worker, seat.bytes, seat.leaving, seat.plan = None, 0, False, None
        seat.answering.clear()

    def _note_use(self, seat: Seat, worker: Worker) -> None:
        use = Use(
            callers=seat.most_callers,
            tokens=worker.longest_tokens,
            prompts=worker.prompts,
            prompt_tokens=worker.tokens_in,
            reused_tokens=worker.tokens_reused,
        )
        self._book.used(seat.name, use)

    def _ended(self, worker: Worker) -> None:
        """A worker's process is gone, for whatever reason."""
        seat = self._seats.get(worker.model.name)
        if seat is None or seat.worker is not worker or self._closed:
            return
        if seat.task is None:  # else the end of the task sees to it
            self._bury(seat)
            self._step()

    def _bury(self, seat: Seat) -> None:
        """Take a worker that has died out of its seat; what it was asked for has failed."""
        worker = seat.worker
        if worker is None or worker.state is not State.FAILED:
            return
        seat.worker, seat.bytes, seat.leaving = None, 0, False
        seat.answering.clear()
        kind = worker.fault.kind if worker.fault else None
        if kind is Kind.OUT_OF_MEMORY and seat.plan and seat.rung + 1 < len(seat.plan.rungs):
            seat.rung += 1
        self._setbacks.failed(seat.name, worker.death(), time.monotonic())

    def _refuse(self, name: str, error: NoiboError) -> None:
        for ticket in self._line.of(name):
            self._line.remove(ticket)
            ticket.refuse(error)
        self._forget_if_unused(name)

    def _forget_if_unused(self, name: str) -> None:
        seat = self._seats.get(name)
        if seat and seat.worker is None and seat.task is None and not self._line.waiting(name):
            del self._seats[name]

    # ── what is seen and done from outside ──────────────────────────────────

    def engine(self, name: str) -> Engine:
        """The adapter of that name."""
        return self._planner.engine(name)

    def workers(self) -> list[Worker]:
        """Workers that start or run, in order of start."""
        found = [seat.worker for seat in self._seats.values() if seat.worker]
        return sorted(found, key=lambda worker: worker.started_at)

    def facts(self, worker: Worker) -> dict[str, Any]:
        """What `noibo ps` shows of a worker."""
        seat = self._seats.get(worker.model.name)
        until = seat.keep_until if seat else math.inf
        left = until - time.monotonic()
        return {
            **worker.facts(),
            "pinned": seat is not None and seat.pinned,
            "keep_until": None if until == math.inf else time.time() + max(left, 0.0),
            "predicted_bytes": worker.expected_bytes,
        }

    def queue(self) -> QueueRow:
        """Who waits and who is answered."""
        now = time.monotonic()
        return QueueRow(
            waiting=[self._waiting_row(ticket) for ticket in self._line.tickets()],
            answering=[
                AnsweringRow(
                    model=seat.name,
                    caller=ticket.claim.caller,
                    priority=ticket.claim.priority.name.lower(),
                    for_s=round(now - began, 1),
                )
                for seat in self._seats.values()
                for ticket, began in seat.answering.items()
            ],
            longest=self._tree.queue.longest,
            budget_bytes=self._budget,
            held_bytes=self._held(),
        )

    def _waiting_row(self, ticket: Ticket) -> WaitingRow:
        stands = ticket.standing()
        return WaitingRow(
            model=ticket.model_name,
            caller=ticket.claim.caller,
            priority=ticket.claim.priority.name.lower(),
            place=stands.place,
            why=stands.why,
            waited_s=round(ticket.waited_s, 1),
            expected_s=None if stands.expected_s is None else round(stands.expected_s, 1),
        )

    def _standing(self, ticket: Ticket) -> Standing:
        name = ticket.model_name
        place = self._line.places(name).get(ticket, 1)
        seat = self._seats.get(name)
        answer = self._times.answer_s(name)
        if seat is None or seat.ready is None:
            return self._standing_before_start(ticket, seat, place, answer)
        if answer is None and not seat.answering:
            return Standing(place, None, "queue")
        wait = wait_s(place, seat.ready.slots, self._under_way(seat), answer)
        return Standing(place, wait, "queue")

    def _standing_before_start(
        self, ticket: Ticket, seat: Seat | None, place: int, answer: float | None
    ) -> Standing:
        now = time.monotonic()
        load = self._times.load_s(ticket.model_name, ticket.claim.model.bytes)
        slots = self._tree.engine.parallel or 4
        behind = 0.0 if place <= slots or answer is None else answer * ((place - 1) // slots)
        if seat is not None and seat.worker is not None and not seat.leaving:
            began = now - (time.time() - seat.worker.started_at)
            return Standing(place, max(load - (now - began), load / 10) + behind, "loading")
        others = [o for o in self._seats.values() if o is not seat and o.bytes and not o.pinned]
        if (
            seat is None
            or seat.plan is None
            or not others
            or self._free() > seat.plan.rungs[-1].bytes
        ):
            return Standing(place, load + behind, "loading")
        wanted = turns.Wanted(seat.name, 0, load, ticket.entered, ticket.claim.priority)
        due = min(
            turns.due_at(o.resident(0, self._times.load_s(o.name, o.model.bytes)), wanted)
            for o in others
        )
        return Standing(place, max(due - now, 0.0) + load + behind, "memory")

    @staticmethod
    def _under_way(seat: Seat | None) -> list[float]:
        now = time.monotonic()
        return [now - began for began in seat.answering.values()] if seat else []

    def pin(self, name: str, pinned: bool) -> None:
        """Keep a model loaded whatever else is wanted, or no longer."""
        self._running(name).pinned = pinned
        self._step()

    async def stop(self, name: str) -> None:
        """Stop the worker of one model. Raises `ModelNotFound` where none runs."""
        seat = self._running(name)
        self._refuse(name, WorkerStartFailed(f"{name} was stopped while it was waited for."))
        if seat.task is not None and not seat.leaving:
            seat.task.cancel()
            await asyncio.gather(seat.task, return_exceptions=True)
        seat.leaving = True
        if seat.worker is not None:
            if seat.task is None:
                self._do(seat, self._stop(seat, seat.worker))
            await asyncio.gather(seat.task or asyncio.sleep(0), return_exceptions=True)

    def _running(self, name: str) -> Seat:
        seat = self._seats.get(name)
        if seat is None or (seat.worker is None and seat.task is None):
            running = ", ".join(one.model.name for one in self.workers()) or "none"
            raise ModelNotFound(f"{name} is not running.", next_step=f"Running: {running}.")
        return seat

    async def close(self) -> None:
        """Take no new work and stop every worker."""
        self._closed = True
        self._set_alarm(0.0, [])
        if self._watch is not None:
            self._watch.cancel()
        stopping = ShuttingDown("The server is stopping.", next_step="Try again when it is back.")
        for name in self._line.models():
            self._refuse(name, stopping)
        tasks = [seat.task for seat in self._seats.values() if seat.task and not seat.leaving]
        for task in tasks:
            task.cancel()
        leaving = [seat.task for seat in self._seats.values() if seat.task]
        await asyncio.gather(*tasks, *leaving, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self.workers()))
        self._seats.clear()
