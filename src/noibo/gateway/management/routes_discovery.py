"""What there is to have, over `/noibo/v1/`: in the catalogue, on the hub, with other programs."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from noibo.gateway.event_stream import EventStream
from noibo.gateway.management.managed import as_json, errand_events, management_of
from noibo.gateway.management.routes_server import guarded
from noibo.gateway.places import require_near
from noibo.gateway.strict_route import StrictRoute
from noibo.wire import management
from noibo.wire.catalog import Use

router = APIRouter(prefix=management.ROOT, tags=["discovery"], route_class=StrictRoute)

Words = Annotated[str, Query(min_length=1, max_length=1000)]
Family = Annotated[str | None, Query(min_length=1, max_length=1000)]
Folder = Annotated[str, Field(min_length=1, max_length=4096)]


class ImportBody(BaseModel):
    """`folders` of the server's machine; none: the places of other programs. `dry_run`: only say
    what would be. `prune`: forget imported models whose files are gone."""

    model_config = ConfigDict(extra="forbid")

    folders: list[Folder] = Field(default=[], max_length=100)
    dry_run: bool = False
    prune: bool = False


@router.get("/catalog")
async def show_catalog(request: Request, family: Family = None, use: Use | None = None) -> Response:
    """The models noibo knows, of one family and for one use if wanted; perhaps none."""
    return as_json(await asyncio.to_thread(management_of(request).catalog, family, use))


@router.get("/search")
async def search(request: Request, words: Words, hub: bool = True) -> Response:
    """What fits the words, in the catalogue and (`hub=false`: not) on the hub."""
    return as_json(await asyncio.to_thread(management_of(request).search, words, hub))


@router.post("/models/import", dependencies=guarded)
async def import_models(request: Request, body: ImportBody) -> Response:
    """Use what other programs have fetched, where it lies. A stream; the result is last."""
    if body.folders:
        require_near(request, "A folder")
    taking = management_of(request).taking
    errand = await asyncio.to_thread(taking, body.folders, body.dry_run, body.prune)
    return EventStream(errand_events(errand, stop=True))
