"""Responses in the database: kept, found again by their owner, and put together into a history."""

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
from noibo.errors import InvalidRequest, NotFound, PreviousResponseNotFound
from noibo.gateway.page import Page
from noibo.wire.body import Json
from noibo.wire.ids import is_id

STALE_S: Final = 30.0  # a server that works on a response says so more often
LONGEST_HISTORY: Final = 10_000  # responses
RUNNING: Final = ("queued", "in_progress")


class ResponseRecords:
    """All responses. Every question names an owner; what is another's is not found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def require(self) -> None:
        """Raise what keeps responses from being kept, as far as that can be known before."""
        await self._database.write(lambda connection: None)

    async def keep(self, owner: str, response: Json, items: Sequence[Json]) -> None:
        """Write a response and its input down; or down again, if it was in the background."""
        name = response["id"]
        row = _row(response)
        rows = _item_rows(owner, name, items, response["output"])

        def write(connection: Connection) -> None:
            mine = responses.c.id == name
            if connection.execute(responses.update().where(mine).values(**row)).rowcount:
                connection.execute(
                    response_items.delete().where(response_items.c.response_id == name)
                )
            else:
                made = {"id": name, "owner": owner, "created_at": time.time(), **row}
                connection.execute(responses.insert().values(**made))
            if rows:
                connection.execute(response_items.insert(), rows)

        await self._database.write(write)

    async def keep_events(self, name: str, events: bytes) -> None:
        """The stream of a response that ran in the background, to be asked for again."""
        packed = zlib.compress(events, 1)

        def write(connection: Connection) -> None:
            mine = responses.c.id == name
            connection.execute(responses.update().where(mine).values(events=packed))

        await self._database.write(write)

    async def get(self, owner: str, name: str) -> Json:
        """One response. Of a server that is gone and left it unfinished, it has failed."""

        def read(connection: Connection) -> tuple[Any, list[Json]]:
            row = connection.execute(_mine(owner, name)).one_or_none()
            return row, _items(connection, name, is_output=True) if row else []

        row, output = await self._database.read(read)
        if row is None:
            raise _unknown(name)
        found = msgspec.json.decode(row.body)
        if row.status in RUNNING and time.time() - row.seen_at > STALE_S:
            message = "The server stopped before this response was finished."
            found |= {
                "status": "failed",
                "error": {"code": "server_error", "message": message},
            }
        return {**found, "output": output}

    async def events(self, owner: str, name: str) -> bytes | None:
        """The stream of one that was in the background and has ended."""

        def read(connection: Connection) -> Any:
            return connection.execute(_mine(owner, name)).one_or_none()

        row = await self._database.read(read)
        if row is None:
            raise _unknown(name)
        return None if row.events is None else zlib.decompress(row.events)

    async def input_items(self, owner: str, name: str, page: Page) -> Json:
        """The items that a response was given, page by page."""

        def read(connection: Connection) -> list[Json] | None:
            if connection.execute(_mine(owner, name)).one_or_none() is None:
                return None
            return _items(connection, name, is_output=False)

        found = await self._database.read(read)
        if found is None:
            raise _unknown(name)
        return page.of_all(found)

    async def delete(self, owner: str, name: str) -> None:
        """Forget a response and its items."""

        def write(connection: Connection) -> int:
            mine = (responses.c.id == name, responses.c.owner == owner)
            if connection.execute(sa.select(responses.c.id).where(*mine)).one_or_none() is None:
                return 0
            connection.execute(response_items.delete().where(response_items.c.response_id == name))
            return connection.execute(responses.delete().where(*mine)).rowcount

        if not is_id(name) or not await self._database.write(write):
            raise _unknown(name)

    async def history(self, owner: str, last: str) -> list[Json]:
        """All that was said up to and with a response, from the beginning. Raises `InvalidRequest`
        where a part of it is not here."""
        found = await self._database.read(lambda connection: _chain(connection, owner, last))
        if not found:
            raise PreviousResponseNotFound(
                f"Previous response with id '{last}' not found.",
                param="previous_response_id",
                next_step="It was not stored (store: false), or was deleted: send its items.",
            )
        if found[0].previous_id is not None:
            raise PreviousResponseNotFound(
                f"Response {found[0].previous_id}, on which '{last}' builds, is not here any more.",
                param="previous_response_id",
                next_step="Send the items of the conversation as input.",
            )
        if found[-1].status in RUNNING:
            raise InvalidRequest(
                f"Response {last} is not finished.",
                param="previous_response_id",
                next_step=f"Wait for it: GET /v1/responses/{last}.",
            )

        def read(connection: Connection) -> list[Json]:
            return [item for row in found for item in _items(connection, row.id)]

        return await self._database.read(read)

    async def items(self, owner: str, wanted: Sequence[str]) -> dict[str, Json]:
        """Items by their ids, of whichever response. Raises `InvalidRequest` for one unknown."""

        def read(connection: Connection) -> dict[str, Json]:
            rows = connection.execute(
                sa.select(response_items.c.id, response_items.c.body).where(
                    response_items.c.owner == owner, response_items.c.id.in_(wanted)
                )
            )
            return {row.id: msgspec.json.decode(row.body) for row in rows}

        found = await self._database.read(read) if wanted else {}
        for name in wanted:
            if name not in found:
                raise InvalidRequest(f"Item with id '{name}' not found.", param="input")
        return found

    async def seen(self, name: str) -> str:
        """Say that it is worked on; gives its status, which another server may have changed."""

        def write(connection: Connection) -> str:
            mine = responses.c.id == name
            connection.execute(responses.update().where(mine).values(seen_at=time.time()))
            found = connection.execute(sa.select(responses.c.status).where(mine)).scalar()
            return str(found or "deleted")

        return await self._database.write(write)

    async def mark(self, owner: str, name: str, status: str) -> None:
        """Another status: of a response that another server works on, or none."""
        found = await self.get(owner, name)
        head = {k: v for k, v in found.items() if k != "output"} | {"status": status}

        def write(connection: Connection) -> None:
            connection.execute(
                responses.update()
                .where(responses.c.id == name, responses.c.owner == owner)
                .values(status=status, body=_text(head))
            )

        await self._database.write(write)


def _row(response: Json) -> Json:
    head = {k: v for k, v in response.items() if k != "output"}
    return {
        "status": head["status"],
        "previous_id": head["previous_response_id"],
        "seen_at": time.time(),
        "body": _text(head),
    }


def _item_rows(owner: str, name: str, items: Sequence[Json], output: Sequence[Json]) -> list[Json]:
    told = [(one, False) for one in items] + [(one, True) for one in output]
    return [
        {
            "response_id": name,
            "place": place,
            "id": item["id"],
            "owner": owner,
            "is_output": is_output,
            "body": _text(item),
        }
        for place, (item, is_output) in enumerate(told)
    ]


def _chain(connection: Connection, owner: str, last: str) -> Sequence[Any]:
    """The responses of one conversation, the first first."""
    columns = (responses.c.id, responses.c.previous_id, responses.c.status)
    newest = (
        sa.select(*columns, sa.literal(0).label("age"))
        .where(responses.c.id == last, responses.c.owner == owner)
        .cte("chain", recursive=True)
    )
    chain = newest.union_all(
        sa.select(*columns, newest.c.age + 1).where(
            responses.c.id == newest.c.previous_id,
            responses.c.owner == owner,
            newest.c.age < LONGEST_HISTORY,
        )
    )
    return connection.execute(sa.select(chain).order_by(chain.c.age.desc())).all()


def _mine(owner: str, name: str) -> Any:
    possible = name if is_id(name) else ""
    return sa.select(responses).where(responses.c.id == possible, responses.c.owner == owner)


def _items(connection: Connection, name: str, is_output: bool | None = None) -> list[Json]:
    asked = sa.select(response_items.c.body).where(response_items.c.response_id == name)
    if is_output is not None:
        asked = asked.where(response_items.c.is_output == is_output)
    rows = connection.execute(asked.order_by(response_items.c.place))
    return [msgspec.json.decode(row.body) for row in rows]


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"There is no response {name[:80]!r}.",
        next_step="Responses are kept unless they were made with store: false.",
    )
