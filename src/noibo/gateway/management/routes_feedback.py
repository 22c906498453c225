"""Votes on answers, over `/noibo/v1/`: they move the chances of later requests."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from noibo.gateway.access.identity import Identity
from noibo.gateway.services import services_of
from noibo.gateway.strict_route import StrictRoute
from noibo.wire import management

router = APIRouter(prefix=management.ROOT, tags=["noibo"], route_class=StrictRoute)


class FeedbackBody(BaseModel):
    """`request_id`: the header `X-Request-Id` of the answer."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(min_length=1, max_length=128)
    vote: Literal["up", "down"]


@router.post("/feedback")
async def feedback(request: Request, body: FeedbackBody) -> dict[str, str]:
    """Say whether a local model gave a good answer to a virtual one; for who sent the request."""
    chooser, who = services_of(request).chooser, Identity.of(request.scope)
    model, outcome = chooser.votes.take(body.request_id, who, body.vote)
    await asyncio.to_thread(chooser.outcomes.add, model, outcome)
    return {"done": "the vote is kept", "model": model}
