"""OpenAI's responses: made, kept, looked at again, built upon."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from noibo.engines.engine import Model, Verb
from noibo.errors import InvalidRequest, NotSupported
from noibo.gateway import pipeline
from noibo.gateway.callers import Caller
from noibo.gateway.event_stream import EventStream
from noibo.gateway.inquiry import Inquiry, Told
from noibo.gateway.leaving.labels import carried_by, taken_up
from noibo.gateway.off_loop import off_loop
from noibo.gateway.openai.asked import Asked as Chat
from noibo.gateway.page import Page
from noibo.gateway.reading import read_fields
from noibo.gateway.responses import request as responses_request
from noibo.gateway.responses.background import Running, Work
from noibo.gateway.responses.planned import PlannedRelay
from noibo.gateway.responses.request import Prepared
from noibo.gateway.responses.teller import Kept, ResponseRelay, ResponseTeller, Voice
from noibo.gateway.routed.behind import PLANNED
from noibo.gateway.services import Services, services_of
from noibo.gateway.watching.record import current
from noibo.privacy.judgement import LABEL, Reason
from noibo.privacy.walk import OWN
from noibo.wire import ids, openai, responses, sse
from noibo.wire.body import Fields, Json
from noibo.wire.responses.answer import Answer
from noibo.wire.responses.items import file_ids, references

router = APIRouter(prefix="/v1/responses", tags=["openai"])


async def create(request: Request) -> Response:
    """A response, streamed or not, or in the background."""
    services = services_of(request)
    fields = await read_fields(request)
    caller = Caller.of(request)
    prepared = await _prepare(fields, caller, services)
    asked = prepared.asked
    model = await services.resolve(asked.model)
    streamed = asked.streamed or asked.background
    chat = await prepared.chat(model, caller, fields, streamed=streamed)
    teller = await _teller(prepared, chat, model, services)
    voice, queue = Voice(), services.settings.queue
    relay = ResponseRelay(services.pipeline, chat.request, queue, voice, teller)
    if not asked.background:
        return relay
    services.pipeline.expect(model)
    running = Running(teller, (await services.stored()).responses, caller.owner)
    work: Work = relay
    if (choice := PLANNED.get()) is not None:
        teller_of = functools.partial(
            _attempt, prepared, caller, fields, services, teller.answer.id
        )
        work = planned = PlannedRelay(services, choice, teller_of)
        planned.running = running
    told = await running.begin(work, voice, prepared.items)
    services.backgrounds.add(running)
    return EventStream(running.tail(-1, queue.alive_s)) if asked.streamed else JSONResponse(told)


async def _attempt(  # noqa: PLR0913, PLR0917 - a request, and by whom it is to be answered
    prepared: Prepared, caller: Caller, fields: Fields, services: Services, name: str, model: str
) -> tuple[pipeline.Request, ResponseTeller]:
    """The same response, given by another model."""
    prepared = replace(prepared, asked=replace(prepared.asked, model=model))
    found = await services.resolve(model)
    chat = await prepared.chat(found, caller, fields, streamed=True)
    return chat.request, await _teller(prepared, chat, found, services, name)


async def _prepare(fields: Fields, caller: Caller, services: Services) -> Prepared:
    """What is put together of a body and what is stored is bounded as a body is."""
    most = services.settings.server.max_body_bytes
    prepared = await responses_request.prepare(fields, caller, services.stored, most)
    current().labels = await _taken_up(prepared, caller.owner, services)
    return prepared


async def _taken_up(prepared: Prepared, owner: str, services: Services) -> tuple[Reason, ...]:
    """The labels of files, and of responses that it builds on, by a chain or by single items."""
    previous, wanted = prepared.asked.previous, references(prepared.asked.items)
    found: list[Reason] = []
    if previous is not None:
        kept = await (await services.stored()).responses.get(owner, previous)
        found += taken_up(kept.get(OWN), previous)
    if wanted:
        made = await (await services.stored()).responses.made_with(owner, wanted)
        for name, kept in made.items():
            found += taken_up(kept.get(OWN), name)
    for name in dict.fromkeys(file_ids(prepared.items)):
        if (card := await (await services.stored()).files.get(owner, name)) and card.label:
            found += taken_up({LABEL: card.label}, name)
    return tuple(found)


async def _teller(
    prepared: Prepared, chat: Chat, model: Model, services: Services, name: str = ""
) -> ResponseTeller:
    asked, keeping = prepared.asked, None
    if asked.store:
        records = (await services.stored()).responses
        await records.require()  # what cannot be kept is refused before anybody works for it
        keeping = Kept(records, chat.request.caller.owner, prepared.items)
    head = {"id": name or ids.new("resp"), "model": model.called, **asked.said}
    policy = services.border.detection.policy
    if label := carried_by(current(), services.settings, policy, model.name):
        head[OWN] = label
    telling = replace(asked.telling, forced=chat.shape.forced)
    return ResponseTeller(Answer(head, telling, time.time), services.pipeline, keeping)


async def count_input(request: Request) -> Response:
    """How many tokens the prompt of such a request has."""
    inquiry = await Inquiry.read(request)
    services = inquiry.services
    prepared = await _prepare(inquiry.fields, inquiry.caller, services)
    model = await services.resolve(inquiry.model)
    chat = await prepared.chat(model, inquiry.caller, inquiry.fields, streamed=False)
    path = responses_request.PATH + "/input_tokens"

    async def count(told: Told) -> tuple[str, Json]:
        errand, fields = inquiry.errand(Verb.TOKENISE), chat.request.fields
        with responses_request.in_its_words():
            name, found = await services.pipeline.ask_of_chat(errand, path, fields, told)
        return name, {"object": "response.input_tokens", "input_tokens": found["input_tokens"]}

    return inquiry.once(openai.Voice(), count)


@router.post("/compact", include_in_schema=False)
async def compact() -> None:
    """Conversations are not compacted."""
    raise NotSupported(
        "noibo does not compact conversations yet.",
        next_step="Ask a model for a summary, and send that as input.",
    )


class _Look(BaseModel, extra="forbid"):
    """How a response is looked at."""

    stream: bool = False
    starting_after: Annotated[int, Field(ge=0)] | None = None
    include: list[str] = Field([], alias="include[]")
    include_obfuscation: bool = False


@router.get("/{name}")
async def retrieve(request: Request, name: str, look: Annotated[_Look, Query()]) -> Response:
    """A response that was kept; or the stream of one in the background, from any of its events."""
    responses.require_includes(look.include)
    if look.stream:
        return await _stream(request, name, look)
    if look.starting_after is not None:
        raise InvalidRequest("starting_after: only with stream.", param="starting_after")
    services, owner = services_of(request), _owner(request)
    running = services.backgrounds.find(owner, name)
    if running and (found := await running.response()):
        return JSONResponse(found)
    return JSONResponse(await (await services.stored()).responses.get(owner, name))


async def _stream(request: Request, name: str, look: _Look) -> Response:
    services, owner = services_of(request), _owner(request)
    if look.include_obfuscation:
        raise InvalidRequest(
            "include_obfuscation: a stream is told again as it was told.",
            param="include_obfuscation",
            next_step="Ask for it when the response is made: stream_options.",
        )
    after = -1 if look.starting_after is None else look.starting_after
    if running := services.backgrounds.find(owner, name):
        return EventStream(running.tail(after, services.settings.queue.alive_s))
    records = (await services.stored()).responses
    kept = await records.events(owner, name)
    if kept is None:
        status = (await records.get(owner, name))["status"]
        raise InvalidRequest(
            f"{name} has no stream to be told again; it is {status}.",
            param="stream",
            next_step=f"Look at it: GET /v1/responses/{name}. The stream of one that ran in the"
            " background can be told by the server that ran it, and by all when it has ended.",
        )
    events = await off_loop(len(kept), lambda: list(sse.events(kept))[after + 1 :])
    return Response(b"".join(events), media_type=openai.Voice.stream_type)


@router.delete("/{name}")
async def delete(request: Request, name: str) -> Json:
    """Forget a response, and its input."""
    services, owner = services_of(request), _owner(request)
    await (await services.stored()).responses.delete(owner, name)
    if running := services.backgrounds.find(owner, name):
        await running.cancel()  # of what is deleted nothing is kept
    return {"id": name, "object": "response", "deleted": True}


class _Rows(BaseModel, extra="forbid"):
    """Which items are wanted."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: str | None = None
    order: Literal["asc", "desc"] = "desc"
    include: list[str] = Field([], alias="include[]")


