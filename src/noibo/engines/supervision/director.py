"""The one place of decisions: who is served, what goes, what is started.

`step` waits for nothing. It gives free slots to those who are next, unloads what has been idle for
long enough, and makes room in the memory for models that are waited for. It is called whenever
something has changed, and by an alarm when it said so. What takes time is a task of the model's
seat, and ends in a `step`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from noibo.engines.engine import Launch
from noibo.engines.supervision import turns
from noibo.engines.supervision.gpu_required import on_gpus
from noibo.engines.supervision.line import Line
from noibo.engines.supervision.lives import Lives
from noibo.engines.supervision.plan import Plan
from noibo.engines.supervision.room import Room
from noibo.engines.supervision.seat import Seat
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.supervision.times import Times
from noibo.engines.worker import Worker
from noibo.errors import NoiboError

log = logging.getLogger(__name__)

SHORT_FOR_S = 10.0  # the machine may be short of memory for so long before a model is refused


@dataclass(slots=True)
class Director:
    """Decides over the seats and the line. Lives on one event loop."""

    seats: dict[str, Seat]
    line: Line
    room: Room
    times: Times
    lives: Lives
    closed: bool = False
    _alarm: asyncio.TimerHandle | None = field(default=None, init=False)

    def close(self) -> None:
        """Decide nothing more."""
        self.closed = True
        self._set_alarm(0.0, [])

    def step(self) -> None:
        """Decide what can be decided now, and when to look again."""
        now = time.monotonic()
        moments: list[float] = []  # when to look again
        for name in self.line.models():
            self._serve(self.seats[name])
        for seat in list(self.seats.values()):
            self._let_go(seat, now, moments)
        wanted = [self.seats[name] for name in self.line.models()]
        wanted = [seat for seat in wanted if seat.worker is None and seat.task is None]
        claimed = 0  # what is free, and kept for one who came earlier and needs more
        for seat in sorted(wanted, key=self._urgency):
            claimed += self._bring(seat, claimed, now, moments)
        self._set_alarm(now, moments)

    def _serve(self, seat: Seat) -> None:
        """Give the free slots of its worker to those who are next."""
        worker = seat.ready
        if worker is None or self.is_stale(seat, worker):
            return
        while (ticket := self.line.load(seat.name)) is not None:
            self.line.remove(ticket)
            self.grant(seat, worker, ticket)
        while worker.leases < worker.slots:
            ticket = self.line.next(seat.name)
            if ticket is None:
                return
            self.line.remove(ticket)
            self.grant(seat, worker, ticket)

    def _let_go(self, seat: Seat, now: float, moments: list[float]) -> None:
        """Stop what leaves and has finished, and what has been idle for long enough."""
        worker = seat.worker
        if worker is None or seat.task is not None or worker.leases or worker.visits:
            return
        if seat.leaving or (now >= seat.keep_until and not self.line.waiting(seat.name)):
            seat.leaving = True
            self.do(seat, self.lives.stop(seat, worker))
        elif seat.keep_until < math.inf:
            moments.append(seat.keep_until)

    def _urgency(self, seat: Seat) -> tuple[int, float]:
        first = next(iter(self.line.places(seat.name)))
        return first.claim.priority, first.entered

    def _bring(self, seat: Seat, claimed: int, now: float, moments: list[float]) -> int:
        """Take the next step towards a worker for a model that is waited for. The bytes that are
        to be kept for it, until there are more."""
        if refusal := seat.error or self.lives.setbacks.refusal(seat.name, now):
            if self._gets_a_gpu(seat, now, moments):
                return 0
            seat.error = seat.cramped = None
            self.refuse(seat.name, refusal)
        elif (until := self.lives.setbacks.wait_until(seat.name)) > now:
            moments.append(until)
        elif seat.plan is None or self.lives.planner.is_old(seat.plan):
            self.do(seat, self.lives.plan(seat))
        elif seat.plan.reaches:  # also where there is less than nothing left
            self.do(seat, self.lives.start(seat, seat.plan, 0))
        elif seat.plan.by_gpus and self._fills_a_gpu():
            pass  # what that one takes is not seen yet: the end of its task comes back here
        elif (number := seat.plan.fitting(self.room.most_for(seat), seat.rung)) is None:
            self._wait_or_refuse(seat, seat.plan, now, moments)
        else:
            return self._make_room(seat, seat.plan, number, claimed, moments)
        return 0

    def _fills_a_gpu(self) -> bool:
        """Whether a worker that a GPU takes part in starts or ends just now, or is to start: its
        seat's task has begun then, and it is not there yet."""
        launches: list[Launch] = []
        for one in self.seats.values():
            if one.task is not None and one.worker is not None:
                launches.append(one.worker.launch)
            elif one.task is not None and one.bytes and one.plan is not None:
                launches += [rung.launch for rung in one.plan.rungs]
        return any(launch.placement.get("gpu_layers") for launch in launches)

    def _gets_a_gpu(self, seat: Seat, now: float, moments: list[float]) -> bool:
        """Whether a model that must have a GPU, and found no room on one, need not be refused yet:
        idle models that lie there give way, the longest unused first, and it is planned again."""
        if seat.cramped is None:
            return False
        if seat.cramped != self.lives.planner.moment:
            seat.error = seat.cramped = None
            self.do(seat, self.lives.plan(seat))
            return True
        there = [
            one
            for one in self.seats.values()
            if one.worker is not None and on_gpus(one.worker.facts()["placement"])
        ]
        if any(one.leaving or one.task is not None for one in there):
            return True  # its end comes back here
        idle = [
            one
            for one in there
            if one.idle_since is not None and not one.stays and not self.line.waiting(one.name)
        ]
        if not idle:
            return False
        self._give_way(min(idle, key=lambda one: one.used_at), seat, now, moments)
        return True

    def _give_way(self, one: Seat, to: Seat, now: float, moments: list[float]) -> None:
        log.info("%s gives way to %s", one.name, to.name)
        self.lives.happened[one.model.name, "evicted"] += 1
        one.leaving = True
        self._let_go(one, now, moments)

    def _wait_or_refuse(self, seat: Seat, plan: Plan, now: float, moments: list[float]) -> None:
        """Where the budget would do and only the machine is short, it may be for a moment."""
        if seat.short_since is None:
            seat.short_since = now
        by_budget = plan.fitting(self.room.most_of_the_budget(seat), seat.rung)
        if by_budget is None or now - seat.short_since > SHORT_FOR_S:
            seat.short_since = None
            self.refuse(seat.name, self.room.refusal(seat, plan))
        else:
            moments.append(now + 0.5)

    def _make_room(
        self, seat: Seat, plan: Plan, number: int, claimed: int, moments: list[float]
    ) -> int:
        now, free = time.monotonic(), self.room.free() - claimed
        number = plan.unkept(number, free)
        needed = plan.rungs[number].bytes
        decision = self._decide(seat, needed, free, now)
        if decision.impossible and not claimed:
            self._wait_or_refuse(seat, plan, now, moments)
            return 0
        seat.short_since = None
        if decision.start:
            seat.bytes = needed
            self.do(seat, self.lives.start(seat, plan, number))
            return 0
        if decision.impossible:  # until the one who came first has what it waits for
            moments.append(now + 0.5)
        for name in decision.evict + decision.drain:
            self._give_way(self.seats[name], seat, now, moments)
        if decision.again_at is not None:
            moments.append(decision.again_at)
        return max(min(needed, free), 0)

    def _decide(self, seat: Seat, needed: int, free: int, now: float) -> turns.Decision:
        tickets = self.line.places(seat.name)
        wanted = turns.Wanted(
            seat.name,
            needed,
            self.times.load_s(seat.name, seat.model.bytes),
            min(ticket.entered for ticket in tickets),
            min(ticket.claim.priority for ticket in tickets),
        )
        residents = [
            other.resident(
                self.line.waiting(other.name), self.times.load_s(other.name, other.model.bytes)
            )
            for other in self.seats.values()
            if other.bytes
        ]
        return turns.decide(wanted, residents, free, now)

    def _set_alarm(self, now: float, moments: list[float]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if moments and not self.closed:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(min(moments) - now, 0.0) + 0.001, self.step)

    def do(self, seat: Seat, work: Coroutine[Any, Any, None]) -> None:
        """Have the seat's work done; nothing is decided about the seat until it is."""

        async def run() -> None:
            await work
            await asyncio.to_thread(self.room.examine)

        def done(task: asyncio.Task[None]) -> None:
            work.close()  # where the task was cancelled before its first step
            seat.task = None
            if seat.worker is None:
                seat.bytes, seat.leaving = 0, False
            if not task.cancelled() and (error := task.exception()):
                log.error("%s: a task of its seat failed", seat.name, exc_info=error)
            if not self.closed:
                self.lives.bury(seat)  # it may have died meanwhile
                self.forget_if_unused(seat.name)
                self.step()

        # In nobody's name: whoever's request led to it, it is done for all.
        seat.task = asyncio.create_task(run(), context=Context())
        seat.task.add_done_callback(done)

    def grant(self, seat: Seat, worker: Worker, ticket: Ticket) -> None:
        """Give a request its worker."""
        seat.idle_since = None
        if ticket.claim.answers:
            worker.leases += 1
            seat.answering[ticket] = time.monotonic()
            seat.most_callers = max(seat.most_callers, worker.leases + self.line.waiting(seat.name))
            self.line.took(ticket)
        else:
            worker.visits += 1
        ticket.grant(worker)

    @staticmethod
    def is_stale(seat: Seat, worker: Worker) -> bool:
        """The name means another file now: this worker goes when it has finished."""
        if worker.model is seat.model or worker.model == seat.model:
            return False
        seat.leaving = True
        return True

    def refuse(self, name: str, error: NoiboError) -> None:
        """Tell all who wait for a model that there will be none."""
        for ticket in self.line.of(name):
            self.line.remove(ticket)
            ticket.refuse(error)
        self.forget_if_unused(name)

    def forget_if_unused(self, name: str) -> None:
        """A seat of which nothing is known, and for which nobody waits, is none."""
        seat = self.seats.get(name)
        if seat and seat.plain and not self.line.waiting(name):
            del self.seats[name]
