"""OpenAI's files: uploaded, listed, read again, deleted."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse

from noibo.errors import BodyTooLarge, InvalidRequest
from noibo.gateway.callers import Caller
from noibo.gateway.leaving.labels import carried_by
from noibo.gateway.page import Page
from noibo.gateway.services import Services, services_of
from noibo.gateway.watching.record import current
from noibo.privacy.judgement import LABEL
from noibo.wire import files as wire
from noibo.wire.body import Json
from noibo.wire.files import ROOM_FOR_FORM

router = APIRouter(prefix="/v1/files", tags=["openai"])


async def upload(request: Request) -> Response:
    """Take a file."""
    services = services_of(request)
    _require_size(request, services)
    from noibo.gateway.files.card import Card
    from noibo.gateway.files.upload import FILE, Upload

    files = (await services.stored()).files
    await files.require()
    coming = Upload(files)
    try:
        await coming.read(request.headers.get("content-type", ""), request.stream())
        if coming.incoming is None:
            raise InvalidRequest("file is missing.", param=FILE)
        purpose = wire.read_purpose(coming.form)
        lifetime = wire.read_lifetime(coming.form, purpose)
        now = time.time()
        card = Card(
            id=coming.incoming.id,
            owner=_owner(request),
            created_at=now,
            purpose=purpose,
            bytes=coming.incoming.size,
            name=coming.name,
            expires_at=None if lifetime is None else now + lifetime,
            label=_label(services),
        )
    except BaseException:
        await coming.abandon()
        raise
    await files.keep({card: coming.incoming})
    return JSONResponse(card.told())


def _label(services: Services) -> str:
    """What is said of it: by the header of the upload, and of whoever uploads it."""
    policy = services.border.detection.policy
    return carried_by(current(), services.settings, policy).get(LABEL, "")


def _require_size(request: Request, services: Services) -> None:
    """What says that it is too large is not taken at all."""
    largest = services.settings.server.max_file_bytes
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > largest + ROOM_FOR_FORM:
        raise BodyTooLarge(
            f"The file is larger than {largest} bytes.",
            next_step="Send it in parts, or raise server.max_file_bytes.",
        )


@router.get("")
async def page(
    request: Request,
    purpose: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> Json:
    """The files that are there."""
    known = (*wire.PURPOSES, wire.BATCH_OUTPUT)
    if purpose is not None and purpose not in known:
        raise InvalidRequest(f"purpose: one of {', '.join(known)}.", param="purpose")
    files = (await services_of(request).stored()).files
    return await files.page(_owner(request), Page(limit, after, order), purpose)


@router.get("/{name}")
async def card(request: Request, name: str) -> Json:
    """What is known of a file."""
    files = (await services_of(request).stored()).files
    return (await files.require_one(_owner(request), name)).told()


@router.get("/{name}/content")
async def content(request: Request, name: str) -> Response:
    """The file itself, as it came. Never a page: whatever is in it, a browser saves it."""
    files = (await services_of(request).stored()).files
    found = await files.require_one(_owner(request), name)
    there = await files.content(found)
    safe = {"X-Content-Type-Options": "nosniff"}
    plain = FileResponse(
        there.path, media_type="application/octet-stream", filename=found.name, headers=safe
    )
    if not await asyncio.to_thread(there.is_sealed):
        return plain
    safe["Content-Length"] = str(found.bytes)
    safe["Content-Disposition"] = plain.headers["content-disposition"]
    return StreamingResponse(there.pieces(), media_type=plain.media_type, headers=safe)


@router.delete("/{name}")
async def delete(request: Request, name: str) -> Json:
    """Forget a file."""
    await (await services_of(request).stored()).files.delete(_owner(request), name)
    return {"id": name, "object": "file", "deleted": True}


def _owner(request: Request) -> str:
    return Caller.of(request).owner


router.add_route("/v1/files", upload, methods=["POST"])
