"""What was said before: the items of a chain of responses, and items by their ids.

A response that was cut off or cancelled stays in the conversation with what it said. A call whose
arguments it had not finished is no call. One that failed was no answer, and one that is not
finished, or not here any more, leaves a gap: nothing is built on these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.database.schema import response_items, responses
from noibo.errors import InvalidRequest, PreviousResponseNotFound
from noibo.gateway.responses.standing import RUNNING, standing
from noibo.wire.body import Json
from noibo.wire.responses.budget import MOST_ITEMS, Budget, weight

_AT_ONCE: Final = 100  # rows that are read before they are counted


def read_history(connection: Connection, owner: str, last: str, budget: Budget) -> list[Json]:
    """All that was said up to and with a response, from the beginning. Raises `InvalidRequest`.

    One statement: what is deleted meanwhile is in all of it or in none."""
    found: list[Json] = []
    link = None
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(_chain(owner, last))
    for row in rows:
        if link is None and row.previous_id is not None:
            raise _broken(row, last)
        if link != row.id:
            _require_answer(row)
            link = row.id
        if row.body is None:
            continue
        item = msgspec.json.decode(row.body)
        if not (row.is_output and _is_unfinished_call(item)):
            budget.take_item(weight(item))
            found.append(item)
    if link is None:
        raise PreviousResponseNotFound(
            f"Previous response with id '{last}' not found.",
            param="previous_response_id",
            next_step="It was not stored (store: false), was deleted, or is too old: send its"
            " items.",
        )
    return found


def read_items(
    connection: Connection, owner: str, wanted: Sequence[str], budget: Budget
) -> dict[str, Json]:
    """Items by their ids, of whichever response; those that are there. Of an item that was sent
    again under its id, the one that the model gave; else the one that was sent last."""
    asked = (
        sa.select(response_items.c.id, response_items.c.body)
        .join(responses, responses.c.id == response_items.c.response_id)
        .where(response_items.c.owner == owner, response_items.c.id.in_(wanted))
        .order_by(response_items.c.is_output.desc(), responses.c.created_at.desc())
    )
    found: dict[str, Json] = {}
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(asked):
        if row.id not in found:
            item = msgspec.json.decode(row.body)
            budget.take_item(weight(item))
            found[row.id] = item
    return found


def read_made_with(connection: Connection, owner: str, wanted: Sequence[str]) -> dict[str, Json]:
    """Of the responses that gave items, what is kept with them; of an item that none gave, of those
    that were sent it."""
    items = response_items.c
    asked = (
        sa.select(items.id.label("item"), items.is_output, responses.c.id, responses.c.body)
        .join(responses, responses.c.id == items.response_id)
        .where(items.owner == owner, items.id.in_(wanted))
    )
    rows = connection.execute(asked).all()
    given = {row.item for row in rows if row.is_output}
    return {
        row.id: msgspec.json.decode(row.body)
        for row in rows
        if row.is_output or row.item not in given
    }


def _chain(owner: str, last: str) -> sa.Select[Any]:
    """The items of one conversation with their responses, the first first."""
    table = responses.c
    columns = (table.id, table.previous_id, table.status, table.seen_at)
    newest = (
        sa.select(*columns, sa.literal(0).label("age"))
        .where(responses.c.id == last, responses.c.owner == owner)
        .cte("chain", recursive=True)
    )
    chain = newest.union_all(
        sa.select(*columns, newest.c.age + 1).where(
            responses.c.id == newest.c.previous_id,
            responses.c.owner == owner,
            newest.c.age < MOST_ITEMS,
        )
    )
    items = response_items
    return (
        sa.select(chain, items.c.is_output, items.c.body)
        .join_from(chain, items, items.c.response_id == chain.c.id, isouter=True)
        .order_by(chain.c.age.desc(), items.c.place)
    )


def _broken(row: Any, last: str) -> InvalidRequest:
    if row.age >= MOST_ITEMS:
        return InvalidRequest(
            f"The conversation of '{last}' has more than {MOST_ITEMS:,} responses.",
            param="previous_response_id",
            next_step="Begin a new one: send what matters as input.",
        )
    return PreviousResponseNotFound(
        f"Response {row.previous_id}, on which '{last}' builds, is not here any more.",
        param="previous_response_id",
        next_step="Send the items of the conversation as input.",
    )


def _require_answer(row: Any) -> None:
    status = standing(row)
    if status in RUNNING:
        raise InvalidRequest(
            f"Response {row.id} is not finished.",
            param="previous_response_id",
            next_step=f"Wait for it: GET /v1/responses/{row.id}.",
        )
    if status == "failed":
        before = f"build on {row.previous_id}" if row.previous_id else "leave it out"
        raise InvalidRequest(
            f"Response {row.id} failed: nothing can be built on it.",
            param="previous_response_id",
            next_step=f"Ask again, and {before}.",
        )


def _is_unfinished_call(item: Json) -> bool:
    return item["type"] == "function_call" and item.get("status") != "completed"
