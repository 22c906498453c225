"""Takes out what is kept of somebody. Each function is one transaction's work.

A name in what others stored is replaced where it stands, and their conversations stay; a packed
stream of events cannot be changed in its middle and goes as a whole. What a user stored goes
altogether; what their calls cost stays, as nobody's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database import schema
from noibo.errors import NameTaken
from noibo.holdings.finding import Hit, owner_is
from noibo.holdings.places import TEXTS, Texts
from noibo.holdings.wanted import Wanted

_ACTIVE: Final = ("validating", "in_progress", "finalizing", "cancelling")  # of batches


@dataclass(slots=True)
class Gone:
    """What was taken out: how many rows of each kind, and the files whose contents go now."""

    counts: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def add(self, kind: str, count: int) -> None:
        """Some more of a kind."""
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count


def blank(connection: Connection, hits: Iterable[Hit], wanted: Wanted) -> Gone:
    """Replace somebody in rows that name them, as these rows are now."""
    gone, by_kind = Gone(), {texts.kind: texts for texts in TEXTS}
    for hit in hits:
        texts = by_kind[hit.kind]
        mine = _is(texts, hit.key)
        row = connection.execute(sa.select(texts.table).where(mine)).one_or_none()
        if row is None:
            continue
        values = _blanked(texts, row, wanted)
        if values:
            connection.execute(texts.table.update().where(mine).values(**values))
            gone.add(hit.kind, 1)
        if hit.kind == "response_item":
            _drop_stream(connection, hit.key[0])
    return gone


def erase_owner(connection: Connection, name: str) -> Gone:
    """Take out all that a user or a key stored, and who they were. Raises `NameTaken` while a batch
    of theirs runs."""
    gone = Gone()
    _require_still(connection, name)
    batches = sa.select(schema.batches.c.id).where(owner_is(schema.batches.c.owner, name))
    results = schema.batch_results
    gone.add("batch_result", _run(connection, results.delete().where(
        results.c.batch_id.in_(batches))))  # fmt: skip
    items = schema.response_items
    gone.add("response_item", _run(connection, items.delete().where(owner_is(items.c.owner, name))))
    for kind, table in (("response", schema.responses), ("batch", schema.batches)):
        gone.add(kind, _run(connection, table.delete().where(owner_is(table.c.owner, name))))
    files = schema.files
    mine = owner_is(files.c.owner, name)
    gone.files = list(connection.execute(sa.select(files.c.id).where(mine)).scalars())
    # As when a file is deleted: first nobody sees it any more, then its content goes, then its row.
    connection.execute(files.update().where(mine).values(expires_at=0.0))
    gone.add("file", len(gone.files))
    _forget_who(connection, name, gone)
    return gone


def drop_files(connection: Connection, names: Iterable[str]) -> int:
    """The rows of files whose contents are gone."""
    wanted = list(names)
    files = schema.files
    return _run(connection, files.delete().where(files.c.id.in_(wanted))) if wanted else 0


def let_go(connection: Connection, names: Iterable[str]) -> list[str]:
    """Files that nobody is to see any more; those that a batch still reads stay."""
    files, batches = schema.files, schema.batches
    read = sa.select(batches.c.input_file_id).where(batches.c.status.in_(_ACTIVE))
    mine = files.c.id.in_(list(names)), files.c.id.not_in(read)
    found = list(connection.execute(sa.select(files.c.id).where(*mine)).scalars())
    connection.execute(files.update().where(files.c.id.in_(found)).values(expires_at=0.0))
    return found


def _forget_who(connection: Connection, name: str, gone: Gone) -> None:
    """Keys, sessions and the user; what their calls cost becomes nobody's."""
    keys, users, sessions = schema.api_keys, schema.users, schema.sessions
    theirs = sa.or_(keys.c.owner == name, sa.literal("key:") + keys.c.id == name)
    known = connection.execute(sa.select(keys.c.id).where(theirs)).scalars()
    asked = [f"key:{one}" for one in known]
    nobody = f"erased:{secrets.token_hex(6)}"
    usage = schema.usage
    whose = sa.or_(owner_is(usage.c.owner, name), usage.c.key.in_([*asked, f"user:{name}"]))
    gone.add("usage", _run(connection, usage.update().where(whose).values(
        owner=nobody, key=nobody)))  # fmt: skip
    scopes = [f"user:{name}", *asked]
    gone.add("reservation", _disown(connection, name, scopes, nobody))
    for table in (schema.budget_spending, schema.budget_calls):
        gone.add("budget", _run(connection, table.delete().where(table.c.scope.in_(scopes))))
    gone.add("key", _run(connection, keys.delete().where(theirs)))
    gone.add("session", _run(connection, sessions.delete().where(sessions.c.user == name)))
    gone.add("user", _run(connection, users.delete().where(users.c.name == name)))
    counted = schema.access_version.update()
    connection.execute(counted.values(version=schema.access_version.c.version + 1))


def _disown(connection: Connection, name: str, scopes: Iterable[str], nobody: str) -> int:
    """Calls that money is reserved for have their row of `usage` with them, and whose limits they
    count for: of a server that died, for a day."""
    table, whose = schema.budget_reservations, {name, *scopes}
    count = 0
    for row in connection.execute(sa.select(table.c.id, table.c.claims, table.c.entry)).all():
        entry, claims = msgspec.json.decode(row.entry), msgspec.json.decode(row.claims)
        mine = {key for key in ("owner", "key") if entry.get(key) in whose}
        kept = [claim for claim in claims if claim[0] not in whose]
        if not mine and len(kept) == len(claims):
            continue
        entry |= dict.fromkeys(("owner", "key") if mine else (), nobody)
        values = {"entry": entry, "claims": kept}
        said = {column: msgspec.json.encode(one).decode() for column, one in values.items()}
        connection.execute(table.update().where(table.c.id == row.id).values(**said))
        count += 1
    return count


def _require_still(connection: Connection, name: str) -> None:
    table = schema.batches
    running = sa.select(table.c.id).where(
        owner_is(table.c.owner, name), table.c.status.in_(_ACTIVE)
    )
    if batch := connection.execute(running.limit(1)).scalar():
        raise NameTaken(
            f"The batch {batch} of {name} still runs, and would store more.",
            next_step=f"Cancel it first: POST /v1/batches/{batch}/cancel.",
        )


def _blanked(texts: Texts, row: Any, wanted: Wanted) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column in texts.columns:
        value = texts.read(column, getattr(row, column))
        other = wanted.blank_json(value)
        if other != value:
            values[column] = msgspec.json.encode(other).decode()
    packed = ((one, getattr(row, one)) for one in texts.packed)
    for column, value in packed:
        if value is not None and (values or wanted.within_json(texts.read(column, value))):
            values[column] = None
    return values


def _drop_stream(connection: Connection, response: str) -> None:
    """The stream of a response says what its items say."""
    table = schema.responses
    mine = table.c.id == response, table.c.events.is_not(None)
    connection.execute(table.update().where(*mine).values(events=None))


def _is(texts: Texts, key: tuple[Any, ...]) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == one for column, one in zip(texts.key, key, strict=True)))


def _run(connection: Connection, change: sa.Update | sa.Delete) -> int:
    return int(connection.execute(change).rowcount)
