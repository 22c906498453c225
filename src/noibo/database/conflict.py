"""A row that may be there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key is there, whoever wrote it and when. True: inserted."""
    made: Any
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        made = postgresql.insert(table)
    else:
        from sqlalchemy.dialects import sqlite

        made = sqlite.insert(table)
    return bool(connection.execute(made.values(**row).on_conflict_do_nothing()).rowcount)
