"""A worker held for the time of one request, with `async with`.

A class and no generator: each request goes through it, and a generator takes twice the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.ticket import NotAnswered, Ticket
from noibo.engines.worker import Worker

if TYPE_CHECKING:
    from noibo.engines.supervision.supervisor import Supervisor


class Lease:
    """Waits for a worker when it is entered, and gives it back when it is left, whatever the
    reason. `told` is given the ticket each time that it has to wait; once entered, it has it."""

    __slots__ = ("_before_s", "_claim", "_held", "_supervisor", "_told", "ticket")

    def __init__(
        self, supervisor: Supervisor, claim: Claim, told: Callable[[Ticket], None]
    ) -> None:
        self._supervisor = supervisor
        self._claim = claim
        self._told = told
        self._held = True
        self._before_s = 0.0  # that it waited for workers which it gave back

    @property
    def keep_alive(self) -> float | None:
        """How long the model is to stay afterwards, in seconds; None: as it is set."""
        return self._claim.keep_alive

    @property
    def waited_s(self) -> float:
        """How long it has waited for a worker, each time that it did."""
        return self._before_s + self.ticket.waited_s

    async def __aenter__(self) -> Worker:
        ticket = self.ticket = self._supervisor.enter(self._claim)
        if ticket.worker is not None:
            return ticket.worker
        try:
            self._told(ticket)
            return await ticket.granted()
        except BaseException:
            self._supervisor.leave(ticket, answered=False)
            raise

    async def rest(self, seconds: float) -> Worker:
        """Give the worker back for so long, and wait for it anew. Who rests holds no slot."""
        self._held = False
        self._supervisor.leave(self.ticket, answered=False)
        await asyncio.sleep(seconds)
        ticket = self._supervisor.enter(self._claim)
        try:
            if ticket.worker is None:
                self._told(ticket)
            worker = ticket.worker or await ticket.granted()
        except BaseException:
            self._supervisor.leave(ticket, answered=False)
            raise
        self._before_s += self.ticket.waited_s
        self.ticket, self._held = ticket, True
        return worker

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if self._held:
            self._supervisor.leave(self.ticket, answered=kind is None and self._claim.answers)
        return kind is NotAnswered
