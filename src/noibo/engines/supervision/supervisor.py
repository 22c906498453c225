"""Which workers run. One worker a model, shared by all callers, started by the first of them.

Everything that is decided is decided in `_step`, which waits for nothing: it gives free slots to
those who are next, unloads what has been idle for long enough, and makes room in the memory for
models that are waited for. It is called whenever something has changed, and by an alarm when it
said so. What takes time is a task of the model's seat, and ends in a `_step`.
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
from noibo.engines.memory.book import Book
from noibo.engines.memory.machine import Machine
from noibo.engines.process import sweep_folders
from noibo.engines.supervision import keep_alive, turns
from noibo.engines.supervision.builds import Builds
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.line import Line
from noibo.engines.supervision.lives import Lives
from noibo.engines.supervision.plan import Plan, Planner
from noibo.engines.supervision.room import Room
from noibo.engines.supervision.seat import Seat
from noibo.engines.supervision.standings import Standings
from noibo.engines.supervision.ticket import NotAnswered, Ticket
from noibo.engines.supervision.times import Times
from noibo.engines.tuning import Tuning
from noibo.engines.worker import Worker
from noibo.errors import ModelNotFound, NoiboError, ShuttingDown, WorkerStartFailed
from noibo.settings import Settings
from noibo.wire.management import QueueRow

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0  # at what the workers hold
SHORT_FOR_S = 10.0  # the machine may be short of memory for so long before a model is refused
USUAL_SLOTS = 4


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
        machine = machine or Machine()
        self._tree = tree
        self._keep_alive = keep_alive.parse(tree.memory.keep_alive, "memory.keep_alive")
        self._planner = Planner(engines, tree, tuning, book, machine)
        self._seats: dict[str, Seat] = {}
        self._line = Line(tree.queue.longest)
        self._times = Times()
        self._room = Room(tree.memory, machine, self._seats)
        builds = Builds(tree.home / "builds.json")
        self._lives = Lives(
            self._planner, builds, tuning, book, machine, self._times, self._worker_ended
        )
        slots = tree.engine.parallel or USUAL_SLOTS
        self._standings = Standings(self._line, self._seats, self._times, self._room, slots)
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
        answered = False
        try:
            if ticket.worker is None:
                told(ticket)
            yield ticket.worker or await ticket.granted()
            answered = claim.answers
        except NotAnswered:
            pass
        finally:
            self._leave(ticket, answered=answered)

    def _enter(self, claim: Claim) -> Ticket:
        if self._closed:
            raise ShuttingDown("The server is stopping.", next_step="Try again when it is back.")
        ticket = Ticket(claim, self._standings.of)
        name = claim.model.name
        seat = self._seat(claim)
        worker = seat.ready
        if worker and not self._is_stale(seat, worker) and self._may_go_first(worker, claim):
            self._grant(seat, worker, ticket)
            return ticket
        if refusal := self._lives.setbacks.refusal(name, time.monotonic()) or self._full(claim):
            self._forget_if_unused(name)
            raise refusal
        ticket.wait()
        self._line.add(ticket)
        self._step()
        return ticket

    def _full(self, claim: Claim) -> NoiboError | None:
        if self._line.has_place_for(claim.caller):
            return None
        return self._standings.full(claim, self._tree.queue.longest)

    @staticmethod
    def _is_stale(seat: Seat, worker: Worker) -> bool:
        """The name means another file now: this worker goes when it has finished."""
        if worker.model is seat.model or worker.model == seat.model:
            return False
        seat.leaving = True
        return True

    def _may_go_first(self, worker: Worker, claim: Claim) -> bool:
        free = worker.leases < worker.slots and not self._line.waiting(claim.model.name)
        return free or not claim.answers

    def _seat(self, claim: Claim) -> Seat:
        name = claim.model.name
        seat = self._seats.get(name)
        if seat is None:
            own = self._tree.models.get(name)
            stays = self._keep_alive
            if own is not None and own.keep_alive:
                stays = keep_alive.parse(own.keep_alive, f"models.{name}.keep_alive")
            seat = Seat(claim.model, own is not None and own.pinned, stays)
            self._seats[name] = seat
        if seat.model is not claim.model:
            if seat.model != claim.model:
                seat.plan, seat.rung = None, 0
            seat.model = claim.model
        return seat

    def _grant(self, seat: Seat, worker: Worker, ticket: Ticket) -> None:
        worker.leases += 1
        seat.idle_since = None
        seat.answering[ticket] = time.monotonic()
        seat.most_callers = max(seat.most_callers, worker.leases + self._line.waiting(seat.name))
        self._line.took(ticket)
        ticket.grant(worker)

    def _leave(self, ticket: Ticket, *, answered: bool) -> None:
        name, worker = ticket.model_name, ticket.worker
        if worker is None:
            if ticket in self._line.places(name):
                self._line.remove(ticket)
            self._forget_if_unused(name)
            return
        worker.leases -= 1
        worker.used_at = time.time()
        self._line.gave_back(ticket)
        seat = self._seats.get(name)
        if seat is not None and seat.worker is worker:
            now = time.monotonic()
            began = seat.answering.pop(ticket, now)
            if answered and worker.serves:
                self._lives.answered(seat, worker, now - began)
            self._given_back(seat, worker, ticket, now)

    def _given_back(self, seat: Seat, worker: Worker, ticket: Ticket, now: float) -> None:
        seat.used_at = now
        seat.leaving = seat.leaving or worker.suspect
        if ticket.claim.keep_alive is not None:
            seat.keep_alive = ticket.claim.keep_alive
        if not worker.leases:
            seat.idle_since = now
        self._step()

    def _refuse(self, name: str, error: NoiboError) -> None:
        """Tell all who wait for a model that there will be none."""
        for ticket in self._line.of(name):
            self._line.remove(ticket)
            ticket.refuse(error)
        self._forget_if_unused(name)

    def _forget_if_unused(self, name: str) -> None:
        seat = self._seats.get(name)
        if seat and seat.plain and not self._line.waiting(name):
            del self._seats[name]

    # ── the one place of decisions ──────────────────────────────────────────

    def _step(self) -> None:
        now = time.monotonic()
        moments: list[float] = []  # when to look again
        for name in self._line.models():
            self._serve(self._seats[name])
        for seat in list(self._seats.values()):
            self._let_go(seat, now, moments)
        wanted = [self._seats[name] for name in self._line.models()]
        claimed = 0  # what is free, and kept for one who came earlier and needs more
        for seat in sorted(wanted, key=self._urgency):
            if seat.worker is None and seat.task is None:
                claimed += self._bring(seat, claimed, now, moments)
        self._set_alarm(now, moments)

    def _serve(self, seat: Seat) -> None:
        """Give the free slots of its worker to those who are next."""
        worker = seat.ready
        if worker is None or self._is_stale(seat, worker):
            return
        while (ticket := self._line.load(seat.name)) is not None:
            self._line.remove(ticket)
            self._grant(seat, worker, ticket)
        while worker.leases < worker.slots:
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
            self._do(seat, self._lives.stop(seat, worker))
        elif seat.keep_until < math.inf:
            moments.append(seat.keep_until)

    def _urgency(self, seat: Seat) -> tuple[int, float]:
        first = next(iter(self._line.places(seat.name)))
        return first.claim.priority, first.entered

    def _bring(self, seat: Seat, claimed: int, now: float, moments: list[float]) -> int:
        """Take the next step towards a worker for a model that is waited for. The bytes that are
        to be kept for it, until there are more."""
        if refusal := seat.error or self._lives.setbacks.refusal(seat.name, now):
            seat.error = None
            self._refuse(seat.name, refusal)
        elif (until := self._lives.setbacks.wait_until(seat.name)) > now:
            moments.append(until)
        elif seat.plan is None:
            self._do(seat, self._lives.plan(seat))
        elif (number := seat.plan.fitting(self._room.most_for(seat), seat.rung)) is None:
            self._wait_or_refuse(seat, seat.plan, now, moments)
        else:
            free = self._room.free() - claimed
            return self._make_room(seat, seat.plan, seat.plan.unkept(number, free), free, moments)
        return 0

    def _wait_or_refuse(self, seat: Seat, plan: Plan, now: float, moments: list[float]) -> None:
        """Where the budget would do and only the machine is short, it may be for a moment."""
        if seat.short_since is None:
            seat.short_since = now
        by_budget = plan.fitting(self._room.most_of_the_budget(seat), seat.rung)
        if by_budget is None or now - seat.short_since > SHORT_FOR_S:
            seat.short_since = None
            self._refuse(seat.name, self._room.refusal(seat, plan))
        else:
            moments.append(now + 0.5)

    def _make_room(
        self, seat: Seat, plan: Plan, number: int, free: int, moments: list[float]
    ) -> int:
        now, needed = time.monotonic(), plan.rungs[number].bytes
        decision = self._decide(seat, needed, free, now)
        if decision.start:
            seat.bytes, seat.short_since = needed, None
            self._do(seat, self._lives.start(seat, plan, number))
            return 0
        if decision.impossible:
            self._wait_or_refuse(seat, plan, now, moments)
            return 0
        for name in decision.evict + decision.drain:
            log.info("%s gives way to %s", name, seat.name)
            self._seats[name].leaving = True
            self._let_go(self._seats[name], now, moments)
        if decision.again_at is not None:
            moments.append(decision.again_at)
        return max(min(needed, free), 0)

    def _decide(self, seat: Seat, needed: int, free: int, now: float) -> turns.Decision:
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
        return turns.decide(wanted, residents, free, now)

    def _set_alarm(self, now: float, moments: list[float]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if moments and not self._closed:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(min(moments) - now, 0.0) + 0.001, self._step)

    # ── what takes time ─────────────────────────────────────────────────────

    def _do(self, seat: Seat, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            await work
            await asyncio.to_thread(self._room.examine)

        def done(task: asyncio.Task[None]) -> None:
            work.close()  # where the task was cancelled before its first step
            seat.task = None
            if seat.worker is None:
                seat.bytes, seat.leaving = 0, False
            if not task.cancelled() and (error := task.exception()):
                log.error("%s: a task of its seat failed", seat.name, exc_info=error)
            if not self._closed:
                self._lives.bury(seat)  # it may have died meanwhile
                self._forget_if_unused(seat.name)
                self._step()

        seat.task = asyncio.create_task(run())
        seat.task.add_done_callback(done)
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Measure the workers from time to time, and hold them to the budget."""
        await asyncio.to_thread(sweep_folders)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self._room.examine)
            except Exception:  # no file descriptors, no threads: it will be better another time
                log.exception("the workers could not be measured")
                continue
            for seat in self._room.grown_over():
                log.warning("%s is unloaded: the workers hold more than the budget", seat.name)
                seat.leaving = True
            for name in list(self._seats):
                self._forget_if_unused(name)
            self._step()

    def _worker_ended(self, worker: Worker) -> None:
        """A worker's process is gone, for whatever reason."""
        seat = self._seats.get(worker.model.name)
        if seat is None or seat.worker is not worker or self._closed:
            return
        if seat.task is None:  # else the end of the task sees to it
            self._lives.bury(seat)
            self._forget_if_unused(seat.name)
            self._step()

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
        }

    def queue(self) -> QueueRow:
        """Who waits, who is answered, and in what memory."""
        return self._standings.rows(self._tree.queue.longest)

    def pin(self, name: str, pinned: bool) -> None:
        """Keep a model loaded whatever else is wanted, or no longer."""
        self._running(name).pinned = pinned
        self._step()

    async def stop(self, name: str) -> None:
        """Stop the worker of one model. Raises `ModelNotFound` where none runs."""
        seat = self._running(name)
        self._refuse(name, WorkerStartFailed(f"{name} was stopped while it was waited for."))
        if seat.task is not None and not seat.leaving:
            await _cancelled(seat.task)
        if seat.worker is not None:
            seat.leaving = True
            if seat.task is None:
                self._do(seat, self._lives.stop(seat, seat.worker))
        if seat.task is not None:
            await asyncio.gather(asyncio.shield(seat.task), return_exceptions=True)

    def _running(self, name: str) -> Seat:
        seat = self._seats.get(name)
        if seat is None or not (seat.worker or seat.task or self._line.waiting(name)):
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
        begun = [seat.task for seat in self._seats.values() if seat.task and not seat.leaving]
        ending = [seat.task for seat in self._seats.values() if seat.task and seat.leaving]
        await asyncio.gather(*map(_cancelled, begun), *ending, return_exceptions=True)
        left = [(seat, seat.worker) for seat in self._seats.values() if seat.worker]
        await asyncio.gather(*(self._lives.stop(seat, worker) for seat, worker in left))
        self._seats.clear()


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task, once however many ask for it, and wait for its end."""
    if not task.cancelling():
        task.cancel()
    await asyncio.gather(asyncio.shield(task), return_exceptions=True)
