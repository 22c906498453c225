"""Who waits, and who is next: fair between callers, the urgent before the patient.

A slot that falls free goes to the caller who holds the fewest; between equals to the one served
longest ago; a caller's own requests go in the order they came. So a caller with a thousand requests
and a caller with one are served side by side (max-min fairness over slots).

The line is bounded, and the bound is shared: a caller may have as many waiting as there are places
left. One alone gets half of the line, two get a third each, and there is always a place for one who
comes for the first time (dynamic thresholds, Choudhury and Hahne 1998).
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Final

from noibo.engines.supervision.claim import Priority
from noibo.engines.supervision.ticket import Ticket

REMEMBERED: Final = 4096  # callers, and when each was served last, while somebody waits


class Line:
    """Waiting tickets, a line for each model. Knows no clock."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._lines: dict[str, _ModelLine] = {}
        self._of_caller: Counter[str] = Counter()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def places_left(self) -> int:
        """How many more may wait, whosever they are."""
        return self._longest - self._length

    def has_place_for(self, caller: str, kept: int = 0) -> bool:
        """Whether one more request of this caller may wait. `kept` places are for others."""
        left = self.places_left - kept
        return left > 0 and self._of_caller[caller] < left

    def of_caller(self, caller: str) -> int:
        """How many of this caller's requests wait."""
        return self._of_caller[caller]

    def add(self, ticket: Ticket) -> None:
        """Put a ticket at the end of its caller's own requests."""
        self._lines.setdefault(ticket.seat, _ModelLine()).add(ticket)
        self._of_caller[ticket.claim.caller] += 1
        self._length += 1

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out, wherever it stands."""
        line = self._lines[ticket.seat]
        line.remove(ticket)
        if not line.length and not line.held:
            del self._lines[ticket.seat]
        self._of_caller[ticket.claim.caller] -= 1
        if not self._of_caller[ticket.claim.caller]:
            del self._of_caller[ticket.claim.caller]
        self._length -= 1

    def next(self, model: str) -> Ticket | None:
        """Who is served next with this model."""
        line = self._lines.get(model)
        return line.next() if line else None

    def load(self, model: str) -> Ticket | None:
        """One that wants the model loaded and no answer, if there is one."""
        line = self._lines.get(model)
        return next(iter(line.loads), None) if line else None

    def took(self, ticket: Ticket) -> None:
        """A caller has got a slot."""
        self._lines.setdefault(ticket.seat, _ModelLine()).took(ticket.claim.caller)

    def gave_back(self, ticket: Ticket) -> None:
        """A caller has left a slot."""
        line = self._lines.get(ticket.seat)
        if line is not None:
            line.gave_back(ticket.claim.caller)
            if not line.length and not line.held:
                del self._lines[ticket.seat]

    def places(self, model: str) -> Mapping[Ticket, int]:
        """Every ticket of a model with its place, from 1, as things stand."""
        line = self._lines.get(model)
        return line.places() if line else {}

    def waiting(self, model: str) -> int:
        """How many wait for a model."""
        line = self._lines.get(model)
        return line.length if line else 0

    def models(self) -> list[str]:
        """Models that are waited for."""
        return [name for name, line in self._lines.items() if line.length]

    def tickets(self) -> Iterator[Ticket]:
        """All that wait, a model after the other, each in its order."""
        for line in list(self._lines.values()):
            yield from line.places()

    def of(self, model: str) -> list[Ticket]:
        """All that wait for a model, in their order."""
        return list(self.places(model))


class _ModelLine:
    """The line for one model: a queue for each priority and caller."""

    def __init__(self) -> None:
        self.length = 0
        self.held: Counter[str] = Counter()
        self.loads: dict[Ticket, None] = {}
        self._queues: dict[Priority, dict[str, deque[Ticket]]] = {p: {} for p in Priority}
        self._served: dict[str, int] = {}
        self._turn = itertools.count(1)
        self._places: dict[Ticket, int] | None = None

    def add(self, ticket: Ticket) -> None:
        queues = self._queues[ticket.claim.priority]
        queues.setdefault(ticket.claim.caller, deque()).append(ticket)
        if not ticket.claim.answers:
            self.loads[ticket] = None
        self.length += 1
        self._places = None

    def remove(self, ticket: Ticket) -> None:
        queues = self._queues[ticket.claim.priority]
        queues[ticket.claim.caller].remove(ticket)
        if not queues[ticket.claim.caller]:
            del queues[ticket.claim.caller]
        self.loads.pop(ticket, None)
        self.length -= 1
        self._places = None
        if not self.length and not self.held:
            self._served.clear()

    def took(self, caller: str) -> None:
        self.held[caller] += 1
        self._served.pop(caller, None)
        self._served[caller] = next(self._turn)
        if len(self._served) > REMEMBERED:  # the one served longest ago is as good as new
            del self._served[next(iter(self._served))]
        self._places = None

    def gave_back(self, caller: str) -> None:
        self.held[caller] -= 1
        if self.held[caller] <= 0:
            del self.held[caller]
        self._places = None

    def next(self) -> Ticket | None:
        for queues in self._queues.values():
            if queues:
                caller = min(queues, key=lambda one: self._rank(one, queues[one][0]))
                return queues[caller][0]
        return None

    def _rank(self, caller: str, head: Ticket) -> tuple[int, int, int]:
        return self.held[caller], self._served.get(caller, 0), head.number

    def places(self) -> dict[Ticket, int]:
        if self._places is None:
            self._places = {ticket: i for i, ticket in enumerate(self._in_order(), 1)}
        return self._places

    def _in_order(self) -> Iterator[Ticket]:
        """The order in which they would be served if nobody came or left."""
        held, served = Counter(self.held), dict(self._served)
        turn = itertools.count(max(served.values(), default=0) + 1)
        for queues in self._queues.values():
            rest = {caller: deque(queue) for caller, queue in queues.items()}
            heap = [
                (held[caller], served.get(caller, 0), queue[0].number, caller)
                for caller, queue in rest.items()
            ]
            heapq.heapify(heap)
            while heap:
                caller = heapq.heappop(heap)[3]
                yield rest[caller].popleft()
                held[caller] += 1
                served[caller] = next(turn)
                if rest[caller]:
                    head = rest[caller][0].number
                    heapq.heappush(heap, (held[caller], served[caller], head, caller))
