"""What became of a request, over `/noibo/v1/`: that it stayed, or what of it went where."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from noibo.gateway.access.identity import Identity
from noibo.gateway.services import services_of
from noibo.gateway.strict_route import StrictRoute
from noibo.wire import management

router = APIRouter(prefix=management.ROOT, tags=["noibo"], route_class=StrictRoute)


@router.get("/receipts/{request_id}")
async def receipt(request: Request, request_id: str) -> JSONResponse:
    """The receipt of a request, by the id in its response's `X-Request-Id`; for who sent it."""
    receipts, who = services_of(request).border.receipts, Identity.of(request.scope)
    told = receipts.recent(request_id, who)
    if told is None:
        told = await asyncio.to_thread(receipts.find, request_id, who)
    return JSONResponse(told)
