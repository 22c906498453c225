"""Under which names this server may be called, and from which pages.

A page from elsewhere can reach a server through its reader's own browser: by a plain cross-site
request, which carries its `Origin`, or under a name of its own, bound to the server's address,
which then stands in `Host`. Neither is let in. Programs send the server's name, and no `Origin`.

A page of another program of this machine (`http://localhost:3000`, an app's window) may ask models,
as with Ollama and llama-server: what it may reach is `OPEN`. To fetch, make, delete, pin or upload
something is for programs, and for pages of this server. A page of `server.allowed_origins` may do
that too, with a key of noibo's.
"""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from noibo import settings
from noibo.access import api_key
from noibo.errors import Forbidden, NoiboError
from noibo.gateway.access.arrival import Arrival, is_here
from noibo.gateway.access.doorman import sent_key
from noibo.gateway.services import services_in

# Answers of models, and which models there are. GET loads nothing; to ask a model loads it.
OPEN: Final = frozenset(
    (
        *("/", "/health", "/ready", "/v1/health"),
        # OpenAI's, Anthropic's
        *("/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"),
        *("/v1/responses", "/v1/responses/input_tokens", "/v1/chat/completions/input_tokens"),
        *("/v1/messages", "/v1/messages/count_tokens"),
        # Ollama's
        *("/api/version", "/api/tags", "/api/show", "/api/ps"),
        *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
        # llama-server's
        *("/models", "/completion", "/completions", "/infill", "/embedding", "/embeddings"),
        *("/chat/completions", "/responses", "/responses/input_tokens"),
        *("/chat/completions/input_tokens", "/tokenize", "/detokenize", "/apply-template"),
        *("/rerank", "/reranking", "/v1/rerank", "/v1/reranking"),
    )
)
# What a page may read of an answer besides its body.
_READABLE: Final = [
    *("x-noibo-model", "x-noibo-cut", "x-noibo-queue", "x-request-id", "retry-after"),
    *("x-noibo-receipt", "x-noibo-route", "x-noibo-route-why"),
]
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::[0-9]{1,5})?", re.ASCII)
_NOT_FOR_PAGES: Final = "Only a page of this server, or a program, may ask for this."


class KnownPages:
    """ASGI middleware that refuses requests of foreign pages, and under foreign names. `respond`
    says an error as the API says it that was asked."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request, NoiboError], Response]) -> None:
        self._app = app
        self._readable = CORSMiddleware(
            app,
            allow_origins=["*"],  # of those that are let in; without cookies
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_READABLE,
        )
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            arrival = Arrival.of(scope)
            if refusal := _refusal(scope, arrival):
                app = self._respond(Request(scope), refusal)
            elif b"origin" in arrival.headers:  # a page that was let in may read its answer
                app = self._readable
        await app(scope, receive, send)


def _refusal(scope: Scope, arrival: Arrival) -> Forbidden | None:
    server, host = services_in(scope).settings.server, arrival.host
    if not _may_be_called(host, arrival.far, server):
        return Forbidden(
            f"This server is not called {host[:80]!r}.",
            next_step="On this machine use http://127.0.0.1 and the port, or http://localhost; "
            "other names of it belong into server.allowed_hosts.",
        )
    if sum(name == b"host" for name, _ in scope["headers"]) > 1:
        return Forbidden("A request has one Host.")
    if origin := arrival.header(b"origin"):
        return _of_page(scope, arrival, origin, server.allowed_origins)
    return _without_origin(scope["path"], arrival)


def _of_page(
    scope: Scope, arrival: Arrival, origin: str, welcome: Collection[str]
) -> Forbidden | None:
    if _is_own(origin, scope["scheme"], arrival):
        return None
    named = origin in welcome
    if not named and (arrival.remote or not is_here(origin)):
        return Forbidden(
            f"A page from {origin[:80]!r} may not speak to this server.",
            next_step="Pages that may are named in server.allowed_origins.",
        )
    if scope["path"] in OPEN or (named and _may_be_signed(scope, arrival)):
        return None
    return Forbidden(_NOT_FOR_PAGES)


def _without_origin(path: str, arrival: Arrival) -> Forbidden | None:
    """As a program sends it, or a page that shows a picture of this address, say."""
    site = arrival.header(b"sec-fetch-site")
    if site == "cross-site":
        return Forbidden("A page from elsewhere may not speak to this server.")
    return Forbidden(_NOT_FOR_PAGES) if site == "same-site" and path not in OPEN else None


def _may_be_signed(scope: Scope, arrival: Arrival) -> bool:
    """True for what comes with a key of noibo's, and for the question before it (CORS)."""
    asks_first = (
        scope["method"] == "OPTIONS" and b"access-control-request-method" in arrival.headers
    )
    return asks_first or api_key.is_ours(sent_key(arrival))


def _is_own(origin: str, scheme: str, arrival: Arrival) -> bool:
    """True for a page of this server; a proxy may have ended its TLS."""
    return origin == f"{scheme}://{arrival.host}" or (
        arrival.forwarded and origin == f"https://{arrival.host}"
    )


def _may_be_called(host: str, far: bool, server: settings.Server) -> bool:
    """True for a name of this server's. A plain number cannot be anybody else's name."""
    if not host:
        return True
    found = _HOST.fullmatch(host)
    if found is None:  # Starlette would read another path out of it
        return False
    if is_here(f"//{host}"):
        return True
    name = (found[1] or found[2]).lower().rstrip(".")
    if any(fnmatchcase(name, pattern.lower()) for pattern in server.allowed_hosts):
        return True
    return far and (_is_number(name) or name in _own_names())


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@functools.cache
def _own_names() -> frozenset[str]:
    """This machine's, as its neighbours call it."""
    name = platform.node().lower().rstrip(".")
    return frozenset({name, f"{name}.local"} - {"", ".local"})
