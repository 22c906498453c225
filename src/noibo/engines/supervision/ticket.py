"""A request's place with the supervisor: it waits, gets a worker, and gives it back."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable

from noibo.engines.supervision.claim import Claim, Standing
from noibo.engines.worker import Worker
from noibo.errors import NoiboError


class NotAnswered(Exception):
    """Raised in a lease by who got no answer for its request: how long it took says nothing."""


_numbers = itertools.count(1)


class Ticket:
    """One request. Compared by identity; `number` rises with the order of arrival."""

    __slots__ = ("_ended", "_outcome", "_stand", "claim", "entered", "number", "worker")

    def __init__(self, claim: Claim, stand: Callable[[Ticket], Standing]) -> None:
        self.claim = claim
        self.number = next(_numbers)
        self.entered = time.monotonic()
        self.worker: Worker | None = None
        self._ended: float | None = None
        self._outcome: asyncio.Future[None] | None = None
        self._stand = stand

    @property
    def seat(self) -> str:
        """Which worker it is for, by the name of its seat."""
        return self.claim.model.seat

    @property
    def waited_s(self) -> float:
        """How long it has waited, or waited in all."""
        return (self._ended or time.monotonic()) - self.entered

    def standing(self) -> Standing:
        """Where it stands now, while it waits."""
        return self._stand(self)

    async def granted(self) -> Worker:
        """The worker, when it is this request's turn. Raises what `refuse` was given."""
        assert self._outcome is not None  # noqa: S101 - `wait` was called
        await self._outcome
        assert self.worker is not None  # noqa: S101 - grant sets it first
        return self.worker

    def wait(self) -> None:
        """It waits from now on."""
        self._outcome = asyncio.get_running_loop().create_future()

    def grant(self, worker: Worker) -> None:
        """Give it a worker."""
        self.worker = worker
        self._ended = time.monotonic()
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(None)

    def refuse(self, error: NoiboError) -> None:
        """Tell it that there will be none."""
        self._ended = time.monotonic()
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)
