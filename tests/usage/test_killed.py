"""Servers that are killed in the middle spend no more than they may, and leave nothing reserved."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from noibo.database.database import Database
from noibo.usage.budgets import Budgets
from tests.usage import spender
from tests.usage.calls import budget_reservations, opening, rows, spending, usage

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]  # five processes, one after another
ROOT = Path(__file__).parent.parent.parent
SERVERS = 3
KILLS = 6


def start(bill: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.usage.spender", str(bill), str(seed)]
    return subprocess.Popen(command, cwd=ROOT)


def billed(bill: Path) -> dict[str, tuple[int, int]]:
    """What each call really cost, and could have, by the provider's word."""
    if not bill.exists():
        return {}
    lines = [line.split() for line in bill.read_text().splitlines()]
    return {name: (int(cost), int(bound)) for name, cost, bound in lines}


async def until(bill: Path, calls: int, patience_s: float = 1.5) -> None:
    """So many calls were billed, or the budget has room for no more."""
    while not billed(bill):
        await asyncio.sleep(0.01)
    deadline = time.monotonic() + patience_s
    while len(billed(bill)) < calls and time.monotonic() < deadline:
        await asyncio.sleep(0.01)


async def test_killed_servers_overrun_no_budget_and_leak_nothing(
    database: Database, tmp_path: Path
) -> None:
    bill, chance = tmp_path / "bill", random.Random(8)
    running = [start(bill, seed) for seed in range(SERVERS)]
    try:
        for kill in range(KILLS):
            await until(bill, (kill + 1) * 20)
            await asyncio.sleep(chance.random() * 0.1)
            victim = running.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            if kill < KILLS - SERVERS:
                running.append(start(bill, 100 + kill))
    finally:
        for one in running:
            one.kill()
            one.wait()
    desk = Budgets(opening(database), spender.RULES, lambda entry: None, calendar=spender.CALENDAR)
    await asyncio.sleep(spender.LASTS_S + 0.1)
    await desk.beat()
    stands, kept, truth = await spending(database), await rows(database, usage), billed(bill)
    spent, reserved = stands["all", "2026-11-23"]
    assert all(still == 0 for _, still in stands.values())
    assert reserved == 0
    assert spent == sum(one.cost for one in kept)
    assert spent <= spender.LIMIT
    # Every call that the provider bills is in the ledger, at what it cost or at the most it could.
    by_id = {one.id: one for one in kept}
    for name, (cost, bound) in truth.items():
        assert by_id[name].cost == (bound if by_id[name].outcome == "lost" else cost)
    lost = [one for one in kept if one.outcome == "lost"]
    assert 0 < len(lost) <= KILLS * spender.CALLERS
    assert {one.state for one in await rows(database, budget_reservations)} <= {"expired"}
    bills = sum(cost for cost, _ in truth.values())
    print("kills, billed, kept, lost:", KILLS, len(truth), len(kept), len(lost))
    print("limit, spent, billed:", spender.LIMIT, spent, bills)
    assert bills <= spent
    assert spent > spender.LIMIT / 2  # the budget was in the way
    for place, (one, _) in stands.items():
        assert place[0] == "all" or one <= spender.LIMIT // 2
    await desk.close()
