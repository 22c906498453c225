"""Who may speak to a server on loopback: programs, its own pages, and less so other local pages.

A page from elsewhere can reach 127.0.0.1 through the reader's own browser: by a plain cross-site
request, which carries its `Origin`, or under a name of its own, bound to this address, which
then stands in `Host`. Neither is let in. Programs send the address, and no `Origin`.

A page of another program of this machine (`http://localhost:3000`, an app's window) may ask models,
as with Ollama and llama-server: what it may reach is `OPEN`. To fetch, make, delete, pin or upload
something is for programs, and for pages of this server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from noibo.egress import is_loopback
from noibo.errors import Forbidden, NoiboError

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
# Windows of installed programs; no page of the web can say that it is one. After Ollama's.
_APPS: Final = frozenset({"app", "tauri", "vscode-file", "vscode-webview"})
# This machine as it is called inside a container on it. Nobody can register such a name.
_FROM_CONTAINERS: Final = frozenset({"host.docker.internal", "host.containers.internal"})
_NOT_FOR_PAGES: Final = "Only a page of this server, or a program, may ask for this."


class LocalOnly:
    """ASGI middleware that refuses requests of foreign pages. `respond` says an error as the API
    says it that was asked."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request, NoiboError], Response]) -> None:
        self._app = app
        self._readable = CORSMiddleware(
            app, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]
        )
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if refusal := _refusal(scope, headers):
                app = self._respond(Request(scope), refusal)
            elif "origin" in headers:  # a page that was let in may read its answer
                app = self._readable
        await app(scope, receive, send)


def _refusal(scope: Scope, headers: Headers) -> Forbidden | None:
    host, origin = headers.get("host"), headers.get("origin")
    if host and not _is_here(f"http://{host}"):
        return Forbidden(
            f"This server is for this machine; it is not called {host[:80]!r}.",
            next_step="Use http://127.0.0.1 and the port, or http://localhost.",
        )
    if origin == f"{scope['scheme']}://{host}":
        return None
    if origin:
        if not _is_here(origin):
            return Forbidden(f"A page from {origin[:80]!r} may not speak to this server.")
        return None if scope["path"] in OPEN else Forbidden(_NOT_FOR_PAGES)
    site = headers.get("sec-fetch-site")  # of a page without Origin: a picture's address, say
    if site == "cross-site":
        return Forbidden("A page from elsewhere may not speak to this server.")
    return Forbidden(_NOT_FOR_PAGES) if site == "same-site" and scope["path"] not in OPEN else None


def _is_here(url: str) -> bool:
    """True for this machine's own names, and for what is installed on it."""
    try:
        parts = urlsplit(url)
        return parts.scheme in _APPS or parts.hostname in _FROM_CONTAINERS or is_loopback(url)
    except ValueError:
        return False
