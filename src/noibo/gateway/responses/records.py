"""Responses in the database: kept, ended once, found again by their owner, swept away.

Where a response stands is the column `status`, and it changes only from what it was: of a worker
that finishes, a caller who cancels and one who deletes, the first wins, whichever server they ask.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.database import Database
from noibo.database.schema import response_items, responses
from noibo.errors import NotFound
from noibo.gateway.page import Page
from noibo.gateway.responses.history import read_history, read_items, read_made_with
from noibo.gateway.responses.standing import RUNNING, runs, standing
from noibo.wire.body import Json
from noibo.wire.ids import is_id
from noibo.wire.responses.budget import Budget

_AT_ONCE: Final = 200  # responses that are swept away in one transaction
_LOST: Final = {
    "code": "server_error",
    "message": "The server stopped before this response was finished.",
}


class ResponseRecords:
    """All responses. Every question of a caller names an owner; what is another's is not found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def require(self) -> None:
        """Raise what keeps responses from being kept, as far as that can be known before."""
        await self._database.write(lambda connection: None)

    async def add(self, owner: str, response: Json, items: Sequence[Json]) -> None:
        """Write a new response and its input down."""
        name = response["id"]

        def write(connection: Connection) -> None:
            made = {"id": name, "owner": owner, "created_at": time.time(), **_row(response)}
            rows = _item_rows(owner, name, items, 0)
            rows += _item_rows(owner, name, response["output"], len(items), is_output=True)
            connection.execute(responses.insert().values(**made))
            if rows:
                connection.execute(response_items.insert(), rows)

        await self._database.write(write)

    async def finish(self, response: Json, events: bytes) -> bool:
        """How one in the background ended, with its stream; once. False, and nothing is written: it
        was cancelled or deleted before. One that another server cancelled gets what it had."""
        name = response["id"]
        before = responses.c.status.in_((*RUNNING, response["status"]))

        def write(connection: Connection) -> bool:
            mine = (responses.c.id == name, before, responses.c.events.is_(None))
            row = _row(response) | {"events": zlib.compress(events, 1)}
            change = responses.update().where(*mine).values(**row)
            if not connection.execute(change).rowcount:
                return False
            here = response_items.c.response_id == name
            count = sa.select(sa.func.count()).select_from(response_items).where(here)
            place = connection.execute(count).scalar_one()
            owner = connection.execute(
                sa.select(responses.c.owner).where(responses.c.id == name)
            ).scalar_one()  # its user may be gone
            if rows := _item_rows(owner, name, response["output"], place, is_output=True):
                connection.execute(response_items.insert(), rows)
            return True

        return await self._database.write(write)

    async def cancel(self, owner: str, name: str) -> None:
        """Cancel one that another server works on, or none. One that has ended stays so."""
        mine = (responses.c.id == name, responses.c.owner == owner)
        await self._write(responses.update().where(*mine, runs()).values(status="cancelled"))

    async def seen(self, name: str, status: str) -> str:
        """Say that it is worked on, and how far it is; gives what it is now, which others may have
        changed. That it has ended is not said here: `finish` does, with its end."""
        now = {"seen_at": time.time()} | ({"status": status} if status in RUNNING else {})

        def write(connection: Connection) -> str:
            mine = responses.c.id == name
            works = responses.update().where(mine, responses.c.status.in_(RUNNING))
            connection.execute(works.values(**now))
            found = connection.execute(sa.select(responses.c.status).where(mine)).scalar()
            return str(found or "deleted")

        return await self._database.write(write)

    async def delete(self, owner: str, name: str) -> None:
        """Forget a response and its items."""
        mine = (responses.c.id == name, responses.c.owner == owner)
        if not is_id(name) or not await self._write(responses.delete().where(*mine)):
            raise _unknown(name)

    async def get(self, owner: str, name: str) -> Json:
        """One response."""

        def read(connection: Connection) -> Json:
            row = _mine(connection, owner, name)
            now = {"status": standing(row), "output": _items(connection, name, is_output=True)}
            kept: Json = msgspec.json.decode(row.body)
            return kept | now

        found = await self._database.read(read)
        if found["status"] == "failed" and found.get("error") is None:
            found["error"] = _LOST
        return found

    async def events(self, owner: str, name: str) -> bytes | None:
        """The stream of one that was in the background and has ended."""

        def read(connection: Connection) -> bytes | None:
            packed = _mine(connection, owner, name).events
            return None if packed is None else zlib.decompress(packed)

        return await self._database.read(read)

    async def input_items(self, owner: str, name: str, page: Page) -> Json:
        """The items that a response was given, page by page."""

        def read(connection: Connection) -> list[Json]:
            _mine(connection, owner, name)
            return _items(connection, name, is_output=False)

        return page.of_all(await self._database.read(read))

    async def history(self, owner: str, last: str, budget: Budget) -> list[Json]:
        """All that was said up to and with a response. Raises `InvalidRequest` where a part of it
        is not here, or it is too long."""
        return await self._database.read(lambda found: read_history(found, owner, last, budget))

    async def items(self, owner: str, wanted: Sequence[str], budget: Budget) -> dict[str, Json]:
        """Items by their ids, of whichever response; those that are there."""
        return await self._database.read(lambda found: read_items(found, owner, wanted, budget))

    async def made_with(self, owner: str, wanted: Sequence[str]) -> dict[str, Json]:
        """What is kept of the responses that gave items; of an item that none gave, those that
        were sent it. By their ids."""
        return await self._database.read(lambda found: read_made_with(found, owner, wanted))

    async def older_than(self, before: float) -> int:
        """How many were made before a time, and are not worked on."""
        old = responses.c.created_at < before, sa.not_(runs())
        asked = sa.select(sa.func.count()).select_from(responses).where(*old)
        return await self._database.read(lambda found: int(found.execute(asked).scalar_one()))

    async def forget(self, older_than_s: float) -> int:
        """Take away what was made longer ago than that, some at a time. Not what is worked on. How
        many that were."""
        old = (
            sa.select(responses.c.id)
            .where(responses.c.created_at < time.time() - older_than_s, sa.not_(runs()))
            .limit(_AT_ONCE)
        )
        count = 0
        while gone := await self._write(responses.delete().where(responses.c.id.in_(old))):
            count += gone
        return count

    async def _write(self, change: sa.Update | sa.Delete) -> int:
        """How many rows it changed. Items go with their response."""
        return await self._database.write(lambda found: found.execute(change).rowcount)


