"""Who may speak to a server on loopback: programs, and pages from this machine.

A page from elsewhere can reach 127.0.0.1 through the reader's own browser: by a plain cross-site
request, which carries its `Origin`, or under a name of its own, bound to this address, which
then stands in `Host`. Neither is let in. Programs send the address, and no `Origin`.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from noibo.egress import is_loopback
from noibo.errors import Forbidden
from noibo.wire import openai


class LocalOnly:
    """ASGI middleware that refuses requests of foreign pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := _refusal(Headers(scope=scope))):
            body = openai.error_body(refusal)
            await JSONResponse(body, refusal.status)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _refusal(headers: Headers) -> Forbidden | None:
    host, origin = headers.get("host"), headers.get("origin")
    if host and not is_loopback(f"http://{host}"):
        return Forbidden(
            f"This server is for this machine; it is not called {host!r}.",
            next_step="Use http://127.0.0.1 and the port, or http://localhost.",
        )
    if origin and not is_loopback(origin):
        return Forbidden(f"A page from {origin!r} may not speak to this server.")
    if not origin and headers.get("sec-fetch-site") == "cross-site":  # a picture's address, say
        return Forbidden("A page from elsewhere may not speak to this server.")
    return None
