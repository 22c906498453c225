"""What may be spent on models elsewhere: reserved before a call, settled when it has ended.

`reserve` takes the most that a call can cost of every budget that it is under, or raises. When it
has ended, `settle` charges what it cost, and keeps its row of the ledger in the same transaction.
Whoever leaves in the middle, by whatever way, leaves nothing behind: a caller that hangs up, a
stream that breaks, a database that cannot be reached, a server that is killed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec.structs import replace

from noibo.errors import BudgetExceeded, NoiboError
from noibo.usage.entry import UsageEntry
from noibo.usage.periods import Calendar
from noibo.usage.refusal import exceeded, price_unknown
from noibo.usage.rules import HOUR, Claim, Rule, Spender, claims_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from noibo.database.database import Database
    from noibo.usage.reservations import Full, Holder

log = logging.getLogger(__name__)

T = TypeVar("T")
LASTS_S: Final = 30.0  # what a server has reserved, without a word of it
_BEATS: Final = 4  # in that time
Open = Callable[[], Awaitable["Database"]]


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room for one call. `entry` is what is known of it; `bound` the most it can cost, in
    billionths of a dollar; None: unknown, and no budget of money is in the way."""

    entry: UsageEntry
    bound: int | None
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands: money in billionths of a dollar, or, for an hour, calls."""

    claim: Claim
    spent: int
    reserved: int


class Budgets:
    """One server's. `put_aside` keeps a call that ended while the database could not be reached."""

    def __init__(
        self,
        open_database: Open,
        rules: Sequence[Rule],
        put_aside: Callable[[UsageEntry], None],
        *,
        calendar: Calendar = Calendar(),
        lasts_s: float = LASTS_S,
    ) -> None:
        self._open = open_database
        self._rules = tuple(rules)
        self._put_aside = put_aside
        self._calendar = calendar
        self._id, self._lasts_s = secrets.token_hex(12), lasts_s
        self._used = asyncio.Event()  # from the first reservation on there is something to do
        self._unreleased: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def claims(self, who: Spender, model: str) -> tuple[Claim, ...]:
        """What a call of `model` would take of which limits now."""
        return claims_of(self._rules, who, model, self._calendar.now(), self._calendar.where)

    async def reserve(self, draft: UsageEntry, bound: int | None, who: Spender) -> Reservation:
        """Room for a call that can cost `bound`. Raises `BudgetExceeded`, or `PriceUnknown` where
        a budget of money is to be kept to and nobody knows the price."""
        claims = self.claims(who, draft.model)
        if bound is None and (strict := [one for one in claims if one.period != HOUR]):
            raise price_unknown(draft.model, strict)
        draft = replace(draft, cost=bound, cost_by="" if bound is None else "bound")
        reservation = Reservation(draft, bound, claims)
        self._used.set()
        taking = self._begin(self._take(reservation))
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(lambda done: self._undo(done, reservation))
            raise
        return reservation

    async def settle(self, reservation: Reservation, entry: UsageEntry) -> UsageEntry:
        """A call has ended: what is kept of it. Where its cost is unknown it is charged the most
        that it can have cost, unless it failed before the first byte: then nothing. Once it has
        begun it is done, whoever waits for it or not."""
        if entry.id != reservation.entry.id:
            raise ValueError("a call is settled by the entry that was reserved for")
        if entry.outcome == "failed" and entry.cost is None:
            entry = replace(entry, cost=0)
        elif entry.cost is None and reservation.bound is not None:
            entry = replace(entry, cost=reservation.bound, cost_by="bound")
        await asyncio.shield(self._begin(self._settle(entry)))
        return entry

    async def release(self, reservation: Reservation) -> None:
        """Nothing was asked: money and call are free again, and nothing is kept."""
        await asyncio.shield(self._begin(self._release(reservation.entry.id)))

    async def standings(self, claims: Sequence[Claim]) -> list[Standing]:
        """How limits stand."""
        from noibo.usage import reservations

        def look(connection: Connection) -> list[Standing]:
            return [Standing(one, *reservations.used(connection, one)) for one in claims]

        return await (await self._open()).read(look)

    async def run(self) -> None:
        """Say that this server lives, and charge what dead ones left, until this is cancelled."""
        await self._used.wait()
        while True:
            try:
                await self.beat()
            except NoiboError as error:
                log.warning("budgets cannot be renewed: %s", error)
            await asyncio.sleep(self._lasts_s / _BEATS)

    async def beat(self) -> int:
        """Once of that; how many reservations of dead servers were charged."""
        from noibo.usage import reservations

        for one in tuple(self._unreleased):
            await self._release(one)
        await self._write(lambda connection: reservations.live(connection, self._holder()))
        swept = await self._write(reservations.sweep)
        await self._write(reservations.forget)
        return swept

    async def close(self) -> None:
        """What is under way is done; what is left of this server's reservations is charged."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._used.is_set():
            from noibo.usage import reservations

            try:
                await self._write(lambda connection: reservations.die(connection, self._holder()))
            except NoiboError as error:
                log.warning("reservations end when their time is over: %s", error)

    async def _take(self, reservation: Reservation) -> None:
        from noibo.usage import reservations

        def take(connection: Connection) -> None:
            entry, amount = reservation.entry, reservation.bound or 0
            reservations.take(connection, self._holder(), entry, amount, reservation.claims)

        try:
            await self._write(take)
        except NoiboError as error:
            if reservation.claims:
                raise
            log.warning("a call that no budget is over is not reserved for: %s", error)
        except reservations.NoRoom as none:
            if not await self._write(reservations.sweep):  # what the dead hold is no reason
                raise self._refusal(reservation, none.full) from None
            try:
                await self._write(take)
            except reservations.NoRoom as still:
                raise self._refusal(reservation, still.full) from None

    async def _settle(self, entry: UsageEntry) -> None:
        from noibo.usage import reservations

        try:
            await self._write(lambda connection: reservations.settle(connection, entry))
        except NoiboError as error:
            log.warning("a paid call waits in the journal of usage: %s", error)
            await asyncio.to_thread(self._put_aside, entry)

    async def _release(self, reservation: str) -> None:
        from noibo.usage import reservations

        self._unreleased.add(reservation)
        try:
            await self._write(lambda connection: reservations.release(connection, reservation))
            self._unreleased.discard(reservation)
        except NoiboError as error:
            log.warning("a reservation is released later: %s", error)

    def _holder(self) -> Holder:
        from noibo.usage.reservations import Holder

        return Holder(self._id, self._lasts_s)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await (await self._open()).write(work)

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _undo(self, taking: asyncio.Task[None], reservation: Reservation) -> None:
        """Who asked for it left before it had it."""
        if not taking.cancelled() and taking.exception() is None:
            self._begin(self._release(reservation.entry.id))

    def _refusal(self, reservation: Reservation, full: Sequence[Full]) -> BudgetExceeded:
        return exceeded(full, reservation.bound or 0, self._calendar.now())
