"""Budgets hold, whoever asks at the same moment and whatever ends in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from noibo.assembly import open_database
from noibo.database.database import Database
from noibo.database.schema import budget_holders
from noibo.errors import ApiCallsExceeded, BudgetExceeded, DatabaseError, PriceUnknown
from noibo.holdings.erasing import erase_owner
from noibo.settings import load
from noibo.usage.budgets import Budgets, Reservation
from noibo.usage.cost import bound
from noibo.usage.entry import UsageEntry
from noibo.usage.ledger import Ledger
from noibo.usage.money import NANOS
from noibo.usage.periods import Calendar
from noibo.usage.prices import price_of
from noibo.usage.reservations import SOON_S
from noibo.usage.rules import Rule, Spender
from tests.usage.calls import (
    MODEL,
    budget_calls,
    budget_reservations,
    call,
    count,
    opening,
    rows,
    spending,
    usage,
)

pytestmark = pytest.mark.anyio

ANNA = Spender("anna", "key:k1", "laptop")
NOON = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC).timestamp()
UTC = datetime.UTC
TODAY = "2026-11-23"
AT_NOON = Calendar(UTC, lambda: NOON)


def never(entry: UsageEntry) -> None:
    raise AssertionError("the database could be reached")


def budgets(database: Database, *rules: Rule, calendar: Calendar = AT_NOON) -> Budgets:
    return Budgets(opening(database), rules, never, calendar=calendar)


# ── what one call does ──────────────────────────────────────────────────────


async def test_a_call_takes_its_bound_and_leaves_its_cost(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000, month=5000))
    held = await desk.reserve(call(), 400, ANNA)
    assert await spending(database) == {
        ("all", "2026-11-23"): (0, 400),
        ("all", "2026-11"): (0, 400),
    }
    await desk.settle(held, call(id=held.entry.id, cost=150, cost_by="prices"))
    assert await spending(database) == {
        ("all", "2026-11-23"): (150, 0),
        ("all", "2026-11"): (150, 0),
    }
    (kept,) = await rows(database, usage)
    assert (kept.cost, kept.cost_by, kept.outcome) == (150, "prices", "ok")


async def test_a_call_that_does_not_fit_is_refused_until_the_day_ends(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000, over="refuse"))
    held = await desk.reserve(call(), 700, ANNA)
    await desk.settle(held, call(id=held.entry.id, cost=700))
    with pytest.raises(BudgetExceeded) as caught:
        await desk.reserve(call(), 301, ANNA)
    assert caught.value.retry_after_s == 12 * 3600
    assert caught.value.resets_at == NOON + 12 * 3600
    assert not caught.value.answer_locally
    assert caught.value.status == 429
    await desk.reserve(call(), 300, ANNA)


async def test_a_call_dearer_than_a_whole_budget_is_told_that_waiting_does_not_help(
    database: Database,
) -> None:
    desk = budgets(database, Rule("all", day=1000))
    with pytest.raises(BudgetExceeded) as caught:
        await desk.reserve(call(), 1001, ANNA)
    assert caught.value.retry_after_s is None
    assert caught.value.answer_locally
    assert "max_tokens" in caught.value.next_step


async def test_room_that_others_have_reserved_may_be_there_again_in_a_moment(
    database: Database,
) -> None:
    desk = budgets(database, Rule("all", day=1000))
    held = await desk.reserve(call(), 900, ANNA)
    with pytest.raises(BudgetExceeded) as caught:
        await desk.reserve(call(), 300, ANNA)
    assert caught.value.retry_after_s == SOON_S
    assert "in a moment" in caught.value.next_step
    await desk.settle(held, call(id=held.entry.id, cost=800))
    with pytest.raises(BudgetExceeded) as caught:
        await desk.reserve(call(), 300, ANNA)
    assert caught.value.retry_after_s == 12 * 3600


async def test_a_budget_of_nothing_says_so(database: Database) -> None:
    desk = budgets(database, Rule("all", day=0, over="refuse"))
    with pytest.raises(BudgetExceeded, match="is 0: nothing may be spent") as caught:
        await desk.reserve(call(), 1, ANNA)
    assert caught.value.retry_after_s is None
    assert "max_tokens" not in caught.value.next_step
    await desk.reserve(call(), 0, ANNA)  # of a model that is free


async def test_who_was_erased_while_they_were_answered_stays_erased(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000))
    held = await desk.reserve(call(), 400, ANNA)
    await database.write(lambda connection: erase_owner(connection, "anna") and None)
    await desk.settle(held, call(id=held.entry.id, cost=150))
    (kept,) = await rows(database, usage)
    assert kept.owner == kept.key and kept.owner.startswith("erased:")
    assert kept.cost == 150


async def test_a_call_that_fits_in_one_budget_and_not_in_another_takes_of_neither(
    database: Database,
) -> None:
    desk = budgets(database, Rule("all", day=1000), Rule("user:anna", month=50))
    with pytest.raises(BudgetExceeded, match="of this user"):
        await desk.reserve(call(), 100, ANNA)
    assert all(one == (0, 0) for one in (await spending(database)).values())
    assert await count(database, budget_reservations) == 0


async def test_a_message_says_sums_of_the_callers_own_budget_and_of_no_other(
    database: Database,
) -> None:
    desk = budgets(database, Rule("all", day=2 * NANOS), Rule("key:laptop", day=NANOS))
    await desk.reserve(call(), NANOS, ANNA)
    with pytest.raises(BudgetExceeded) as caught:
        await desk.reserve(call(), NANOS + 1, ANNA)
    said = caught.value.message
    assert "$1.00 of $1.00" in said
    assert "$2.00" not in said


async def test_what_failed_before_its_first_byte_is_free_and_was_a_call(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000, calls_per_hour=9))
    held = await desk.reserve(call(), 400, ANNA)
    await desk.settle(held, call(id=held.entry.id, outcome="failed"))
    assert (await spending(database))["all", "2026-11-23"] == (0, 0)
    assert await count(database, budget_calls) == 1
    (kept,) = await rows(database, usage)
    assert (kept.cost, kept.outcome) == (0, "failed")


async def test_what_was_never_asked_leaves_nothing(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000, calls_per_hour=9))
    held = await desk.reserve(call(), 400, ANNA)
    await desk.release(held)
    await desk.release(held)
    assert (await spending(database))["all", "2026-11-23"] == (0, 0)
    for table in (budget_calls, budget_reservations, usage):
        assert await count(database, table) == 0


async def test_a_stream_that_broke_without_a_count_is_charged_the_most(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000))
    held = await desk.reserve(call(), 400, ANNA)
    kept = await desk.settle(held, call(id=held.entry.id, outcome="cut"))
    assert (kept.cost, kept.cost_by) == (400, "bound")
    assert (await spending(database))["all", "2026-11-23"] == (400, 0)


async def test_a_provider_that_counts_more_than_it_was_allowed_is_charged_as_it_counts(
    database: Database,
) -> None:
    desk = budgets(database, Rule("all", day=1000))
    held = await desk.reserve(call(), 900, ANNA)
    await desk.settle(held, call(id=held.entry.id, cost=1300, cost_by="provider"))
    assert (await spending(database))["all", "2026-11-23"] == (1300, 0)
    with pytest.raises(BudgetExceeded):
        await desk.reserve(call(), 1, ANNA)


async def test_a_caller_that_wants_no_end_of_tokens_is_refused(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000))
    mini = price_of(MODEL, {"input": 1, "output": 4}, "test")
    with pytest.raises(BudgetExceeded):
        await desk.reserve(call(), bound(10, 10**40, mini), ANNA)


async def test_a_call_is_charged_once(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000))
    held = await desk.reserve(call(), 400, ANNA)
    done = call(id=held.entry.id, cost=150)
    await asyncio.gather(*(desk.settle(held, done) for _ in range(5)))
    await desk.release(held)
    assert (await spending(database))["all", "2026-11-23"] == (150, 0)
    assert await count(database, usage) == 1


async def test_a_budget_of_money_wants_a_price(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000))
    with pytest.raises(PriceUnknown, match="gpt-4o-mini"):
        await desk.reserve(call(), None, ANNA)


async def test_without_a_budget_of_money_a_cost_may_stay_unknown(database: Database) -> None:
    desk = budgets(database, Rule("all", calls_per_hour=5))
    held = await desk.reserve(call(), None, ANNA)
    await desk.settle(held, call(id=held.entry.id))
    (kept,) = await rows(database, usage)
    assert kept.cost is None


# ── when ────────────────────────────────────────────────────────────────────


async def test_a_new_month_is_a_new_budget_where_the_user_is(database: Database) -> None:
    moment = datetime.datetime(2026, 11, 30, 16, 59, tzinfo=UTC).timestamp()  # 23:59 in Hà Nội
    hanoi = datetime.timezone(datetime.timedelta(hours=7))
    clock = [moment]
    desk = budgets(database, Rule("all", month=1000), calendar=Calendar(hanoi, lambda: clock[0]))
    early = await desk.reserve(call(), 1, ANNA)
    await desk.settle(early, call(id=early.entry.id, cost=1))
    late = await desk.reserve(call(), 999, ANNA)
    with pytest.raises(BudgetExceeded) as caught:
        await desk.reserve(call(), 1000, ANNA)
    assert caught.value.retry_after_s == 60
    clock[0] += 60
    await desk.reserve(call(), 1000, ANNA)
    # What was reserved in November is charged to November.
    await desk.settle(late, call(id=late.entry.id, cost=10))
    assert await spending(database) == {("all", "2026-11"): (11, 0), ("all", "2026-12"): (0, 1000)}


async def test_a_clock_that_goes_back_gives_nothing_back(database: Database) -> None:
    clock = [NOON]
    desk = budgets(database, Rule("all", day=1000), calendar=Calendar(UTC, lambda: clock[0]))
    held = await desk.reserve(call(), 1000, ANNA)
    await desk.settle(held, call(id=held.entry.id, cost=1000))
    clock[0] += 86_400
    held = await desk.reserve(call(), 600, ANNA)
    await desk.settle(held, call(id=held.entry.id, cost=600))
    clock[0] = NOON
    with pytest.raises(BudgetExceeded):
        await desk.reserve(call(), 1, ANNA)
    clock[0] = NOON + 86_400
    with pytest.raises(BudgetExceeded):
        await desk.reserve(call(), 401, ANNA)


async def test_so_many_calls_are_made_in_any_hour_and_no_more(database: Database) -> None:
    desk = budgets(database, Rule("all", calls_per_hour=3))
    for _ in range(3):
        held = await desk.reserve(call(), 1, ANNA)
        await desk.settle(held, call(id=held.entry.id, cost=1))
    with pytest.raises(ApiCallsExceeded) as caught:
        await desk.reserve(call(), 1, ANNA)
    assert 3500 < (caught.value.retry_after_s or 0) <= 3600

    def age(connection: Connection) -> None:
        older = budget_calls.update().values(at=budget_calls.c.at - 3599)
        connection.execute(older)

    await database.write(age)
    with pytest.raises(ApiCallsExceeded) as caught:
        await desk.reserve(call(), 1, ANNA)
    assert (caught.value.retry_after_s or 0) <= 1
    await database.write(age)
    await desk.reserve(call(), 1, ANNA)


async def test_a_clock_that_was_a_year_ahead_holds_nothing_for_a_year(database: Database) -> None:
    desk, dead = (budgets(database, Rule("all", day=1000, calls_per_hour=2)) for _ in range(2))
    await dead.reserve(call(), 1000, ANNA)
    year = 365 * 86_400

    def wrong(connection: Connection) -> None:
        connection.execute(budget_calls.update().values(at=budget_calls.c.at + year))
        connection.execute(budget_holders.update().values(until=budget_holders.c.until + year))

    await database.write(wrong)
    await desk.beat()
    assert await desk.beat() == 1
    assert (await spending(database))["all", TODAY] == (1000, 0)

    def age(connection: Connection) -> None:
        connection.execute(budget_calls.update().values(at=budget_calls.c.at - 3601))

    assert await count(database, budget_calls) == 1
    await database.write(age)
    await desk.beat()
    assert await count(database, budget_calls) == 0


# ── who leaves in the middle ────────────────────────────────────────────────


async def kill(database: Database, desk: Budgets) -> None:
    """The server ends without a word, and its time is over."""

    await database.write(
        lambda connection: connection.execute(
            budget_holders.update().where(budget_holders.c.id == desk._id).values(until=0)
        )
    )


async def test_what_a_dead_server_reserved_is_charged_in_full_and_kept_as_lost(
    database: Database,
) -> None:
    dead, alive = (budgets(database, Rule("all", day=1000)) for _ in range(2))
    await dead.reserve(call(), 400, ANNA)
    assert await alive.beat() == 0
    await kill(database, dead)
    assert await alive.beat() == 1
    assert await alive.beat() == 0
    assert (await spending(database))["all", "2026-11-23"] == (400, 0)
    (kept,) = await rows(database, usage)
    assert (kept.cost, kept.cost_by, kept.outcome) == (400, "bound", "lost")


async def test_what_the_dead_hold_refuses_nobody(database: Database) -> None:
    dead, alive = (budgets(database, Rule("all", calls_per_hour=5, day=1000)) for _ in range(2))
    # A bound of nothing, so that the sweep frees all.
    held = await dead.reserve(call(), 0, ANNA)
    await kill(database, dead)
    await alive.reserve(call(), 1000, ANNA)
    with pytest.raises(BudgetExceeded):
        await alive.reserve(call(), 1, ANNA)
    (lost,) = await rows(database, usage)
    assert lost.id == held.entry.id


async def test_a_server_that_was_only_slow_charges_what_it_really_cost(database: Database) -> None:
    slow, other = (budgets(database, Rule("all", day=1000)) for _ in range(2))
    held = await slow.reserve(call(), 400, ANNA)
    gone = await slow.reserve(call(), 300, ANNA)
    await kill(database, slow)
    assert await other.beat() == 2
    assert (await spending(database))["all", "2026-11-23"] == (700, 0)
    await slow.settle(held, call(id=held.entry.id, cost=150, cost_by="prices"))
    await slow.release(gone)
    assert (await spending(database))["all", "2026-11-23"] == (150, 0)
    (kept,) = await rows(database, usage)
    assert (kept.cost, kept.outcome) == (150, "ok")


async def test_a_caller_that_leaves_while_it_is_reserved_for_leaves_nothing(
    database: Database,
) -> None:
    desk = budgets(database, Rule("all", day=100_000, calls_per_hour=1000))
    await desk.standings([])
    for turns in range(25):
        asking = asyncio.create_task(desk.reserve(call(), 10, ANNA))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await desk.release(await asking)
    await desk.close()
    assert (await spending(database))["all", "2026-11-23"] == (0, 0)
    assert await count(database, budget_reservations) == 0
    assert await count(database, budget_calls) == 0


async def test_a_caller_that_leaves_while_it_is_settled_is_charged(database: Database) -> None:
    desk = budgets(database, Rule("all", day=1000))
    held = await desk.reserve(call(), 400, ANNA)
    settling = asyncio.create_task(desk.settle(held, call(id=held.entry.id, cost=150)))
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.wait({settling})
    await desk.close()
    assert (await spending(database))["all", "2026-11-23"] == (150, 0)


async def test_what_ends_while_the_database_is_away_is_settled_from_the_journal(
    database: Database, tmp_path: Path
) -> None:
    away = False

    async def opened() -> Database:
        if away:
            raise DatabaseError("It does not answer.")
        return database

    ledger = Ledger(opened, tmp_path / "usage")
    desk = Budgets(opened, [Rule("all", day=1000)], ledger.put_aside, calendar=AT_NOON)
    held, unused = [await desk.reserve(call(), 400, ANNA) for _ in range(2)]
    away = True
    await desk.settle(held, call(id=held.entry.id, cost=150))
    await desk.release(unused)
    away = False
    assert (await spending(database))["all", "2026-11-23"] == (0, 800)
    await ledger.flush()
    await desk.beat()
    assert (await spending(database))["all", "2026-11-23"] == (150, 0)
    assert await count(database, usage) == 1
    await ledger.close()


async def test_without_a_database_calls_are_made_that_no_budget_is_over_and_no_others(
    database: Database, tmp_path: Path
) -> None:
    away = True

    async def opened() -> Database:
        if away:
            raise DatabaseError("It does not answer.")
        return database

    ledger = Ledger(opened, tmp_path / "usage")
    rule = Rule("key:laptop", day=1000)
    desk = Budgets(opened, [rule], ledger.put_aside, calendar=AT_NOON)
    with pytest.raises(DatabaseError):
        await desk.reserve(call(), 400, ANNA)
    held = await desk.reserve(call(), 400, Spender("binh"))
    await desk.settle(held, call(id=held.entry.id, cost=150))
    away = False
    await ledger.flush()
    (kept,) = await rows(database, usage)
    assert kept.cost == 150
    await ledger.close()


# ── all at once ─────────────────────────────────────────────────────────────


@pytest.fixture
async def servers(database: Database) -> AsyncIterator[list[Database]]:
    """Three servers' ways to one database."""
    others = [open_database(load()) for _ in range(2)]
    yield [database, *others]
    for one in others:
        await one.close()


