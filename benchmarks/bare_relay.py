"""The floor: a relay of Starlette and aiohttp that does nothing but relay.

`python -m benchmarks.bare_relay PORT UPSTREAM`
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from benchmarks.fake_upstream import KEY

_port, _upstream = int(sys.argv[1]), sys.argv[2]
_HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        app.state.session = session
        yield


async def relay(request: Request) -> Response:
    body = await request.body()
    session = request.app.state.session
    answer = await session.post(_upstream + "/chat/completions", data=body, headers=_HEADERS)
    kind = answer.headers["Content-Type"]
    if kind == "application/json":
        return Response(await answer.read(), answer.status, media_type=kind)
    return StreamingResponse(answer.content.iter_any(), answer.status, media_type=kind)


uvicorn.run(
    Starlette(routes=[Route("/v1/chat/completions", relay, methods=["POST"])], lifespan=lifespan),
    port=_port,
    log_level="warning",
    access_log=False,
)
