"""Answers requests to virtual models, on every API that generates.

Each attempt is the same request with a real model's name in it, through the same routes as any
other: what is made of it for that model, checked and told, is made as if the caller had named that
model itself. The next is asked only before the first word of an answer has gone to the caller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from noibo.errors import ApiCallsExceeded, NoiboError
from noibo.gateway.access.identity import now
from noibo.gateway.access.models import STANDS_FOR
from noibo.gateway.reading import BODY, read_body
from noibo.gateway.routed.attempt import ATTEMPT, Attempt
from noibo.gateway.routed.behind import PLANNED
from noibo.gateway.routed.checked import check
from noibo.gateway.routed.choosing import Choice
from noibo.gateway.routed.outcome import outcome_of
from noibo.gateway.routed.outer import Held, Outer, remarks
from noibo.gateway.routed.telling import Tried, reasons_of, route_headers, route_json
from noibo.gateway.routed.virtual import meant
from noibo.gateway.services import Services, services_in
from noibo.gateway.watching.record import Record, current
from noibo.privacy.walk import OWN
from noibo.routing.plan import Outcome, Target
from noibo.routing.virtual import VirtualModel
from noibo.wire import body
from noibo.wire.body import Fields, raw
from noibo.wire.voice import Voice

log = logging.getLogger(__name__)

PATHS: Final = frozenset(
    (
        *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"),
        *("/api/chat", "/api/generate", "/completion", "/completions", "/infill"),
    )
)
_RESPONSES: Final = "/v1/responses"
_NAMES: Final = ("model", "name")  # Ollama's older clients say name
_CHECKING: Final = "{} answers, and its answer will be checked before it is told"
_ASKING: Final = "waiting for {}"


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


class Asking:
    """One request, and all that are asked for it in turn."""

    def __init__(
        self, app: ASGIApp, services: Services, choice: Choice, fields: Fields, outer: Outer
    ) -> None:
        self._app = app
        self._services = services
        self._choice = choice
        self._fields = fields
        self._outer = outer
        self._record: Record = current()
        self._tried: Tried = []
        self._said: list[str] = []  # of answers that were checked

    async def ask(self, scope: Scope, receive: Receive) -> None:
        """Until one has answered, or none is left."""
        plan, record = self._choice.plan, self._record
        record.reasons = reasons_of(plan, [], [])
        kept: tuple[Held, Target] | None = None  # an answer that was not good, and is one
        place: int | None = 0
        while place is not None:
            target = plan.targets[place]
            held, outcome = await self._try(target, scope, receive)
            if held.given or record.left:
                return None
            if outcome is Outcome.UNFIT:
                kept = kept or (held, target)
            if outcome is None and held.status == 200:
                return await self._give(held, target)
            self._tried.append((target.model, outcome.value if outcome else "refused"))
            place = None if outcome is None else plan.after(place, outcome)
            if place is None and kept is not None:
                return await self._give(*kept, unfit=True)
            if place is None:
                await self._fail(held)
        return None

    async def begin(self, scope: Scope, receive: Receive) -> None:
        """Let it be taken on, by the first for whom it can be put: the plan is kept to in the
        background (`responses.planned`)."""
        plan, record = self._choice.plan, self._record
        record.reasons = reasons_of(plan, [], [])
        self._outer.headers += route_headers(plan, "", [], [])
        token = PLANNED.set(self._choice)
        try:
            place: int | None = 0
            while place is not None:
                record.error, record.fault = "", None
                model = plan.targets[place].model
                held = Held(self._outer, Attempt(model, {}, checks=False, begun=True), _nothing)
                await self._app(self._renamed(model, scope), receive, held)
                outcome = None if held.given else outcome_of(record.fault, held.status)
                place = None if outcome is None else plan.after(place, outcome)
        finally:
            PLANNED.reset(token)
        if not held.given:
            await self._outer.say(held.messages)

    async def _try(
        self, target: Target, scope: Scope, receive: Receive
    ) -> tuple[Held, Outcome | None]:
        """Ask one. None: it has answered, or nobody else is to be asked."""
        record = self._record
        record.error, record.fault, record.kept = "", None, False
        attempt = Attempt(target.model, target.side.fields(), target.check)
        self._outer.words = (_CHECKING if target.check else _ASKING).format(target.model)
        held = Held(self._outer, attempt, lambda: self._begins(target))
        calls = self._services.virtual.calls.get(self._choice.virtual.name)
        if not target.local and calls is not None and not calls.take():
            record.fault = ApiCallsExceeded(
                "All calls that may be made elsewhere in an hour are made.",
                next_step="Wait, or raise max_api_calls_per_hour.",
                retry_after_s=calls.means().retry_after_s,
            )
            return held, Outcome.BUSY
        token = ATTEMPT.set(attempt)
        try:
            await self._app(self._renamed(target.model, scope), receive, held)
        finally:
            ATTEMPT.reset(token)
        if held.given or record.left:
            return held, None
        if record.fault is not None or held.status != 200:
            return held, outcome_of(record.fault, held.status)
        if attempt.failed and not attempt.begun:
            return held, Outcome.FAILED
        if target.check:
            verdict = await check(self._services, self._choice, attempt)
            self._said += [f"{target.model}: {why}" for why in verdict.reasons()]
            return held, None if verdict.good else Outcome.UNFIT
        return held, None

    async def _give(self, held: Held, target: Target, *, unfit: bool = False) -> None:
        record = self._record
        record.error, record.fault = "", None
        if unfit:
            self._services.chooser.remember(self._choice, target.model, unfit=True)
        await held.give()

    def _begins(self, target: Target) -> None:
        """Its answer goes to the caller from here on."""
        plan, record = self._choice.plan, self._record
        if not self._outer.begun:
            self._outer.headers += route_headers(plan, target.model, self._tried, self._said)
        chooser = self._services.chooser
        chooser.heard(record, self._choice, target.model, self._tried, self._said)

    async def _fail(self, held: Held) -> None:
        plan, record = self._choice.plan, self._record
        if not self._outer.begun:
            self._outer.headers += route_headers(plan, "", self._tried, self._said)
        if record.journey is not None:
            record.journey.pending = False
            record.journey.route = route_json(plan, "", self._tried)
        if record.fault is not None and not held.messages and not self._outer.begun:
            raise record.fault  # it was not asked: nobody has said so yet
        await self._outer.fail(record.fault, held.messages)

    def _renamed(self, model: str, scope: Scope) -> Scope:
        """The same request, to that model."""
        fields = {name: value for name, value in self._fields.items() if name not in _NAMES}
        text = msgspec.json.encode({"model": raw(model), **fields})
        return {**scope, BODY: text}


def _nothing() -> None:
    """Who answers is not known yet."""


def _asked(services: Services, text: bytes) -> tuple[VirtualModel, Fields] | None:
    """The virtual model that a body names, and its fields. What is wrong with the body is said by
    who reads it next."""
    try:
        fields = body.read_fields(text)
        said = next((body.field(fields, name, str) for name in _NAMES if name in fields), "")
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
