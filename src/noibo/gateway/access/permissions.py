"""What each route needs of who calls it. A route that is not here is for admins.

`*` stands for one part of a path, `**` for any number: names of models have slashes. Tests hold
this against the routes that there are.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Final

from noibo.access.grant import Grant, Permission
from noibo.errors import Forbidden

# Said to everybody: that there is a server; and where one signs in.
_PUBLIC: Final = """
GET / /health /ready /v1/health
POST /noibo/v1/session
"""
_TABLE: Final[Mapping[Permission, str]] = {
    Permission.ASK: """
        POST /v1/chat/completions /v1/completions /v1/embeddings /v1/moderations
        POST /chat/completions /completions /completion /embeddings /embedding /infill
        POST /v1/chat/completions/input_tokens /chat/completions/input_tokens
        POST /v1/messages /v1/messages/count_tokens
        POST /tokenize /detokenize /apply-template
        POST /rerank /reranking /v1/rerank /v1/reranking
        POST /api/chat /api/generate /api/embed /api/embeddings
        POST /audio/transcriptions /v1/audio/transcriptions /v1/audio/translations /v1/audio/speech
        POST /v1/images/generations /v1/images/edits /v1/images/variations
        POST /v1/chat/completions/control
        POST /noibo/v1/feedback
    """,
    Permission.KEEP: """
        GET POST DELETE /v1/responses /v1/responses/* /v1/responses/*/* /responses
        POST /responses/input_tokens
        GET POST DELETE /v1/files /v1/files/* /v1/files/*/*
        GET POST /v1/batches /v1/batches/* /v1/batches/*/*
        POST /v1/uploads /v1/uploads/* /v1/uploads/*/*
    """,
    Permission.LOOK: """
        GET /v1/models /v1/models/** /models /props /lora-adapters
        GET /api/tags /api/ps /api/version
        POST /api/show
        GET /noibo/v1/status /noibo/v1/workers /noibo/v1/openapi.json
        GET /noibo/v1/models /noibo/v1/models/** /noibo/v1/catalog
        GET PATCH DELETE /noibo/v1/session
        GET /noibo/v1/receipts/* /noibo/v1/usage
    """,
    Permission.MANAGE: """
        GET /slots /noibo/v1/engines /noibo/v1/queue /noibo/v1/search /noibo/v1/store/usage /metrics
        GET /noibo/v1/grafana.json
        GET /api/blobs/*
        GET DELETE /noibo/v1/pulls /noibo/v1/pulls/* /noibo/v1/pulls/*/*
        POST /noibo/v1/models/pull
        DELETE /noibo/v1/models/** /v1/models/** /api/delete
        POST /noibo/v1/workers/**
        POST /noibo/v1/store/check /noibo/v1/store/gc
        POST /api/create /api/copy /api/pull /api/push /api/blobs/*
        POST /props /lora-adapters /slots/* /models/load /models/unload
    """,
}
# Only admins may: files of this machine (models/add, models/import), keys, users, shutdown.


def _rules(text: str) -> list[str]:
    """Patterns of `METHOD path`."""
    found = []
    for line in text.split("\n"):
        said = line.split()
        methods = [word for word in said if word.isupper()]
        for path in said[len(methods) :]:
            middle = re.escape(path).replace(r"\*\*", ".+").replace(r"\*", "[^/]+")
            found.append(rf"(?:{'|'.join(methods)}) {middle}")
    return found


_IS_PUBLIC: Final = re.compile("|".join(_rules(_PUBLIC)), re.DOTALL)
_NEEDS: Final = [
    (one, re.compile("|".join(_rules(text)), re.DOTALL)) for one, text in _TABLE.items()
]
_LONG: Final = 256  # a path of which nothing is remembered: anybody can send many


def needed(method: str, path: str) -> Permission | None:
    """What a request needs; None: nothing, it is for everybody."""
    return _known(method, path) if len(path) < _LONG else _find(method, path)


def _find(method: str, path: str) -> Permission | None:
    asked = f"{'GET' if method == 'HEAD' else method} {path}"
    if _IS_PUBLIC.fullmatch(asked):
        return None
    return next((one for one, rule in _NEEDS if rule.fullmatch(asked)), Permission.ADMIN)


_known: Final = functools.lru_cache(maxsize=4096)(_find)


def require(grant: Grant, method: str, path: str, who: str = "This key") -> None:
    """Raise `Forbidden` where a grant is not enough."""
    permission = needed(method, path)
    if permission is not None and not grant.may(permission, path):
        raise Forbidden(
            f"{who} may not {method} {path[:80]}: it needs the permission {permission.value!r}.",
            next_step="Ask who runs this server for a key that may.",
        )
