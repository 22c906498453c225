"""Where those who wait stand, and how long it may take: what callers and `noibo ps` are told."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from noibo.engines.supervision import turns
from noibo.engines.supervision.claim import Claim, Standing
from noibo.engines.supervision.line import Line
from noibo.engines.supervision.promises import Again
from noibo.engines.supervision.room import Room
from noibo.engines.supervision.seat import Seat
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.supervision.times import Times, wait_s
from noibo.errors import QueueFull
from noibo.wire.management import AnsweringRow, QueueRow, WaitingRow


class Standings:
    """Looks at the line, the seats and the times; changes nothing."""

    def __init__(
        self, line: Line, seats: Mapping[str, Seat], times: Times, room: Room, slots: int
    ) -> None:
        self._line = line
        self._seats = seats
        self._times = times
        self._room = room
        self._slots = slots  # of a worker that is not there yet

    def of(self, ticket: Ticket) -> Standing:
        """One that waits."""
        place = self._line.places(ticket.seat).get(ticket, 1)
        seat = self._seats.get(ticket.seat)
        worker = seat.ready if seat else None
        if seat is None or worker is None:
            return self._before_the_start(ticket, seat, place)
        answer = self._times.answer_s(seat.name)
        if answer is None:
            return Standing(place, None, "queue")
        return Standing(place, wait_s(place, worker.slots, _under_way(seat), answer), "queue")

    def _before_the_start(self, ticket: Ticket, seat: Seat | None, place: int) -> Standing:
        now = time.monotonic()
        load = self._times.load_s(ticket.seat, ticket.claim.model.bytes)
        answer = self._times.answer_s(ticket.seat) or 0.0
        ahead = answer * ((place - 1) // self._slots)  # rounds of answers before its own
        if seat is not None and seat.worker is not None and not seat.leaving:
            ran = now - seat.worker.began
            return Standing(place, max(load - ran, ran / 4) + ahead, "loading")
        due = self._turn_of_others(ticket, seat)
        if due is None:
            return Standing(place, load + ahead, "loading")
        return Standing(place, max(due - now, 0.0) + load + ahead, "memory")

    def _turn_of_others(self, ticket: Ticket, seat: Seat | None) -> float | None:
        """When the first of those in the way must give way; None: nobody is."""
        if seat is None or seat.plan is None or self._room.free() > seat.plan.rungs[-1].bytes:
            return None
        load = self._times.load_s(seat.name, seat.model.bytes)
        wanted = turns.Wanted(seat.name, 0, load, ticket.entered, ticket.claim.priority)
        others = (o for o in self._seats.values() if o is not seat and o.bytes and not o.pinned)
        due = [
            turns.due_at(o.resident(0, self._times.load_s(o.name, o.model.bytes)), wanted)
            for o in others
        ]
        return min(due, default=None)

    def full(self, claim: Claim, longest: int, again: Again) -> QueueFull:
        """The refusal of one for whom there is no place in the line: it is to come again."""
        wait = max(math.ceil(again.in_s), 1)
        then = "a place is kept for you then" if again.kept else "no place can be kept for you"
        return QueueFull(
            f"Too many requests wait already: {len(self._line)} of {longest}, "
            f"{self._line.of_caller(claim.caller)} of them yours.",
            next_step=f"Try again in {wait} s: {then}. queue.longest says how many may wait.",
            retry_after_s=wait,
        )

    def until_place_s(self, model: str) -> float:
        """Seconds until a place in the line is free: when the next has got a slot."""
        return min(self._until_next(name) for name in (self._line.models() or [model]))

    def pace_s(self, model: str) -> float:
        """Seconds between one place that falls free and the next, as things go."""
        rate = 0.0
        for name in self._line.models():
            seat = self._seats.get(name)
            answer = self._times.usual_s(name, _under_way(seat))
            if seat is not None and seat.worker is not None and answer:
                rate += seat.worker.slots / answer
        return 1 / rate if rate else self.until_place_s(model)

    def _until_next(self, model: str) -> float:
        """Seconds until somebody who waits for this model gets a slot, and leaves the line."""
        first = next(iter(self._line.places(model)), None)
        stands = self.of(first) if first else None
        if stands is not None and stands.expected_s is not None:
            return stands.expected_s
        seat = self._seats.get(model)
        worker = seat.worker if seat else None
        return wait_s(1, worker.slots if worker else 1, _under_way(seat), None)

    def rows(self, longest: int) -> QueueRow:
        """Who waits and who is answered."""
        now = time.monotonic()
        return QueueRow(
            waiting=[self._waiting(ticket) for ticket in self._line.tickets()],
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
            longest=longest,
            budget_bytes=self._room.budget,
            held_bytes=self._room.held(),
        )

    def _waiting(self, ticket: Ticket) -> WaitingRow:
        stands = self.of(ticket)
        return WaitingRow(
            model=ticket.seat,
            caller=ticket.claim.caller,
            priority=ticket.claim.priority.name.lower(),
            place=stands.place,
            why=stands.why,
            waited_s=round(ticket.waited_s, 1),
            expected_s=None if stands.expected_s is None else round(stands.expected_s, 1),
        )


def _under_way(seat: Seat | None) -> list[float]:
    now = time.monotonic()
    return [now - began for began in seat.answering.values()] if seat else []
