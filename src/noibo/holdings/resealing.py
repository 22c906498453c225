"""Writes again what is stored, so that all of it is sealed by the key of today, or none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database import schema
from noibo.database.database import Database
from noibo.holdings.places import TEXTS, Texts

_AT_A_TIME: Final = 200


async def reseal_rows(database: Database, tell: Callable[[str, int], None]) -> None:
    """All rows with texts, some in each transaction: a server goes on meanwhile, and after a kill
    the rest is done by doing it again. `tell` is told how many of each kind."""
    for texts in TEXTS:
        after: tuple[Any, ...] | None = None
        count = 0
        while True:
            done = await database.write(_step(texts, after))
            count += len(done)
            if len(done) < _AT_A_TIME:
                break
            after = done[-1]
        tell(texts.kind, count)


async def file_names(database: Database) -> list[str]:
    """All files."""

    def read(connection: Connection) -> list[str]:
        return list(connection.execute(sa.select(schema.files.c.id)).scalars())

    return await database.read(read)


def _step(
    texts: Texts, after: tuple[Any, ...] | None
) -> Callable[[Connection], list[tuple[Any, ...]]]:
    """Write the rows after a key again; their keys."""

    def write(connection: Connection) -> list[tuple[Any, ...]]:
        names = (*texts.columns, *texts.packed)
        columns = [texts.table.c[name] for name in names]
        asked = sa.select(*texts.key, *columns).order_by(*texts.key).limit(_AT_A_TIME)
        if after is not None:
            asked = asked.where(sa.tuple_(*texts.key) > sa.tuple_(*map(sa.literal, after)))
        done = []
        for row in connection.execute(asked).all():
            key = tuple(getattr(row, column.name) for column in texts.key)
            mine = sa.and_(*(c == one for c, one in zip(texts.key, key, strict=True)))
            values = {name: getattr(row, name) for name in names}
            connection.execute(texts.table.update().where(mine).values(**values))
            done.append(key)
        return done

    return write
