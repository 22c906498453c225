"""What programs that watch a server ask it for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from noibo.gateway.services import services_of
from noibo.gateway.watching.exposition import Snapshot
from noibo.wire import management

router = APIRouter(tags=["watching"])
DASHBOARD: Final = Path(__file__).parent / "grafana.json"


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """The server's numbers, in Prometheus' text format or OpenMetrics'. Loads and wakes nothing."""
    snapshot = Snapshot(services_of(request))
    said, kind = await asyncio.to_thread(snapshot.written, request.headers.get("accept", ""))
    return Response(said, headers={"content-type": kind})


@router.get(management.ROOT + "/grafana.json", response_class=FileResponse)
async def dashboard() -> FileResponse:
    """A dashboard for Grafana, to be imported there."""
    return FileResponse(DASHBOARD, media_type="application/json", filename="noibo.json")