@router.get("/{name}/input_items")
async def input_items(request: Request, name: str, rows: Annotated[_Rows, Query()]) -> Json:
    """What a response was given, page by page."""
    responses.require_includes(rows.include)
    records = (await services_of(request).stored()).responses
    page = Page(rows.limit, rows.after, rows.order)
    return await records.input_items(_owner(request), name, page)


@router.post("/{name}/cancel")
async def cancel(request: Request, name: str) -> JSONResponse:
    """End a response that runs in the background. One that has ended stays as it is."""
    services, owner = services_of(request), _owner(request)
    records = (await services.stored()).responses
    found = await records.get(owner, name)
    if not found["background"]:
        raise InvalidRequest(
            f"{name} does not run in the background.",
            param="response_id",
            next_step="Any other response ends when its connection is closed.",
        )
    if running := services.backgrounds.find(owner, name):
        await running.cancel()
    else:
        await records.cancel(owner, name)  # another server works on it, and will see that
    return JSONResponse(await records.get(owner, name))


def _owner(request: Request) -> str:
    return Caller.of(request).owner


# Plain routes: on the hot path nothing is injected and nothing is validated twice.
router.add_route("/v1/responses", create, methods=["POST"])
router.add_route("/v1/responses/input_tokens", count_input, methods=["POST"])
