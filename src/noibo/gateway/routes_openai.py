"""OpenAI's routes: models, chat completions, completions."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from noibo.errors import BodyTooLarge, NoiboError
from noibo.gateway import pipeline
from noibo.gateway.callers import Caller
from noibo.gateway.relay import Relay
from noibo.gateway.services import Services, services_of
from noibo.wire import openai

router = APIRouter(prefix="/v1", tags=["openai"])


@router.get("/models")
async def models(request: Request) -> dict[str, object]:
    """The models that can be asked."""
    found = await services_of(request).list_models()
    return {"object": "list", "data": [openai.model_card(*model) for model in found]}


@router.get("/models/{name:path}")
async def model(request: Request, name: str) -> dict[str, object]:
    """One model."""
    found = (await services_of(request).resolve(name)).name
    made = dict(await services_of(request).list_models()).get(found, 0)
    return openai.model_card(found, made)


async def generate(request: Request) -> Response:
    """Chat completions and completions: bytes through, parsed only where a decision needs it."""
    services = services_of(request)
    try:
        caller = Caller.of(request.headers, request.client.host if request.client else None)
        body = await read_body(request, services)
        asked = pipeline.Request.parse(request.url.path, body, caller)
    except NoiboError as error:
        return JSONResponse(openai.error_body(error), error.status, openai.error_headers(error))
    except ClientDisconnect:
        return Response(status_code=499)  # nobody is there to read it
    return Relay(services.pipeline, asked, services.settings.queue)


async def read_body(request: Request, services: Services) -> bytes:
    """The body, up to the limit. Raises `BodyTooLarge`."""
    limit = services.settings.server.max_body_bytes
    said = request.headers.get("content-length", "")
    body = bytearray()
    if not (said.isdecimal() and int(said) > limit):
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise BodyTooLarge(
        f"The request body is larger than {limit} bytes.",
        next_step="Send less, or raise server.max_body_bytes.",
    )


# Plain routes: on the hot path nothing is injected and nothing is validated twice.
for path in ("/chat/completions", "/completions"):
    router.add_route("/v1" + path, generate, methods=["POST"])