def _row(response: Json) -> Json:
    head = {k: v for k, v in response.items() if k != "output"}
    return {
        "status": head["status"],
        "previous_id": head["previous_response_id"],
        "seen_at": time.time(),
        "body": _text(head),
    }


def _item_rows(
    owner: str, name: str, items: Sequence[Json], place: int, *, is_output: bool = False
) -> list[Json]:
    return [
        {
            "response_id": name,
            "place": place + number,
            "id": item["id"],
            "owner": owner,
            "is_output": is_output,
            "body": _text(item),
        }
        for number, item in enumerate(items)
    ]


def _mine(connection: Connection, owner: str, name: str) -> Any:
    """Its row. Raises `NotFound`."""
    if is_id(name):
        mine = (responses.c.id == name, responses.c.owner == owner)
        if row := connection.execute(sa.select(responses).where(*mine)).one_or_none():
            return row
    raise _unknown(name)


def _items(connection: Connection, name: str, *, is_output: bool) -> list[Json]:
    asked = sa.select(response_items.c.body).where(
        response_items.c.response_id == name, response_items.c.is_output == is_output
    )
    rows = connection.execute(asked.order_by(response_items.c.place))
    return [msgspec.json.decode(row.body) for row in rows]


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"There is no response {name[:80]!r}.",
        next_step="Responses are kept for server.keep_responses_days, unless they were made with"
        " store: false or deleted.",
    )
