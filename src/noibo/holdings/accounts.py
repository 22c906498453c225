"""Users and keys that are called after somebody.

A key's name is a note to people and can be blanked. A user's is what everything of theirs hangs by:
it goes with them (`erasing.erase_owner`), and until then it is said that it stands there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database import schema
from noibo.holdings.finding import Hit
from noibo.holdings.wanted import Wanted

KEY, USER = "key", "user"  # kinds of hits


def called_after(connection: Connection, wanted: Wanted) -> Iterator[Hit]:
    """The keys and users whose names say somebody's."""
    keys, users = schema.api_keys, schema.users
    for row in connection.execute(sa.select(keys.c.id, keys.c.name, keys.c.owner)):
        if wanted.within(row.name):
            yield Hit(KEY, (row.id,), row.owner, ("name",), wanted.excerpt(row.name))
    for name in connection.execute(sa.select(users.c.name)).scalars():
        if wanted.within(name):
            yield Hit(USER, (name,), name, ("name",), wanted.excerpt(name))


def blank_keys(connection: Connection, hits: Iterable[Hit], wanted: Wanted) -> int:
    """Take somebody out of the names of keys, which go on holding; how many there were."""
    table, count = schema.api_keys, 0
    for hit in hits:
        if hit.kind != KEY:
            continue
        mine = table.c.id == hit.key[0]
        name = connection.execute(sa.select(table.c.name).where(mine)).scalar()
        if name is not None and wanted.within(name):
            connection.execute(table.update().where(mine).values(name=wanted.blank(name)))
            count += 1
    if count:
        seen = schema.access_version
        connection.execute(seen.update().values(version=seen.c.version + 1))
    return count
