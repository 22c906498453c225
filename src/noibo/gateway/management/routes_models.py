"""The models of this machine over `/noibo/v1/`: list, show, fetch, add, remove, check, clean.

Whatever reads the disk does so in a thread. A stream is `event: progress` any number of times, then
`event: done` or `event: error`; to hang up stops a check, and never a pull.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from noibo.gateway.access.identity import now
from noibo.gateway.event_stream import EventStream
from noibo.gateway.management.managed import as_json, errand_events, management_of, remove
from noibo.gateway.management.routes_server import guarded
from noibo.gateway.places import require_near, require_source
from noibo.gateway.services import services_of
from noibo.gateway.strict_route import StrictRoute
from noibo.gateway.watching.record import current
from noibo.modelstore.management.pulls import Pull
from noibo.wire import management
from noibo.wire.models import ModelList

router = APIRouter(prefix=management.ROOT, tags=["models"], route_class=StrictRoute)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PullBody(_Body):
    """What to fetch, as it is typed after `noibo pull`."""

    model: str = Field(min_length=1, max_length=4096)
    name: str | None = None
    stream: bool = True


class AddBody(_Body):
    """A file or a folder of the server's machine."""

    path: str = Field(min_length=1, max_length=4096)
    name: str | None = None


class CheckBody(_Body):
    """`repair`: fetch again what is bad."""

    repair: bool = False


class CollectBody(_Body):
    """`partial`: downloads too that were not finished."""

    partial: bool = False


# ── pulls ───────────────────────────────────────────────────────────────────


@router.post("/models/pull", dependencies=guarded)
async def pull_model(request: Request, body: PullBody) -> Response:
    """Fetch a model: a stream of progress, or (`stream: false`) 202 and the pull's row."""
    require_source(request, body.model)
    pulls = management_of(request).under_way
    pull = await asyncio.to_thread(pulls.start, body.model, body.name)
    if body.stream:  # at once: who knows the pull's id can stop it
        return EventStream(errand_events(pull, pull.id))
    await pull.settle()
    if pull.seen.error is not None:
        raise pull.seen.error
    return as_json(pull.row(), 202)


@router.get("/pulls")
async def list_pulls(request: Request) -> Response:
    """Pulls that run or have just ended, in the order in which they began."""
    return as_json(await asyncio.to_thread(management_of(request).pulls))


@router.get("/pulls/{pull_id}")
async def show_pull(request: Request, pull_id: str) -> Response:
    """One pull: how far it is, or how it ended."""
    return as_json(management_of(request).under_way.get(pull_id).row())


@router.get("/pulls/{pull_id}/events")
async def watch_pull(request: Request, pull_id: str) -> Response:
    """The stream of one pull, with all notes from its beginning."""
    pull: Pull = management_of(request).under_way.get(pull_id)
    return EventStream(errand_events(pull, pull.id))


@router.delete("/pulls/{pull_id}", dependencies=guarded)
async def cancel_pull(request: Request, pull_id: str) -> Response:
    """Stop a pull. What is here is kept: the same pull goes on there."""
    return as_json(await asyncio.to_thread(management_of(request).cancel_pull, pull_id))


# ── models ──────────────────────────────────────────────────────────────────


@router.get("/models")
async def list_models(request: Request) -> Response:
    """The models that can be used, and what is wrong with the others."""
    found = await asyncio.to_thread(management_of(request).stored_models)
    grant = now().grant
    return as_json(
        ModelList(
            models=[row for row in found.models if grant.may_use(row.name)],
            problems=[] if grant.models else found.problems,
        )
    )


@router.post("/models/add", dependencies=guarded)
async def add_model(request: Request, body: AddBody) -> Response:
    """Use a file or a folder of the server's machine where it lies."""
    require_near(request, "A path")
    added = await asyncio.to_thread(management_of(request).add, body.path, body.name)
    current().acted_on = added.name
    return as_json(added)


@router.get("/models/{name:path}")
async def show_model(request: Request, name: str) -> Response:
    """One model: its files, its licence and what that means, its defaults, its header."""
    found = await asyncio.to_thread(management_of(request).show, name)
    now().require_model(found.name)
    return as_json(found)


@router.delete("/models/{name:path}", dependencies=guarded)
async def remove_model(request: Request, name: str) -> Response:
    """Remove a model: unload it, forget it, free what nothing else uses."""
    return as_json(await remove(services_of(request), name))


# ── the store ───────────────────────────────────────────────────────────────


@router.post("/store/check", dependencies=guarded)
async def check_store(request: Request, body: CheckBody) -> Response:
    """Read every file and compare; with `repair` mend what is bad. A stream; the result is last."""
    check = await asyncio.to_thread(management_of(request).check, body.repair)
    return EventStream(errand_events(check, "", stop=True))


@router.post("/store/gc", dependencies=guarded)
async def collect_garbage(request: Request, body: CollectBody) -> Response:
    """Remove what nothing needs."""
    return as_json(await asyncio.to_thread(management_of(request).collect_garbage, body.partial))


@router.get("/store/usage")
async def store_usage(request: Request) -> Response:
    """Where the store's bytes are."""
    return as_json(await asyncio.to_thread(management_of(request).store_usage))
