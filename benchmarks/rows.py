"""What a row of usage costs: on the way of an answer, and off it, as the ledger grows.

Processor's time, so that what else the machine does counts little. A line of the journal that is
written by one bare call of the system is beside it, as the floor.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measuring import table
from noibo.assembly import open_database
from noibo.database.database import Database
from noibo.settings import load
from noibo.usage.entry import new_id
from noibo.usage.ledger import Ledger

ROWS, ROUNDS = 10_000, 6  # as many as two thousand answers a second leave in five seconds


def fields() -> dict[str, Any]:
    """What is told of an answer that a model of this machine gave."""
    return {
        "id": new_id(),
        "request": f"req_{secrets.token_hex(12)}",
        "at": time.time(),
        "owner": "local",
        "model": "smollm2:135m",
        "asked": "smollm2:135m",
        "total_ms": 812,
        "tokens": {"input": 130, "cached": 96, "output": 64},
        "first_ms": 61,
        "key": "key:0123456789",
    }


def _each_us(work: Callable[[dict[str, Any]], object], told: list[dict[str, Any]]) -> float:
    began = time.process_time()
    for one in told:
        work(one)
    return (time.process_time() - began) / len(told) * 1e6


async def measure(folder: Path) -> list[dict[str, float]]:
    database = open_database(load(environ={"NOIBO_HOME": str(folder)}))

    async def opened() -> Database:
        return database

    ledger, found = Ledger(opened, folder / "usage"), []
    bare = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for turn in range(ROUNDS):
        told = [fields() for _ in range(ROWS)]
        noted = _each_us(ledger.note, told)
        floor = _each_us(lambda _: os.write(bare, b"x" * 230), told)
        began = time.process_time()
        await ledger.flush()
        brought = (time.process_time() - began) / ROWS * 1e6
        kept = (turn + 1) * ROWS
        found.append({"rows": kept, "note_us": noted, "bare_us": floor, "bring_us": brought})
    os.close(bare)
    await ledger.close()
    await database.close()
    return found


def run() -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder)))
    table([["rows", "note µs", "bare write µs", "bring µs"], *([*one.values()] for one in found)])
    return found
