"""What tests of usage make: entries, databases beside each other, and what stands in them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.database import Database
from noibo.database.schema import budget_calls, budget_reservations, budget_spending, usage
from noibo.usage.entry import UsageEntry, new_id
from noibo.usage.tokens import Tokens

MODEL = "openai/gpt-4o-mini"


def call(**values: Any) -> UsageEntry:
    """A call of a model elsewhere."""
    said: dict[str, Any] = {
        "id": new_id(),
        "request": "req",
        "at": time.time(),
        "owner": "anna",
        "model": MODEL,
        "key": "key:k1",
        "local": False,
        "destination": "https://openrouter.ai",
        "tokens": Tokens(input=100, output=50),
        "total_ms": 900,
    }
    return UsageEntry(**said | values)


def local(**values: Any) -> UsageEntry:
    """A call of a model of this machine."""
    said: dict[str, Any] = {"local": True, "destination": "", "model": "smollm2:135m"}
    return call(**said | values)


def opening(database: Database) -> Callable[[], Awaitable[Database]]:
    """What gives a database that is open."""

    async def opened() -> Database:
        return database

    return opened


async def count(database: Database, table: sa.Table) -> int:
    def look(connection: Connection) -> int:
        asked = sa.select(sa.func.count()).select_from(table)
        return int(connection.execute(asked).scalar_one())

    return await database.read(look)


async def rows(database: Database, table: sa.Table) -> list[Any]:
    return list(await database.read(lambda connection: connection.execute(sa.select(table)).all()))


async def spending(database: Database) -> dict[tuple[str, str], tuple[int, int]]:
    """What is spent and reserved in each scope and period."""
    found = await rows(database, budget_spending)
    return {(one.scope, one.period): (one.spent, one.reserved) for one in found}


__all__ = [
    "MODEL",
    "budget_calls",
    "budget_reservations",
    "budget_spending",
    "call",
    "count",
    "local",
    "opening",
    "rows",
    "spending",
    "usage",
]
