"""One request to a virtual model, and all that are asked for it in turn."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.types import ASGIApp, Receive, Scope

from noibo.errors import ApiCallsExceeded
from noibo.gateway.reading import BODY
from noibo.gateway.routed.attempt import ATTEMPT, Attempt
from noibo.gateway.routed.behind import PLANNED
from noibo.gateway.routed.choosing import Choice
from noibo.gateway.routed.outcome import outcome_of
from noibo.gateway.routed.outer import Held, Outer
from noibo.gateway.routed.telling import reasons_of, route_headers, route_json
from noibo.gateway.routed.walk import ANSWERED, Ending, Walk
from noibo.gateway.services import Services
from noibo.gateway.watching.record import Record, current
from noibo.routing.plan import Outcome, Target
from noibo.wire.body import Fields, raw

NAMES: Final = ("model", "name")  # Ollama's older clients say name
_CHECKING: Final = "{} answers, and its answer will be checked before it is told"
_ASKING: Final = "waiting for {}"
_OK: Final = 200


class Asking:
    """Each attempt is the same request with a real model's name in it, sent through `app`."""

    def __init__(
        self, app: ASGIApp, services: Services, choice: Choice, fields: Fields, outer: Outer
    ) -> None:
        self._app = app
        self._plan = choice.plan
        self._choice = choice
        self._fields = fields
        self._outer = outer
        self._record: Record = current()
        self._walk = Walk(services, choice)

    async def ask(self, scope: Scope, receive: Receive) -> None:
        """Until one has answered, or none is left."""
        self._record.reasons = reasons_of(self._plan, [], [])

        async def ask(target: Target, attempt: Attempt) -> tuple[Held, Ending]:
            return await self._ask(target, attempt, scope, receive)

        held, ending = await self._walk.go(ask)
        if held.given or self._record.left:
            return
        if ending not in {ANSWERED, Outcome.UNFIT}:
            await self._fail(held)
            return
        self._walk.settle(held.model, ending)
        await held.give()

    async def begin(self, scope: Scope, receive: Receive) -> None:
        """Let it be taken on, by the first for whom it can be put: the plan is kept to in the
        background (`responses.planned`)."""
        self._record.reasons = reasons_of(self._plan, [], [])
        self._outer.headers += route_headers(self._plan, "", [], [])

        async def ask(target: Target, _: Attempt) -> tuple[Held, Ending]:
            """Without a word of an answer: what is said is that it is taken on."""
            begun = Attempt(target.model, {}, checks=False, begun=True)
            held = Held(self._outer, begun, lambda: None)
            await self._app(self._renamed(target.model, scope), receive, held)
            return held, ANSWERED if held.given else outcome_of(self._record.fault, held.status)

        token = PLANNED.set(self._choice)
        try:
            held, _ = await self._walk.go(ask)
        finally:
            PLANNED.reset(token)
        if not held.given:
            await self._outer.say(held.messages)

    async def _ask(
        self, target: Target, attempt: Attempt, scope: Scope, receive: Receive
    ) -> tuple[Held, Ending]:
        record = self._record
        self._outer.words = (_CHECKING if target.check else _ASKING).format(target.model)
        held = Held(self._outer, attempt, lambda: self._begins(target))
        try:
            self._walk.require_call(target)
        except ApiCallsExceeded as error:
            record.fault = error
            return held, outcome_of(error, error.status)
        token = ATTEMPT.set(attempt)
        try:
            await self._app(self._renamed(target.model, scope), receive, held)
        finally:
            ATTEMPT.reset(token)
        if held.given:
            return held, ANSWERED
        if record.left:
            return held, None
        if record.fault is not None or held.status != _OK:
            return held, outcome_of(record.fault, held.status)
        if attempt.failed and not attempt.begun:
            return held, Outcome.FAILED
        ending = await self._walk.judge(attempt)
        return held, None if record.left else ending

    def _begins(self, target: Target) -> None:
        walk = self._walk
        if not self._outer.begun:
            self._outer.headers += route_headers(self._plan, target.model, walk.tried, walk.said)
        walk.begins(target.model)

    async def _fail(self, held: Held) -> None:
        plan, record, walk = self._plan, self._record, self._walk
        if not self._outer.begun:
            self._outer.headers += route_headers(plan, "", walk.tried, walk.said)
        if record.journey is not None:
            record.journey.pending = False
            record.journey.route = route_json(plan, "", walk.tried)
        if record.fault is not None and not held.messages and not self._outer.begun:
            raise record.fault  # it was not asked: nobody has said so yet
        await self._outer.fail(record.fault, held.messages)

    def _renamed(self, model: str, scope: Scope) -> Scope:
        """The same request, to that model."""
        fields = {name: value for name, value in self._fields.items() if name not in NAMES}
        text = msgspec.json.encode({"model": raw(model), **fields})
        return {**scope, BODY: text}
