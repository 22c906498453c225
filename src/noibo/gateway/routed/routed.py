"""Answers requests to virtual models, on every API that generates.

Each attempt is the same request with a real model's name in it, through the same routes as any
other: what is made of it for that model, checked and told, is made as if the caller had named that
model itself. The next is asked only before the first word of an answer has gone to the caller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from noibo.errors import NoiboError
from noibo.gateway.access.identity import now
from noibo.gateway.access.models import STANDS_FOR
from noibo.gateway.reading import BODY, read_body
from noibo.gateway.routed.asking import NAMES, Asking
from noibo.gateway.routed.outer import Outer, remarks
from noibo.gateway.routed.telling import route_headers
from noibo.gateway.routed.virtual import meant
from noibo.gateway.services import Services, services_in
from noibo.gateway.watching.record import current
from noibo.privacy.walk import OWN
from noibo.routing.virtual import VirtualModel
from noibo.wire import body
from noibo.wire.body import Fields
from noibo.wire.voice import Voice

log = logging.getLogger(__name__)

PATHS: Final = frozenset(
    (
        *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"),
        *("/api/chat", "/api/generate", "/completion", "/completions", "/infill"),
    )
)
_RESPONSES: Final = "/v1/responses"


class Routed:
    """ASGI middleware. `respond` says an error as the API says it that was asked, `voice_of` how
    that API speaks."""

    def __init__(
        self,
        app: ASGIApp,
        respond: Callable[[Request, NoiboError], Response],
        voice_of: Callable[[str], Voice],
    ) -> None:
        self._app = app
        self._respond = respond
        self._voice_of = voice_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in PATHS or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        services = services_in(scope)
        if not services.virtual.choosing:
            return await self._app(scope, receive, send)
        first = await receive()
        receive = _Replayed(first, receive)
        if not first.get("more_body") and not services.virtual.may_be_asked(first.get("body", b"")):
            return await self._app(scope, receive, send)  # as nearly all
        try:
            text = await read_body(Request(scope, receive))
            scope[BODY] = text
            found = _asked(services, text) if services.virtual.may_be_asked(text) else None
            if found is None:
                return await self._app(scope, receive, send)
            await self._route(services, *found, scope, receive, send)
        except ClientDisconnect:
            await Response(status_code=499)(scope, receive, send)
        except NoiboError as error:
            await self._respond(Request(scope), error)(scope, receive, send)
        return None

    async def _route(  # noqa: PLR0913, PLR0917 - a request of ASGI, read
        self,
        services: Services,
        asked: VirtualModel,
        fields: Fields,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        record = current()
        record.asked, record.strategy = asked.name, asked.strategy.kind
        if OWN in fields:
            record.own = fields.pop(OWN)
        if now().grant.may_use(asked.name):
            STANDS_FOR.set(asked.name)
        path = scope["path"]
        choice = await services.chooser.choose(record, asked, path, fields)
        outer = Outer(send, self._voice_of(path))
        outer.early = route_headers(choice.plan, "", [], [])
        asking = Asking(self._app, services, choice, fields, outer)
        if _goes_on(path, fields):
            return await asking.begin(scope, receive)
        streamed = _streams(path, fields)
        after_s = services.settings.queue.say_after_s
        if not streamed:
            return await asking.ask(scope, receive)
        async with remarks(outer, after_s):
            await asking.ask(scope, receive)
        return None


class _Replayed:
    """What comes, from a first message on that somebody has looked at."""

    __slots__ = ("_first", "_receive")

    def __init__(self, first: Message, receive: Receive) -> None:
        self._first: Message | None = first
        self._receive = receive

    async def __call__(self) -> Message:
        if self._first is None:
            return await self._receive()
        first, self._first = self._first, None
        return first


def _asked(services: Services, text: bytes) -> tuple[VirtualModel, Fields] | None:
    """The virtual model that a body names, and its fields. What is wrong with the body is said by
    who reads it next."""
    try:
        fields = body.read_fields(text)
        said = next((body.field(fields, name, str) for name in NAMES if name in fields), "")
    except NoiboError:
        return None
    settings = services.settings
    asked = services.virtual.choosing.get(meant(settings, said))
    return None if asked is None else (asked, fields)


def _goes_on(path: str, fields: Mapping[str, Any]) -> bool:
    try:
        return path == _RESPONSES and bool(body.field(dict(fields), "background", bool, False))
    except NoiboError:
        return False


def _streams(path: str, fields: Mapping[str, Any]) -> bool:
    usual = path.startswith("/api/")
    try:
        return bool(body.field(dict(fields), "stream", bool, usual))
    except NoiboError:
        return False
