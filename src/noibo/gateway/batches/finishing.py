"""The end of a batch: its results as files, and what it says of them, in one transaction."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from noibo.errors import DatabaseError
from noibo.gateway.batches.batch import Batch
from noibo.gateway.batches.records import BatchRecords, change_in
from noibo.gateway.batches.rows import Rest
from noibo.gateway.files.card import Card
from noibo.gateway.files.contents import Incoming
from noibo.gateway.files.files import Content, Files
from noibo.wire.batch_usage import Usage
from noibo.wire.body import Json
from noibo.wire.files import BATCH_OUTPUT

_EXPIRED: Final = (
    "batch_expired",
    "This request could not be executed before the completion window expired.",
)
_CANCELLED: Final = ("batch_cancelled", "The batch was cancelled before this request was executed.")


async def finish(batch: Batch, records: BatchRecords, files: Files) -> None:
    """Write the files, and say that they are there: unless another server has."""
    done = await records.done(batch.id)
    left = batch.total > len(done)
    cancelled = batch.status == "cancelling"
    end = "cancelled" if cancelled else "expired" if left else "completed"
    path = await _input(batch, files) if left else None
    rest = await asyncio.to_thread(Rest, path, done, _CANCELLED if cancelled else _EXPIRED)
    used = Usage()
    async with files.coming() as output, files.coming() as errors:
        async for page in records.results(batch.id, ok=True):
            await asyncio.to_thread(_put, output, page, used)
        async for page in records.results(batch.id, ok=False):
            await asyncio.to_thread(_put_among, errors, page, rest)
        await asyncio.to_thread(_put_last, errors, rest)
        told: Json = {
            "status": end,
            f"{end}_at": int(time.time()),
            "output_file_id": output.id if output.size else None,
            "error_file_id": errors.id if errors.size else None,
            "usage": used.told(),
        }

        def say(connection: Connection) -> bool:
            def step(now: Batch) -> Json | None:
                mine = now.status == batch.status
                return told | {"failed": now.failed + rest.told} if mine else None

            return change_in(connection, batch.id, step)[1]

        both = {"output": output, "error": errors}
        kept = {_card(batch, one, what): one for what, one in both.items() if one.size}
        await files.keep(kept, say)


async def _input(batch: Batch, files: Files) -> Content | None:
    """Where the input lies; None where it is gone: what is done is told, and nothing of the
    rest."""
    card = await files.get(batch.owner, batch.input_file_id, expired=True)
    try:
        return None if card is None else await files.content(card)
    except DatabaseError:
        return None


def _card(batch: Batch, incoming: Incoming, what: str) -> Card:
    lifetime = batch.body.get("output_lifetime_s")
    now = time.time()
    return Card(
        id=incoming.id,
        owner=batch.owner,
        created_at=now,
        purpose=BATCH_OUTPUT,
        bytes=incoming.size,
        name=f"{batch.id}_{what}.jsonl",
        expires_at=None if lifetime is None else now + lifetime,
        label=batch.label,
    )


def _put(output: Incoming, page: Sequence[Any], used: Usage) -> None:
    for row in page:
        line = row.body.encode()
        used.add(line)
        output.write(line + b"\n")


def _put_among(errors: Incoming, page: Sequence[Any], rest: Rest) -> None:
    for row in page:
        for line in rest.before(row.line):
            errors.write(line + b"\n")
        errors.write(row.body.encode() + b"\n")


def _put_last(errors: Incoming, rest: Rest) -> None:
    for line in rest.before(math.inf):
        errors.write(line + b"\n")
