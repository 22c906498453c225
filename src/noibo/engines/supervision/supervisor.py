"""Which workers run. One worker a model, shared by all callers, started by the first of them.

What requests do, and what is seen and done from outside. What is decided about them is decided in
`director.py`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any

from noibo.engines.engine import Engine
from noibo.engines.fit.speeds import Speeds
from noibo.engines.memory.book import Book
from noibo.engines.memory.machine import Machine
from noibo.engines.memory.size import USUAL_SLOTS
from noibo.engines.process import sweep_folders
from noibo.engines.supervision import keep_alive
from noibo.engines.supervision.builds import Builds
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.director import Director
from noibo.engines.supervision.lease import Lease
from noibo.engines.supervision.line import Line
from noibo.engines.supervision.lives import Lives
from noibo.engines.supervision.plan import Planner
from noibo.engines.supervision.promises import Promises
from noibo.engines.supervision.room import Room
from noibo.engines.supervision.seat import Seat
from noibo.engines.supervision.standings import Standings
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.supervision.times import Times
from noibo.engines.tuning import Tuning
from noibo.engines.worker import Worker
from noibo.errors import ModelNotFound, NoiboError, ShuttingDown, WorkerStartFailed
from noibo.model_settings import ModelSettings
from noibo.settings import Settings
from noibo.wire.management import QueueRow

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0  # at what the workers hold


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
        self._engines = engines
        self._tree = tree
        self._usual_keep_alive = keep_alive.parse(tree.memory.keep_alive, "memory.keep_alive")
        self._keep_alive = {
            name: keep_alive.parse(own.keep_alive, f"models.{name}.keep_alive")
            for name, own in tree.models.items()
            if own.keep_alive
        }
        self._planner = Planner(engines, tree, tuning, book, machine)
        self._seats: dict[str, Seat] = {}
        self._line = Line(tree.queue.longest)
        self._promises = Promises(tree.queue.longest)
        self._times = Times()
        self._room = Room(tree.memory, machine, self._seats)
        builds = Builds(tree.home)
        self._lives = Lives(
            self._planner,
            builds,
            tuning,
            book,
            Speeds(tree.home / "speeds.json"),
            machine,
            self._times,
            self._worker_ended,
        )
        slots = tree.engine.parallel or USUAL_SLOTS
        self._standings = Standings(self._line, self._seats, self._times, self._room, slots)
        self._watch: asyncio.Task[None] | None = None
        self._director = Director(self._seats, self._line, self._room, self._times, self._lives)

    # ── what requests do ────────────────────────────────────────────────────

    def lease(self, claim: Claim, told: Callable[[Ticket], None] = lambda ticket: None) -> Lease:
        """A ready worker for the claim's model, held for the time of one request.

        `told` is given the ticket if the request has to wait. Entering it raises `QueueFull`, or
        why there can be no worker."""
        return Lease(self, claim, told)

    def enter(self, claim: Claim) -> Ticket:
        """A request comes: its ticket, with a worker if it need not wait for one."""
        if self._director.closed:
            raise ShuttingDown("The server is stopping.", next_step="Try again when it is back.")
        ticket = Ticket(claim, self._standings.of)
        name = claim.model.seat
        seat = self._seat(claim)
        worker = seat.ready
        if (
            worker
            and not self._director.is_stale(seat, worker)
            and self._may_go_first(worker, claim)
        ):
            self._director.grant(seat, worker, ticket)
            return ticket
        if refusal := self._lives.setbacks.refusal(name, time.monotonic()) or self._full(claim):
            self._director.forget_if_unused(name)
            raise refusal
        if self._watch is None:
            self._watch = asyncio.create_task(self._look(), context=Context())
        ticket.wait()
        self._line.add(ticket)
        self._director.step()
        return ticket

    def _full(self, claim: Claim) -> NoiboError | None:
        now, seat = time.monotonic(), claim.model.seat
        if self._promises.admits(claim, self._line, now):
            return None
        free_s, pace_s = self._standings.until_place_s(seat), self._standings.pace_s(seat)
        again = self._promises.make(claim, self._line, now, free_s, pace_s)
        return self._standings.full(claim, self._tree.queue.longest, again)

    def _may_go_first(self, worker: Worker, claim: Claim) -> bool:
        free = worker.leases < worker.slots and not self._line.waiting(claim.model.seat)
        return free or not claim.answers

    def _seat(self, claim: Claim) -> Seat:
        name = claim.model.name
        seat = self._seats.get(claim.model.seat)
        if seat is None:
            own = self._tree.models.get(name, ModelSettings())
            seat = Seat(claim.model, own.pinned, self._keep_alive.get(name, self._usual_keep_alive))
            self._seats[claim.model.seat] = seat
        if seat.model is not claim.model:
            if seat.model != claim.model:
                seat.plan, seat.rung = None, 0
            seat.model = claim.model
        return seat

    def leave(self, ticket: Ticket, *, answered: bool) -> None:
        """A request goes, with its answer or without."""
        name, worker = ticket.seat, ticket.worker
        if worker is None:
            if ticket in self._line.places(name):
                self._line.remove(ticket)
            self._director.forget_if_unused(name)
            return
        worker.used_at = time.time()
        if ticket.claim.answers:
            worker.leases -= 1
            self._line.gave_back(ticket)
        else:
            worker.visits -= 1
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
        if not worker.leases and not worker.visits:
            seat.idle_since = now
        self._director.step()

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
                self._director.forget_if_unused(name)
            self._director.step()

    def _worker_ended(self, worker: Worker) -> None:
        """A worker's process is gone, for whatever reason."""
        seat = self._seats.get(worker.model.seat)
        if seat is None or seat.worker is not worker or self._director.closed:
            return
        if seat.task is None:  # else the end of the task sees to it
            self._lives.bury(seat)
            self._director.forget_if_unused(seat.name)
            self._director.step()

    # ── what is seen and done from outside ──────────────────────────────────

    @property
    def engines(self) -> Mapping[str, Engine]:
        """Every adapter, by name."""
        return self._engines

    def engine(self, name: str) -> Engine:
        """The adapter of that name."""
        return self._planner.engine(name)

    def workers(self) -> list[Worker]:
        """Workers that start or run, in order of start."""
        found = [seat.worker for seat in self._seats.values() if seat.worker]
        return sorted(found, key=lambda worker: worker.started_at)

    def worker(self, seat: str) -> Worker | None:
        """The worker that starts or runs in that seat, and is to stay."""
        found = self._seats.get(seat)
        return found.worker if found and not found.leaving else None

    def facts(self, worker: Worker) -> dict[str, Any]:
        """What `noibo ps` shows of a worker."""
        seat = self._seats.get(worker.model.seat)
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

    def happened(self) -> Mapping[tuple[str, str], int]:
        """What has happened to workers, by model and word, and how often since the start: started,
        start_failed, died, evicted (for another model), unloaded (evicted, idle or told to)."""
        return self._lives.happened

    def pin(self, name: str, pinned: bool) -> None:
        """Keep a model loaded whatever else is wanted, or no longer. All its workers."""
        for seat in self._running(name):
            seat.pinned = pinned
        self._director.step()

    async def stop(self, name: str) -> None:
        """Stop the workers of one model. Raises `ModelNotFound` where none runs."""
        await asyncio.gather(*map(self._stop, self._running(name)))

    async def _stop(self, seat: Seat) -> None:
        self._director.refuse(
            seat.name, WorkerStartFailed(f"{seat.name} was stopped while it was waited for.")
        )
        if seat.task is not None and not seat.leaving:
            await _cancelled(seat.task)
        if seat.worker is not None:
            seat.leaving = True
            if seat.task is None:
                self._director.do(seat, self._lives.stop(seat, seat.worker))
        if seat.task is not None:
            await asyncio.gather(asyncio.shield(seat.task), return_exceptions=True)

    def _running(self, name: str) -> list[Seat]:
        """The seats of a model, or the one seat of that name."""
        named = [seat for seat in self._seats.values() if name in {seat.name, seat.model.name}]
        found = [one for one in named if one.worker or one.task or self._line.waiting(one.name)]
        if not found:
            running = ", ".join(one.model.seat for one in self.workers()) or "none"
            raise ModelNotFound(f"{name} is not running.", next_step=f"Running: {running}.")
        return found

    async def close(self) -> None:
        """Take no new work and stop every worker."""
        self._director.close()
        if self._watch is not None:
            self._watch.cancel()
        stopping = ShuttingDown("The server is stopping.", next_step="Try again when it is back.")
        for name in self._line.models():
            self._director.refuse(name, stopping)
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
