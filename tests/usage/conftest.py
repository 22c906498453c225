"""A database for each test in which nothing was spent yet."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from noibo.database import schema
from noibo.database.database import Database

_OURS = (
    schema.usage,
    schema.budget_spending,
    schema.budget_calls,
    schema.budget_reservations,
    schema.budget_holders,
)


@pytest.fixture
async def database(database: Database) -> Database:
    """Each kind of database. A PostgreSQL server is shared by the tests of a module."""

    def empty(connection: Connection) -> None:
        for table in _OURS:
            connection.execute(table.delete())

    await database.write(empty)
    return database