class Storm:
    """Hundreds of calls by several servers, which end in every way there is."""

    limit = 12_000
    most = 300  # that one call can cost

    def __init__(self, databases: list[Database], seed: int) -> None:
        self.chance = random.Random(seed)
        self.databases = databases
        self.rules = (
            Rule("all", day=self.limit, month=10 * self.limit),
            Rule("key:*", day=self.limit * 2 // 3),
            Rule("user:anna", calls_per_hour=150),
            Rule(f"model:{MODEL}", month=self.limit * 4 // 5),
        )
        self.desks = [self.desk() for _ in range(6)]
        self.refused = self.asked = 0

    def desk(self) -> Budgets:
        return budgets(self.chance.choice(self.databases), *self.rules)

    async def one(self) -> None:
        chance = self.chance
        desk, who = chance.choice(self.desks), self.who()
        bound = chance.randint(1, self.most)
        model = chance.choice([MODEL, "x-ai/grok-4-fast"])
        await asyncio.sleep(chance.random() * 0.2)
        draft = call(owner=who.user, key=who.key, model=model)
        asking = asyncio.create_task(desk.reserve(draft, bound, who))
        if chance.random() < 0.15:
            await asyncio.sleep(chance.random() * 0.01)
            asking.cancel()
        try:
            held = await asking
        except BudgetExceeded:
            self.refused += 1
            return
        except asyncio.CancelledError:
            return
        self.asked += 1
        await self.end(desk, held)

    async def end(self, desk: Budgets, held: Reservation) -> None:
        chance = self.chance
        entry, bound = held.entry, held.bound or 0
        await asyncio.sleep(chance.random() * 0.05)
        way = chance.random()
        if way < 0.1:
            await desk.release(held)
        elif way < 0.2:
            await desk.settle(held, call(id=entry.id, model=entry.model, outcome="failed"))
        elif way < 0.3:
            await desk.settle(held, call(id=entry.id, model=entry.model, outcome="cut"))
        elif way < 0.4:
            return  # whoever had it was killed; or so slow that it says nothing any more
        elif way < 0.5:
            done = call(id=entry.id, model=entry.model, cost=chance.randint(0, bound))
            settling = asyncio.create_task(desk.settle(held, done))
            await asyncio.sleep(chance.random() * 0.005)
            settling.cancel()
            await asyncio.wait({settling})
        else:
            done = call(id=entry.id, model=entry.model, cost=chance.randint(0, bound))
            await desk.settle(held, done)
            if chance.random() < 0.2:
                await desk.settle(held, done)

    def who(self) -> Spender:
        name = self.chance.choice(["anna", "binh"])
        return Spender(name, f"key:{name}-{self.chance.randint(1, 2)}", name)

    async def killing(self, database: Database) -> None:
        """Now and then a server is taken for dead; some are, and others come."""
        for _ in range(8):
            await asyncio.sleep(0.05)
            place = self.chance.randrange(len(self.desks))
            await kill(database, self.desks[place])
            if self.chance.random() < 0.5:
                self.desks[place] = self.desk()
            await self.chance.choice(self.desks).beat()

    async def watching(self, database: Database, seen: list[int]) -> None:
        while True:
            for place, (spent, reserved) in (await spending(database)).items():
                assert spent + reserved <= self.limit_of(place), place
                assert spent >= 0
                assert reserved >= 0
                seen.append(spent + reserved)
            await asyncio.sleep(0.01)

    def limit_of(self, place: tuple[str, str]) -> int:
        scope, period = place
        length = len(period)
        limits = {
            ("all", 10): self.limit,
            ("all", 7): 10 * self.limit,
            ("key", 10): self.limit * 2 // 3,
            ("mod", 7): self.limit * 4 // 5,
        }
        return limits.get((scope[:3], length), 0)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.heavy)])
