"""The routes that are asked most, found by their path alone.

A router looks through all routes, and wraps each request in what only some routes need. For a chat
that took a quarter of all that noibo does (0.2 ms of 0.9; see docs/measurements.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class Hot:
    """ASGI: a POST to one of these paths goes to its endpoint, which says its errors itself; all
    else goes to `app`, which has these routes too."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope.get("path", ""))
        if endpoint is None or scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            response = await endpoint(Request(scope, receive))
        except ClientDisconnect:
            response = Response(status_code=499)  # nobody is there to read it
        await response(scope, receive, send)
