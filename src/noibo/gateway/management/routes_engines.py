"""What runs models here and elsewhere, over `/noibo/v1/engines`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from noibo.engines.listing import listed
from noibo.gateway.management.managed import as_json
from noibo.gateway.services import services_of
from noibo.gateway.strict_route import StrictRoute
from noibo.wire import management

router = APIRouter(prefix=management.ROOT, tags=["engines"], route_class=StrictRoute)


@router.get("/engines")
async def engines(request: Request) -> Response:
    """Engines, installed or not; programs elsewhere and whether they answer; uses."""
    services = services_of(request)
    pipeline = services.pipeline
    return as_json(
        await listed(
            services.settings,
            services.supervisor.engines,
            services.resolve,
            pipeline.foreign_session or pipeline.session,
            serves=True,
        )
    )
