"""A page of a table's rows, by the time they were made."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from noibo.gateway.page import Page
from noibo.wire.ids import is_id


def rows_of(
    connection: Connection, table: Table, page: Page, *where: sa.ColumnElement[bool]
) -> tuple[list[Any], bool]:
    """The rows, and whether there are more after them. Raises `InvalidRequest` for an unknown
    `after`."""
    place = (table.c.created_at, table.c.id)
    asked = sa.select(table).where(*where)
    if page.after is not None:
        name = page.after if is_id(page.after) else ""
        at = connection.execute(sa.select(*place).where(*where, table.c.id == name)).first()
        if at is None:
            raise page.unknown()
        mine, there = sa.tuple_(*place), sa.tuple_(sa.literal(at[0]), sa.literal(at[1]))
        asked = asked.where(mine > there if page.order == "asc" else mine < there)
    order = [one.asc() if page.order == "asc" else one.desc() for one in place]
    rows = list(connection.execute(asked.order_by(*order).limit(page.limit + 1)).all())
    return rows[: page.limit], len(rows) > page.limit
