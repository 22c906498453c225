"""Anthropic's routes: messages, and how many tokens one would take."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from noibo.engines.engine import Verb
from noibo.engines.supervision import keep_alive
from noibo.errors import NotSupported
from noibo.gateway import pipeline, recorded
from noibo.gateway.anthropic import request as anthropic_request
from noibo.gateway.anthropic.request import Asked
from noibo.gateway.anthropic.teller import MessageTeller
from noibo.gateway.callers import Caller
from noibo.gateway.exchange import Once
from noibo.gateway.inquiry import stood_in
from noibo.gateway.off_loop import off_loop
from noibo.gateway.reading import read_fields
from noibo.gateway.relay import Relay
from noibo.gateway.reply import Reply
from noibo.gateway.services import Services, services_of
from noibo.gateway.waiting import Waiting
from noibo.wire import anthropic, body
from noibo.wire.body import Fields, Json

router = APIRouter(tags=["anthropic"])
VOICE: Final = anthropic.Voice()


async def messages(request: Request) -> Response:
    """An answer to a conversation, streamed or not."""
    services = services_of(request)
    fields = await read_fields(request)
    asked = await _read(services, fields)
    _record(request, asked)
    kept = body.field(fields, pipeline.KEEP_ALIVE, object)
    generation = pipeline.Request(
        path="/v1/chat/completions",
        fields=asked.fields,
        model=anthropic_request.model_name(fields),  # the name says by which engine, or adapter
        streamed=asked.streamed,
        wants_progress=False,
        caller=_caller(request),
        keep_alive=None if kept is None else keep_alive.parse(kept, pipeline.KEEP_ALIVE),
        made_of=asked.made_of,
    )
    teller = MessageTeller(asked)
    return Relay(services.pipeline, generation, services.settings.queue, VOICE, teller)


async def count_tokens(request: Request) -> Response:
    """How many tokens the prompt of such a message has."""
    services = services_of(request)
    fields = await read_fields(request)
    asked = await _read(services, fields, counts=True)
    name = anthropic_request.model_name(fields)
    errand = pipeline.Errand(Verb.TOKENISE, name, _caller(request))

    async def count(reply: Reply) -> Json:
        reply.headers += stood_in(services, name)
        say_after_s = services.settings.queue.say_after_s
        with Waiting(reply, say_after_s, streamed=False) as waiting:
            _, found = await services.pipeline.ask_of_chat(
                errand, "/v1/chat/completions/input_tokens", asked.fields, waiting.told
            )
            await waiting.over()
        return {"input_tokens": found["input_tokens"]}

    return Once(VOICE, count)


async def batches(request: Request) -> Response:
    """Batches in Anthropic's shape are not served."""
    raise NotSupported(
        "Batches of messages are not served.",
        next_step="Send them as messages with `X-Noibo-Priority: batch`, or as OpenAI's batches.",
    )


async def _read(services: Services, fields: Fields, *, counts: bool = False) -> Asked:
    """What the model is asked. Raises `InvalidRequest`."""
    model = await services.resolve(anthropic_request.model_name(fields))
    length = body.length(fields)
    return await off_loop(length, anthropic_request.read, fields, model, counts=counts)


def _record(request: Request, asked: Asked) -> None:
    """What is accepted and has no effect on the answer stands in the log, and no content."""
    for name in ("anthropic-version", "anthropic-beta"):
        if said := request.headers.get(name):
            asked.recorded[name] = said
    recorded.note(_caller(request).name, asked.recorded)


def _caller(request: Request) -> Caller:
    return Caller.of(request)


router.add_route("/v1/messages", messages, methods=["POST"])
router.add_route("/v1/messages/count_tokens", count_tokens, methods=["POST"])
for path in ("/v1/messages/batches", "/v1/messages/batches/{rest:path}"):
    router.add_route(path, batches, methods=["GET", "POST", "DELETE"], include_in_schema=False)
