"""A request that is one question, answered by one JSON document: read once, asked of one worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from fastapi import Request

from noibo.engines.engine import Model, Verb
from noibo.engines.supervision import keep_alive
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.upstream import Upstream
from noibo.gateway.callers import Caller
from noibo.gateway.exchange import Once
from noibo.gateway.off_loop import off_loop
from noibo.gateway.pipeline import KEEP_ALIVE, Errand
from noibo.gateway.pipeline import Request as Pipelined
from noibo.gateway.reading import read_fields
from noibo.gateway.relay import Relay
from noibo.gateway.reply import Headers, Reply, header
from noibo.gateway.routed.telling import stand_in_headers
from noibo.gateway.routed.virtual import meant
from noibo.gateway.services import Services, services_of
from noibo.gateway.waiting import Waiting
from noibo.wire import body
from noibo.wire.body import Fields
from noibo.wire.management import MODEL_HEADER
from noibo.wire.voice import Voice

Told: TypeAlias = Callable[[Ticket], None]
Parsed = TypeVar("Parsed")
Work: TypeAlias = Callable[[Told], Awaitable[tuple[str, Any]]]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What was asked, by whom, of which model. `fields` are without the model and `keep_alive`."""

    services: Services
    caller: Caller
    fields: Fields
    model: str
    keep_alive: float | None

    @classmethod
    async def read(cls, request: Request) -> Inquiry:
        """The request with its body. Raises `InvalidRequest` or `BodyTooLarge`."""
        services = services_of(request)
        caller = Caller.of(request)
        fields = await read_fields(request)
        model = body.field(fields, "model", str, "") or request.query_params.get("model", "")
        kept = body.field(fields, KEEP_ALIVE, Any)
        for ours in ("model", KEEP_ALIVE):
            fields.pop(ours, None)
        seconds = None if kept is None else keep_alive.parse(kept, KEEP_ALIVE)
        return cls(services, caller, fields, model, seconds)

    @classmethod
    def look(cls, request: Request) -> Inquiry:
        """A request without a body: its model stands in the address."""
        caller = Caller.of(request)
        return cls(services_of(request), caller, {}, request.query_params.get("model", ""), None)

    async def parsed(self, parse: Callable[[Fields], Parsed]) -> Parsed:
        """What `parse` reads of the fields; of many not on the event loop."""
        return await off_loop(body.length(self.fields), parse, self.fields)

    def errand(self, verb: Verb) -> Errand:
        """What is asked of the model's queue."""
        return Errand(verb, self.model, self.caller, self.keep_alive)

    def handed_on(self, path: str, model: Model) -> HandedOn:
        """The response of a model of a foreign engine, which is asked as it is."""
        asked = Pipelined(
            path=path,
            fields=self.fields,
            model=self.model,
            streamed=False,
            wants_progress=False,
            caller=self.caller,
            keep_alive=self.keep_alive,
            foreign=model,
        )
        return HandedOn(self.services, asked, stood_in(self.services, self.model))

    def once(self, voice: Voice, work: Work) -> Once:
        """The response: `work` gives the name of the model that answered, and the document."""

        async def answer(reply: Reply) -> Any:
            reply.headers += stood_in(self.services, self.model)
            with Waiting(reply, self.services.settings.queue.say_after_s, streamed=False) as wait:
                model, found = await work(wait.told)
                await wait.over()
            reply.headers.append(header(MODEL_HEADER, model))
            return found

        return Once(voice, answer)

    def asked(
        self, voice: Voice, verb: Verb, question: Callable[[Upstream], Awaitable[Any]]
    ) -> Once:
        """The response to one question of a worker that does `verb`."""

        async def work(told: Told) -> tuple[str, Any]:
            async with self.services.pipeline.worker(self.errand(verb), told) as upstream:
                return upstream.worker.model.name, await question(upstream)

        return self.once(voice, work)


class HandedOn(Relay):
    """The answer of a foreign engine, with headers of ours."""

    def __init__(self, services: Services, request: Pipelined, headers: Headers) -> None:
        super().__init__(services.pipeline, request, services.settings.queue)
        self._besides = headers

    async def answer(self, reply: Reply) -> None:
        """As any other, after these headers."""
        reply.headers += self._besides
        await super().answer(reply)


def stood_in(services: Services, model: str) -> Headers:
    """Who answers for a virtual model, where nothing is to choose."""
    settings, virtual = services.settings, services.virtual
    name = meant(settings, model)
    behind = virtual.stand_ins.get(name) if name in virtual.choosing else None
    return [] if behind is None else stand_in_headers(name, behind)
