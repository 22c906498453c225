"""OpenAI's routes: models, chat completions, completions, and what is not served, said clearly."""

from __future__ import annotations

from functools import partial
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from noibo.errors import NoiboError, NotSupported
from noibo.gateway.callers import Caller
from noibo.gateway.exchange import Exchange
from noibo.gateway.off_loop import off_loop
from noibo.gateway.openai import asked as openai_asked
from noibo.gateway.openai import model as openai_model
from noibo.gateway.openai import scoring
from noibo.gateway.openai.asked import Asked
from noibo.gateway.openai.fan import Fan
from noibo.gateway.openai.scoring import Scoring
from noibo.gateway.pipeline import Request as Pipelined
from noibo.gateway.reading import read_fields
from noibo.gateway.relay import Relay
from noibo.gateway.services import Services, services_of
from noibo.gateway.watching.record import current
from noibo.wire import anthropic, openai
from noibo.wire.body import field, length

router = APIRouter(prefix="/v1", tags=["openai"])

_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
# What OpenAI serves and noibo does not, and what to do instead.
NOT_SERVED: Final = {
    "/audio/speech": "No model here speaks.",
    "/audio/transcriptions": "No model here hears.",
    "/audio/translations": "No model here hears.",
    "/audio/voices": "No model here speaks.",
    "/images": "No model here draws. A model with a projector can be shown pictures in a chat.",
    "/videos": "No model here makes videos.",
    "/moderations": "There is no moderation model here: ask a chat model to judge the text.",
    "/fine_tuning": "noibo does not train yet.",
    "/evals": "noibo does not measure models over this route.",
    "/assistants": "Use /v1/chat/completions or /v1/responses.",
    "/threads": "Use /v1/responses with previous_response_id.",
    "/conversations": "Use /v1/responses with previous_response_id.",
    "/realtime": "Use /v1/chat/completions with stream: true.",
    "/vector_stores": "Make vectors with /v1/embeddings, and keep them with the caller.",
    "/uploads": "Use /v1/files.",
    "/containers": "Nothing runs code here.",
}


@router.get("/models")
async def models(request: Request) -> dict[str, object]:
    """The models that can be asked; in Anthropic's shape for who speaks that API."""
    found = await services_of(request).list_models()
    if anthropic.VERSION_HEADER in request.headers:
        return anthropic.model_page(found, request.query_params)
    return {"object": "list", "data": [openai.model_card(*model) for model in found]}


@router.get("/models/{name:path}")
async def model(request: Request, name: str) -> dict[str, object]:
    """One model, by its name or an alias of it; the engine that it is named with stays there."""
    services = services_of(request)
    rows = dict(await services.list_models())
    shapes = anthropic if anthropic.VERSION_HEADER in request.headers else openai
    listed = full = name
    if name not in rows:
        found = await services.resolve(name)
        listed = found.name
        full = f"{listed}@{found.apart}" if found.apart else listed
    card: dict[str, object] = shapes.model_card(full, rows.get(listed, 0))
    return card


@router.delete("/models/{name:path}")
async def remove_model(name: str) -> None:
    """Models are removed by hand: OpenAI's clients may hold a key that was given to talk only."""
    raise NotSupported(
        f"{name} is not removed over OpenAI's API.", next_step=f"Type `noibo rm {name}`."
    )


async def generate(request: Request) -> Response:
    """Chat completions and completions: bytes through, parsed only where a decision needs it."""
    services = services_of(request)
    try:
        caller = Caller.of(request)
        fields = await read_fields(request)
        model = await services.resolve(field(fields, "model", str, ""))
        if services.supervisor.engine(model.engine).foreign:
            handed_on = Pipelined.of(request.scope["path"], fields, caller, foreign=model)
            return Relay(services.pipeline, handed_on, services.settings.queue)
        reading = partial(openai_asked.read, request.scope["path"], caller=caller)
        asked = await off_loop(length(fields), reading, fields)
        if openai_model.needs_model(asked.request):
            size = length(asked.request.fields)
            asked = await off_loop(size, openai_model.fit, asked, model)
    except NoiboError as error:
        current().failed(error)
        return JSONResponse(openai.error_body(error), error.status, openai.error_headers(error))
    return _answering(asked, services)


def _answering(asked: Asked, services: Services) -> Exchange:
    if asked.plain:
        return Relay(services.pipeline, asked.request, services.settings.queue)
    fan = Fan(services.pipeline, services.settings.queue, asked)
    return Scoring(services, asked, fan) if scoring.asks(asked) else fan


async def not_served(request: Request) -> Response:
    """What OpenAI serves and noibo does not: a 501 that says what to do instead."""
    path = request.scope["path"].removeprefix("/v1")
    instead = next((NOT_SERVED[start] for start in NOT_SERVED if path.startswith(start)), "")
    error = NotSupported(f"noibo does not serve /v1{path}.", next_step=instead)
    return JSONResponse(openai.error_body(error), error.status)


async def not_stored(request: Request) -> Response:
    """Chat completions are not kept."""
    error = NotSupported(
        "noibo keeps no chat completions yet.",
        next_step="Responses are kept: use /v1/responses.",
    )
    return JSONResponse(openai.error_body(error), error.status)


# Plain routes: on the hot path nothing is injected and nothing is validated twice.
HOT: Final = dict.fromkeys(("/v1/chat/completions", "/v1/completions"), generate)
for path in HOT:
    router.add_route(path, generate, methods=["POST"])
# What is only refused is not in the document.
refuse = partial(router.add_route, include_in_schema=False)
refuse("/v1/chat/completions", not_stored, methods=["GET"])
refuse("/v1/chat/completions/{rest:path}", not_stored, methods=_METHODS)
for path in NOT_SERVED:
    refuse("/v1" + path, not_served, methods=_METHODS)
    refuse("/v1" + path + "/{rest:path}", not_served, methods=_METHODS)
