"""Watches every request from its first byte to its last: gives it a name, times it, tells it.

The outermost middleware, so that what is refused at the door is seen too. An answer's chunks pass
by without a look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from noibo import logs
from noibo.errors import NoiboError
from noibo.gateway.services import services_in
from noibo.gateway.watching import request_id
from noibo.gateway.watching.metrics import Metrics
from noibo.gateway.watching.places import Places
from noibo.gateway.watching.record import CURRENT, Record
from noibo.privacy.receipt import STAYED
from noibo.wire import anthropic
from noibo.wire.management import RECEIPT_HEADER

log = logging.getLogger(__name__)

_SEEN: Final = "noibo.watched"
_MESSAGES: Final = "/v1/messages"
_MODELS: Final = "/v1/models"  # two APIs have that route
_VERSION: Final = anthropic.VERSION_HEADER.encode()
_RECEIPT: Final = RECEIPT_HEADER.lower().encode()
_STAYED: Final = (_RECEIPT, STAYED.encode())


class Watch:
    """ASGI middleware. The services of the app hold what is counted in, and who is told of each
    request. `respond` says an error as the API says it that was asked."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request, NoiboError], Response]) -> None:
        self._app = app
        self._respond = respond
        self._places: Places | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _SEEN in scope:  # or the same under its other path
            await self._app(scope, receive, send)
            return
        scope[_SEEN] = True
        name = request_id.of(scope["headers"])
        services = services_in(scope)
        metrics: Metrics = services.metrics
        told, kept = services.watched, services.kept
        record = Record(scope, name, self._route(scope), metrics, told, kept)

        def pass_on(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                about = [*_names(scope, name), _receipt(record)]
                message["headers"] = [*message.get("headers", ()), *about]
            return send(message)

        named, carried = logs.request_id.set(name), CURRENT.set(record)
        metrics.under_way += 1
        try:
            await self._app(scope, receive, pass_on)
        except asyncio.CancelledError:
            record.left = True
            raise
        except Exception:  # nobody thought of it
            log.exception("a request failed")
            error = NoiboError("noibo failed on this request; its log says why.")
            record.failed(error)
            if not record.status:
                await self._respond(Request(scope), error)(scope, receive, pass_on)
        finally:
            metrics.under_way -= 1
            record.end()
            CURRENT.reset(carried)
            logs.request_id.reset(named)

    def _route(self, scope: Scope) -> str:
        if self._places is None:  # all routes are there by the first request
            found = iter_route_contexts(scope["app"].routes)
            self._places = Places(str(route.path) for route in found)
        return self._places.find(scope["path"])


def _receipt(record: Record) -> tuple[bytes, bytes]:
    """What became of it. What never could leave has stayed."""
    if record.journey is None:
        return _STAYED
    if record.status >= 400:
        record.journey.pending = False
    return _RECEIPT, record.journey.header().encode("ascii", "replace")


def _names(scope: Scope, name: str) -> list[tuple[bytes, bytes]]:
    """The headers that say it: also under the name that Anthropic's clients look for."""
    said = name.encode()
    found = [(request_id.HEADER, said)]
    path: str = scope["path"]
    if path.startswith(_MESSAGES) or (path.startswith(_MODELS) and _speaks_it(scope)):
        found.append((request_id.ANTHROPICS, said))
    return found


def _speaks_it(scope: Scope) -> bool:
    return any(name == _VERSION for name, _ in scope["headers"])
