"""A worker held for the time of one request, with `async with`.

A class and no generator: each request goes through it, and a generator takes twice the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.ticket import NotAnswered, Ticket
from noibo.engines.worker import Worker

if TYPE_CHECKING:
    from noibo.engines.supervision.supervisor import Supervisor


class Lease:
    """Waits for a worker when it is entered, and gives it back when it is left, whatever the
    reason. `told` is given the ticket if the request has to wait; once it is entered, it has it."""

    __slots__ = ("_claim", "_supervisor", "_told", "ticket")

    def __init__(
        self, supervisor: Supervisor, claim: Claim, told: Callable[[Ticket], None]
    ) -> None:
        self._supervisor = supervisor
        self._claim = claim
        self._told = told

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

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._supervisor.leave(self.ticket, answered=kind is None and self._claim.answers)
        return kind is NotAnswered
