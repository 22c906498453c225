"""OpenAI's batches: many requests in a file, answered when nobody else waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from noibo.errors import InvalidRequest
from noibo.gateway.callers import Caller
from noibo.gateway.leaving.labels import carried_by, taken_up
from noibo.gateway.page import Page
from noibo.gateway.reading import read_fields
from noibo.gateway.services import services_of
from noibo.gateway.watching.record import current
from noibo.privacy.judgement import LABEL
from noibo.privacy.walk import OWN
from noibo.wire import batches as wire
from noibo.wire.body import Json

if TYPE_CHECKING:
    from noibo.gateway.batches.batch import Batch

router = APIRouter(prefix="/v1/batches", tags=["openai"])


async def create(request: Request) -> Response:
    """Take a batch on. Its input is looked at afterwards: `status` says what came of it."""
    services = services_of(request)
    fields, record = await read_fields(request), current()
    if OWN in fields:
        record.own = fields.pop(OWN)
    asked = wire.read(fields)
    caller, stored = Caller.of(request), await services.stored()
    if (card := await stored.files.get(caller.owner, asked.input_file_id)) is not None:
        record.labels += taken_up({LABEL: card.label} if card.label else {}, card.id)
    label = carried_by(record, services.settings, services.border.detection.policy)
    batch = await stored.batches.add(caller, asked, label)
    services.batches.wake()
    return JSONResponse(batch.told())


@router.get("")
async def page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
) -> Json:
    """The batches that there are, the newest first."""
    records = (await services_of(request).stored()).batches
    return await records.page(_owner(request), Page(limit, after))


@router.get("/{name}")
async def batch(request: Request, name: str) -> Json:
    """How far a batch is."""
    records = (await services_of(request).stored()).batches
    return (await records.get(_owner(request), name)).told()


@router.post("/{name}/cancel")
async def cancel(request: Request, name: str) -> Json:
    """Ask nothing more. What is answered is kept, and what is being asked is given up."""
    services = services_of(request)
    records = (await services.stored()).batches
    found = await records.get(_owner(request), name)
    now = int(time.time())

    def step(batch: Batch) -> Json | None:
        if batch.status not in {"validating", "in_progress"}:
            return None
        return {"status": "cancelling", "cancelling_at": now}

    changed = await records.change(name, step) or found
    services.batches.wake()
    if not changed.active and changed.status != "cancelled":
        raise InvalidRequest(f"{name} is {changed.status}: there is nothing to cancel.")
    return changed.told()


def _owner(request: Request) -> str:
    return Caller.of(request).owner


router.add_route("/v1/batches", create, methods=["POST"])
