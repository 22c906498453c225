"""noibo's own routes: health at the root, management under `/noibo/v1/`."""

from __future__ import annotations

import os

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

import noibo
from noibo.engines.worker import State
from noibo.errors import Forbidden
from noibo.gateway.access.identity import Identity
from noibo.gateway.services import services_of
from noibo.gateway.strict_route import StrictRoute
from noibo.wire import management

health = APIRouter(tags=["health"])


@health.head("/health", include_in_schema=False)  # balancers ask so
@health.get("/health")
async def alive() -> dict[str, str]:
    """The server runs."""
    return {"status": "ok"}


@health.head("/ready", include_in_schema=False)
@health.get("/ready")
async def ready(request: Request) -> JSONResponse:
    """The server can answer: the model it was started for, if any, is loaded."""
    services = services_of(request)
    loaded = {w.model.name for w in services.supervisor.workers() if w.state is State.READY}
    if services.preload is None or services.preloaded or services.preload in loaded:
        return JSONResponse({"status": "ready"})
    if services.preload_error:
        why = {"reason": services.preload_error} if Identity.of(request.scope).near else {}
        return JSONResponse({"status": "failed", **why}, 503)
    return JSONResponse({"status": "loading", "model": services.preload}, 503)


def _from_a_client(request: Request) -> None:
    if management.GUARD_HEADER not in request.headers:
        raise Forbidden(
            f"This needs the header {management.GUARD_HEADER}.",
            next_step=f"Send `{management.GUARD_HEADER}: 1`: pages in a browser cannot.",
        )


router = APIRouter(prefix=management.ROOT, tags=["noibo"], route_class=StrictRoute)
guarded = [Depends(_from_a_client)]


@router.get("/status")
async def status(request: Request) -> JSONResponse:
    """Which noibo this is; on its own machine also which process, in which folder."""
    services = services_of(request)
    settings, near = services.settings, Identity.of(request.scope).near
    return JSONResponse(
        {
            "noibo": noibo.__version__,
            "pid": os.getpid() if near else None,
            "started_at": services.started_at,
            "default_model": settings.default_model,
            "offline": settings.offline,
            "home": str(settings.home) if near else None,
        }
    )


@router.post("/shutdown", dependencies=guarded)
async def shutdown(request: Request) -> JSONResponse:
    """Stop the server: answers under way may finish."""
    services_of(request).stop_server()
    return JSONResponse({"done": "the server is stopping"})
