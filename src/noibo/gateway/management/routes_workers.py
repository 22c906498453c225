"""What runs and who waits for it, over `/noibo/v1/`: workers, the queue, and how a model is loaded,
kept and unloaded."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from noibo.engines.supervision import keep_alive
from noibo.engines.supervision.claim import Claim
from noibo.engines.worker import Worker
from noibo.errors import ModelNotFound
from noibo.gateway.access.identity import now
from noibo.gateway.callers import Caller
from noibo.gateway.management.managed import as_json
from noibo.gateway.management.routes_server import guarded
from noibo.gateway.services import Services, services_of
from noibo.gateway.strict_route import StrictRoute
from noibo.wire import management
from noibo.wire.management import WorkerRow

router = APIRouter(prefix=management.ROOT, tags=["workers"], route_class=StrictRoute)

_LOOK_S = 0.5  # whether who asked is still there


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoadBody(_Body):
    """`keep_alive`: seconds, or a text as "5m"; 0, and -1 for ever. null: as it is set."""

    keep_alive: Any = None
    pinned: bool | None = None


class PinBody(_Body):
    """Whether the model stays when another needs the memory."""

    pinned: bool


@router.get("/queue")
async def queue(request: Request) -> Response:
    """Who waits and who is answered, and the memory that models may take and take."""
    return as_json(services_of(request).supervisor.queue())


@router.get("/workers")
async def workers(request: Request) -> Response:
    """Workers that start or run, with what they hold and, by their own word, do."""
    services = services_of(request)
    grant = now().grant
    found = [one for one in services.supervisor.workers() if grant.may_use(one.model.name)]
    return as_json(await asyncio.gather(*(_row(services, worker) for worker in found)))


@router.post("/workers/{model:path}/load", dependencies=guarded)
async def load_worker(request: Request, model: str, body: LoadBody) -> Response:
    """Load a model, if it is not, and say how it stands then."""
    services = services_of(request)
    found = await services.resolve(model)
    kept = None if body.keep_alive is None else keep_alive.parse(body.keep_alive, "keep_alive")
    caller = Caller.of(request)
    claim = Claim(found, caller.name, caller.priority, kept, answers=False)
    loading = asyncio.create_task(_load(services, claim, body.pinned))
    try:
        while not loading.done():
            await asyncio.wait({loading}, timeout=_LOOK_S)
            if await request.is_disconnected():
                return Response(status_code=499)  # nobody is there to read it
        return as_json(await _row(services, loading.result()))
    finally:
        loading.cancel()


async def _load(services: Services, claim: Claim, pinned: bool | None) -> Worker:
    async with services.supervisor.lease(claim) as worker:
        if pinned is not None:
            services.supervisor.pin(claim.model.name, pinned)
    return worker


@router.post("/workers/{model:path}/pin", dependencies=guarded)
async def pin_worker(request: Request, model: str, body: PinBody) -> Response:
    """Keep a loaded model when another needs the memory, or no longer."""
    services = services_of(request)
    name = await _running(services, model)
    services.supervisor.pin(name, body.pinned)
    for worker in services.supervisor.workers():
        if worker.model.name == name:
            return as_json(await _row(services, worker))
    raise ModelNotFound(f"{name} does not run any more.")


@router.post("/workers/{model:path}/stop", dependencies=guarded)
async def stop_worker(request: Request, model: str) -> JSONResponse:
    """Unload one model."""
    services = services_of(request)
    name = await _running(services, model)
    await services.supervisor.stop(name)
    return JSONResponse({"done": f"stopped {name}"})


async def _running(services: Services, model: str) -> str:
    """The full name of a model that may run: what runs may have left the store since."""
    running = {worker.model.name for worker in services.supervisor.workers()}
    return model if model in running else (await services.resolve(model)).name


async def _row(services: Services, worker: Worker) -> WorkerRow:
    facts = services.supervisor.facts(worker)
    return WorkerRow(**facts, slots_busy=await services.busy_slots(worker))
