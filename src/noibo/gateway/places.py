"""Who may say from where: by a path of this machine, or by an address.

A name leads to sources that are known: the catalogue, the hub, Ollama's registry, the package
index, releases. A path, an address or a registry of the caller's choice makes the server open, or
connect to, what the caller likes and cannot reach itself, unless it runs on this machine.
"""

from __future__ import annotations

from fastapi import Request

from noibo.errors import Forbidden, InvalidRequest
from noibo.gateway.access.identity import Identity
from noibo.modelstore.origin import Local, Registry, Web, parse
from noibo.modelstore.reference import DEFAULT_HOST


def require_near(request: Request, what: str) -> None:
    """Raise `Forbidden` unless the caller is on this machine, so that it may name `what`."""
    if not Identity.of(request.scope).near:
        raise Forbidden(
            f"{what} may only be named by who is on the server's machine.",
            next_step="Give the name of a model: `noibo catalog` lists some.",
        )


def require_source(request: Request, model: str, *, names_only: bool = False) -> None:
    """Raise `Forbidden` for what this caller may not have fetched, `BadReference` for what cannot
    be read. `names_only`: nobody may give a path or an address."""
    origin = parse(model)
    if names_only and isinstance(origin, Local | Web):
        raise InvalidRequest(
            f"model: {model[:80]!r} is no name of a model.",
            param="model",
            next_step="Paths and addresses are for `noibo pull` and POST /noibo/v1/models/pull.",
        )
    if isinstance(origin, Local):
        require_near(request, "A path")
    elif isinstance(origin, Web):
        require_near(request, "An address")
    elif isinstance(origin, Registry) and origin.reference.host != DEFAULT_HOST:
        require_near(request, "Another registry")
