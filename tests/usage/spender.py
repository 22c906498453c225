"""A server that spends: run by tests as a process of its own, until it is killed.

What a provider would bill it is written to a file the moment a call is answered, before anything is
settled: that is the truth which budgets are held against.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import sys

from noibo.assembly import open_database
from noibo.errors import BudgetExceeded
from noibo.settings import load
from noibo.usage.budgets import Budgets
from noibo.usage.ledger import Ledger
from noibo.usage.periods import Calendar
from noibo.usage.rules import Rule, Spender
from tests.usage.calls import call, opening

LIMIT = 14_000
MOST = 400  # that one call can cost
CALLERS = 20
LASTS_S = 1.0  # a reservation, without a word of its server
RULES = (Rule("all", day=LIMIT), Rule("key:*", day=LIMIT // 2))
CALENDAR = Calendar(datetime.UTC, lambda: 1_795_435_200.0)


async def _spend(desk: Budgets, chance: random.Random, bill: int) -> None:
    while True:
        bound = chance.randint(1, MOST)
        who = Spender("anna", f"key:{chance.randint(1, 3)}")
        try:
            held = await desk.reserve(call(key=who.key), bound, who)
        except BudgetExceeded:
            await asyncio.sleep(0.02)
            continue
        await asyncio.sleep(chance.random() * 0.02)
        if chance.random() < 0.1:
            await desk.release(held)
            continue
        cost = chance.randint(0, bound)
        os.write(bill, f"{held.entry.id} {cost} {bound}\n".encode())
        await asyncio.sleep(chance.random() * 0.02)
        await desk.settle(held, call(id=held.entry.id, key=who.key, cost=cost, cost_by="prices"))


async def main(bill_file: str, seed: int) -> None:
    database = open_database(load())
    ledger = Ledger(opening(database), load().home / "usage")
    desk = Budgets(opening(database), RULES, ledger.put_aside, calendar=CALENDAR, lasts_s=LASTS_S)
    bill = os.open(bill_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    chance = random.Random(seed)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run())
        for _ in range(CALLERS):
            tasks.create_task(_spend(desk, chance, bill))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
