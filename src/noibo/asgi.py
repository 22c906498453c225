"""noibo's whole server as an ASGI application, for a server of one's own: `uvicorn noibo.asgi:app`.

Settings are read and workers started when the lifespan begins, and stopped when it ends. Where it
listens only the server around it knows, so each request is judged by how it came (`Arrival`): what
came from elsewhere, or through a proxy, needs a key (`noibo key create NAME`). What the server
around it has to do itself (limits on connections, an end that waits for nobody too long) is in
docs/llm_service.md.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from noibo import logs
from noibo.assembly import open_door
from noibo.engines.remote.keys import require_set
from noibo.gateway.app import create_app
from noibo.gateway.watching.collector import open_spans
from noibo.serving import open_services
from noibo.settings import load

if TYPE_CHECKING:
    from noibo.gateway.services import Services

__all__ = ["app"]


@contextlib.asynccontextmanager
async def _services() -> AsyncIterator[Services]:
    tree = load()
    require_set(tree.models)
    logs.setup(tree.log.level, tree.log.format)  # what exceptions say may repeat a prompt
    spans = open_spans(tree.telemetry.otlp_endpoint, open_door(tree))
    async with open_services(tree, _stop, spans=spans) as services:
        yield services


def _stop() -> None:
    """As the signal that servers of ASGI end gracefully at."""
    os.kill(os.getpid(), signal.SIGTERM)


app = create_app(_services)
