"""One request on its way to one model elsewhere, and its answer back.

Everything that was begun for it is brought to its end here, whichever way it ends: the row at the
door, the money that was put aside, the row of usage.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from noibo.egress import UNREACHED, Departure, Pass
from noibo.engines import line
from noibo.engines.remote.place import Place
from noibo.gateway.leaving.accounts import Accounts, Call, priced
from noibo.gateway.leaving.homeward import Homeward, Taken
from noibo.gateway.leaving.journey import Journey
from noibo.privacy.answer_stream import AnswerStream, wants_json
from noibo.privacy.judgement import Judgement
from noibo.privacy.outgoing import Outgoing
from noibo.privacy.receipt import Sent
from noibo.usage.budgets import Reservation
from noibo.usage.entry import Outcome, UsageEntry
from noibo.usage.money import nanos
from noibo.usage.tokens import believed, reported, reported_cost


@dataclass(frozen=True, slots=True)
class Way:
    """Where it goes, by whose leave, and by which word. `redacted`: how many places of each kind
    have placeholders in what goes."""

    place: Place
    passed: Pass
    journey: Journey
    judgement: Judgement
    policy: str
    owner: str
    redacted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Bill:
    """What is put aside for it. `reservation` None: a server of one's own, which costs nothing that
    a budget is for."""

    accounts: Accounts
    call: Call
    reservation: Reservation | None


class Tasks:
    """Work that goes on when nobody waits for it any more, and is waited for at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """It is done to its end, whoever leaves."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """All of it is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)


class Crossing:
    """See `engines.remote.clearance.Cleared`. `fields` are what goes."""

    def __init__(
        self,
        way: Way,
        bill: Bill,
        going: Outgoing,
        tasks: Tasks,
        *,
        drops_count: bool = False,
    ) -> None:
        self.fields: Mapping[str, Any] = going.fields
        self._redaction = going.redaction
        self._way = way
        self._bill = bill
        self._tasks = tasks
        self._drops_count = drops_count
        self._departure: Departure | None = None
        self._home: Homeward | None = None
        self._began = time.perf_counter()
        self._first_ms: int | None = None
        self._broke = False
        self._went = False  # something of an attempt was given to a connection
        self._settling: asyncio.Task[Any] | None = None

    async def depart(self, url: str, body: bytes) -> line.Leave:
        """Leave for one attempt: its row is on the disk when this returns."""
        way = self._way
        await self._close_departure("again")
        self._departure = await asyncio.to_thread(
            way.passed.depart,
            url,
            "POST" if body else "GET",
            body=body,
            label=way.judgement.label,
            request=way.journey.request_id,
            policy=way.policy,
            user=way.owner,
        )
        sent = Sent.of(str(way.place.destination), body, way.redacted)
        way.journey.departs(sent, self._departure)
        return line.Leave(self._departure, way.place.network)

    def told(self, response: line.Response) -> line.Response:
        """The answer, in the caller's own words."""
        way = self._way
        way.journey.pending = False
        self._first_ms = self._ms()
        self._home = Homeward(response, self, drops_count=self._drops_count)
        return self._home

    def words(self) -> AnswerStream | None:
        """What tells an answer in the caller's own words; None where they are the same."""
        redaction = self._redaction
        return AnswerStream(redaction, in_json=wants_json(self.fields)) if redaction else None

    def failed(self, why: BaseException) -> None:
        """There is no answer. Where nothing was sent, nothing is charged; where somebody left, or
        it broke off after it was sent, nobody knows, and it is charged in full."""
        if self._departure is None or isinstance(why, line.Unreachable):
            outcome: Outcome = "failed"
        elif isinstance(why, asyncio.CancelledError):
            outcome = "cancelled"
        else:
            outcome = "cut" if isinstance(why, ConnectionError) else "failed"
        self._settle_beside(outcome)

    def broke(self) -> None:
        """The connection ended before the answer did."""
        self._broke = True

    def closed(self) -> None:
        """Nobody hears more of the answer."""
        home = self._home
        if home is not None and home.status != 200:
            self._settle_beside("failed")
        else:
            self._settle_beside("cut" if self._broke else "cancelled")

    async def settle(self, outcome: Outcome) -> None:
        """Once; whoever waits for it may leave."""
        self._settle_beside(outcome)
        if self._settling is not None:
            await asyncio.shield(self._settling)

    def _settle_beside(self, outcome: Outcome) -> None:
        if self._settling is None:
            self._settling = self._tasks.begin(self._settle(outcome))

    async def _settle(self, outcome: Outcome) -> None:
        await self._close_departure(outcome)
        bill, entry = self._bill, self._entry(outcome)
        if bill.reservation is None:
            await bill.accounts.ledger.record(priced(entry, bill.call.price))
        elif self._departure is None:
            await bill.accounts.budgets.release(bill.reservation)
        else:
            taken = self._home.taken if self._home is not None else None
            # A count on the way to an end that never came is not all that was written.
            whole = outcome == "ok" or (taken is not None and taken.counted)
            price = bill.call.price if whole else None
            await bill.accounts.settle(bill.reservation, entry, price)

    async def _close_departure(self, outcome: str) -> None:
        departure, home = self._departure, self._home
        if departure is None or departure.settled:
            return
        self._went = self._went or departure.written
        sent = departure.bytes if departure.written else 0
        if not departure.written and outcome != "cancelled":
            outcome = UNREACHED
        received = home.taken.received if home is not None else 0
        await asyncio.to_thread(departure.settle, sent, received, outcome)

    def _entry(self, outcome: Outcome) -> UsageEntry:
        taken = self._home.taken if self._home is not None else Taken()
        usage = taken.usage
        call = self._bill.call
        said, draft = reported_cost(usage) if call.believed else None, call.draft
        if outcome == "failed" or not self._went:
            draft = replace(draft, cost=0, cost_by="")
        elif said is not None:
            draft = replace(draft, cost=nanos(said), cost_by="provider")
        return replace(
            draft,
            tokens=believed(
                reported(usage), call.tokens, wrote=taken.wrote, received=taken.received
            ),
            first_ms=self._first_ms,
            total_ms=self._ms(),
            outcome=outcome,
        )

    def _ms(self) -> int:
        return round(1000 * (time.perf_counter() - self._began))
