"""The memory that workers share: what is promised, what is held, what can still be had.

Two bounds hold at once: the budget, and what the machine really has left. A worker counts with what
was expected of it until it is ready, then with what it was measured to hold and may grow by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from noibo.engines.memory.machine import Machine, amount
from noibo.engines.supervision.plan import Plan
from noibo.engines.supervision.seat import Seat
from noibo.engines.worker import State
from noibo.errors import NoRoom
from noibo.settings import Memory

LEAST_SPARE_BYTES: Final = 256 * 2**20  # of the machine's memory, whatever the budget
SPARE_SHARE: Final = 0.02
RETRY_S: Final = 30.0  # other programs, and pins, come and go


class Room:
    """Adds up over the seats; changes what is reserved for one only to what it has grown to."""

    def __init__(self, settings: Memory, machine: Machine, seats: Mapping[str, Seat]) -> None:
        self._machine = machine
        self._seats = seats
        self._available = machine.available()  # as last measured: asking blocks
        total = machine.total()
        self.budget = amount(settings.budget, total, "memory.budget")
        self._spare = max(LEAST_SPARE_BYTES, int(SPARE_SHARE * total))

    def held(self) -> int:
        """What the workers hold, as last measured."""
        return sum(seat.worker.held_bytes for seat in self._seats.values() if seat.worker)

    def free(self) -> int:
        """What a new worker may take; negative where too much is promised already."""
        reserved = sum(seat.bytes for seat in self._seats.values())
        return min(self.budget - reserved, self._left() - self._promised())

    def _left(self) -> int:
        """What the machine has for workers."""
        given = sum(seat.gave_back for seat in self._seats.values())
        return self._available + given - self._spare

    def _promised(self) -> int:
        """What was promised to workers, and is not taken yet."""
        return sum(_not_taken(seat) for seat in self._seats.values())

    def most_for(self, seat: Seat) -> int:
        """What it could have if every other model that is not pinned gave way."""
        return min(self.most_of_the_budget(seat), self._most_of_the_machine(seat))

    def most_of_the_budget(self, seat: Seat) -> int:
        """The same by the budget alone."""
        return self.budget - sum(one.bytes for one in self._others(seat) if one.stays)

    def _most_of_the_machine(self, seat: Seat) -> int:
        others = list(self._others(seat))
        given = sum(_taken(one) for one in others if not one.stays)
        return self._left() + given - sum(_not_taken(one) for one in others if one.stays)

    def _others(self, seat: Seat) -> Iterator[Seat]:
        return (one for one in self._seats.values() if one is not seat and one.bytes)

    def refusal(self, seat: Seat, plan: Plan) -> NoRoom:
        """Why it cannot be loaded, with the numbers."""
        step = "Take a smaller model or quantisation, or raise memory.budget."
        if pinned := [one.name for one in self._others(seat) if one.pinned]:
            step = f"Pinned: {', '.join(pinned)}. Unload one (`noibo stop`). {step}"
        return NoRoom(
            f"{seat.name} needs {_mib(plan.rungs[-1].bytes)} at the least; "
            f"{_mib(max(self.most_for(seat), 0))} can be had (memory.budget is "
            f"{_mib(self.budget)}, the machine has {_mib(self._available)} free).",
            next_step=step,
            retry_after_s=RETRY_S,
        )

    def examine(self) -> None:
        """Measure the machine and every worker. Blocks for some milliseconds: not for the event
        loop."""
        seats = list(self._seats.values())
        for seat in seats:
            if seat.worker is not None:
                seat.worker.examine(self._machine)
        mapped = sum(seat.worker.mapped_bytes for seat in seats if seat.worker)
        # Files that workers have mapped can be read again, and so count as available: not here.
        self._available = self._machine.available() - mapped
        for seat in seats:
            seat.gave_back = 0

    def grown_over(self) -> list[Seat]:
        """Count what workers have grown to; the idle models, longest unused first, that have to go
        for all together to be within the budget."""
        for seat in self._seats.values():
            if seat.worker is not None and seat.worker.state is State.READY:
                seat.bytes = max(seat.bytes, seat.worker.held_bytes)
        over = self.held() - self.budget
        idle = [s for s in self._seats.values() if s.ready and s.idle_since and not s.pinned]
        going = []
        for seat in sorted(idle, key=lambda one: one.used_at):
            if over <= 0:
                break
            going.append(seat)
            over -= seat.worker.held_bytes if seat.worker else 0
        return going


def _taken(seat: Seat) -> int:
    return seat.worker.held_bytes if seat.worker else 0


def _not_taken(seat: Seat) -> int:
    return max(seat.bytes - _taken(seat), 0)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