async def test_no_storm_of_calls_overruns_a_budget_or_leaks_of_it(
    servers: list[Database], seed: int
) -> None:
    database = servers[0]
    storm = Storm(servers, seed)
    seen: list[int] = []
    watching = asyncio.create_task(storm.watching(database, seen))
    killing = asyncio.create_task(storm.killing(database))
    await asyncio.gather(*(storm.one() for _ in range(400)))
    await killing
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    for desk in set(storm.desks):
        await desk.close()
    # All servers are gone; whoever comes charges what they left.
    last = budgets(database, *storm.rules)
    await database.write(
        lambda connection: connection.execute(budget_holders.update().values(until=0))
    )
    await last.beat()
    stands = await spending(database)
    assert all(reserved == 0 for _, reserved in stands.values())
    kept = await rows(database, usage)
    assert stands["all", TODAY][0] == sum(one.cost for one in kept)
    of_model = [one.cost for one in kept if one.model == MODEL]
    assert stands[f"model:{MODEL}", "2026-11"][0] == sum(of_model)
    for place, (spent, _) in stands.items():
        assert spent <= storm.limit_of(place) or not storm.limit_of(place)
    ends = [one.outcome for one in kept]
    print("reserved, refused, looks:", storm.asked, storm.refused, len(seen))
    print("ends:", {end: ends.count(end) for end in sorted(set(ends))})
    print("limit, most taken, spent:", storm.limit, max(seen), stands["all", TODAY][0])
    # It was a storm: the budget was in the way, and was used.
    assert storm.refused > 20
    assert storm.asked > 40
    assert max(seen) > storm.limit * 0.8
