"""The ASGI application: routes, errors as responses, and the life of the services."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

import noibo
from noibo.engines.supervision.claim import Claim
from noibo.errors import InvalidRequest, NoiboError
from noibo.gateway.access import routes as routes_access
from noibo.gateway.access.doorman import Doorman
from noibo.gateway.anthropic import routes as routes_anthropic
from noibo.gateway.batches import routes as routes_batches
from noibo.gateway.described import describe
from noibo.gateway.files import routes as routes_files
from noibo.gateway.hot import Hot
from noibo.gateway.llama import routes as routes_llama
from noibo.gateway.management import (
    routes_discovery,
    routes_engines,
    routes_feedback,
    routes_models,
    routes_receipts,
    routes_server,
    routes_usage,
    routes_workers,
)
from noibo.gateway.ollama import routes as routes_ollama
from noibo.gateway.openai import routes as routes_openai
from noibo.gateway.openai import routes_embeddings
from noibo.gateway.origin import KnownPages
from noibo.gateway.responses import routes as routes_responses
from noibo.gateway.responses.sweeper import sweep
from noibo.gateway.routed.routed import Routed
from noibo.gateway.services import Services
from noibo.gateway.watching import routes as routes_watching
from noibo.gateway.watching.record import current
from noibo.gateway.watching.watch import Watch
from noibo.wire import anthropic, llama_server, models, ollama, openai
from noibo.wire.voice import Voice

log = logging.getLogger(__name__)

_APIS = (
    routes_llama,  # before what takes all under /v1/chat/completions
    routes_openai,
    routes_embeddings,
    routes_responses,
    routes_files,
    routes_batches,
    routes_anthropic,
    routes_ollama,
)
_OWN_SHAPES: Final[Mapping[str, Voice]] = {
    "/api/": ollama.Voice(),
    "/v1/messages": anthropic.Voice(),
    **dict.fromkeys(llama_server.PATHS, llama_server.Voice()),
}
OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


def create_app(open_services: OpenServices) -> FastAPI:
    """The application. `open_services` is entered when the server starts and left when it stops."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services() as services:
            app.state.services = services
            beside = [
                asyncio.create_task(_preload(services)),
                asyncio.create_task(services.batches.run(app)),
                asyncio.create_task(sweep(services.stored, services.settings)),
            ]
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

    app = _App(
        title="noibo",
        version=noibo.__version__,
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from another host
        redoc_url=None,
        openapi_url="/noibo/v1/openapi.json",
        telemetry={"auto_configure": False},  # it would export past the door outward
    )
    app.include_router(routes_server.health)
    app.include_router(routes_server.router)
    app.include_router(routes_workers.router)
    app.include_router(routes_engines.router)
    app.include_router(routes_models.router)
    app.include_router(routes_discovery.router)
    app.include_router(routes_receipts.router)
    app.include_router(routes_usage.router)
    app.include_router(routes_feedback.router)
    app.include_router(routes_access.router)
    app.include_router(routes_watching.router)
    for routes in _APIS:
        app.include_router(routes.router)
    describe(app)
    app.add_exception_handler(NoiboError, _known_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _left)
    return app


class _App(FastAPI):
    """FastAPI with our own way in: watched, known pages only, a judged caller, the hot routes. Of
    what FastAPI puts round each request by itself it keeps what answers errors and closes files;
    the rest (telemetry, a page for errors, a limit that is not set) took 5 % of a chat."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.middleware_stack is not None:
            scope["app"] = self
            await self.middleware_stack(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = AsyncExitStackMiddleware(self.router)
        app = ExceptionMiddleware(app, handlers=self.exception_handlers)
        app = Hot(app, routes_openai.HOT)
        app = Routed(app, respond=_respond, voice_of=_voice_of)
        app = Doorman(app, respond=_respond)
        app = KnownPages(app, respond=_respond)
        return Watch(app, respond=_respond)


async def _preload(services: Services) -> None:
    if not services.preload:
        return
    try:
        model = await services.resolve(services.preload)
        services.preload = model.name
        async with services.supervisor.lease(Claim(model, answers=False)):
            services.preloaded = True
    except NoiboError as error:
        services.preload_error = str(error)
        log.error("%s could not be loaded: %s", services.preload, error)
    except Exception as error:
        services.preload_error = f"{type(error).__name__}; the log says more"
        log.exception("%s could not be loaded", services.preload)


def _voice_of(path: str) -> Voice:
    """How the API of a path speaks."""
    for beginning, voice in _OWN_SHAPES.items():
        if path.startswith(beginning):
            return voice
    return openai.Voice()


def _respond(request: Request, error: NoiboError) -> Response:
    """An error in the shape of the API it was asked of."""
    current().failed(error)
    headers, path = openai.error_headers(error), request.scope["path"]
    if path.startswith("/v1/models") and anthropic.VERSION_HEADER in request.headers:
        path = "/v1/messages"  # two APIs have that route
    for beginning, voice in _OWN_SHAPES.items():
        if path.startswith(beginning):
            return Response(voice.error(error), error.status, headers, "application/json")
    return JSONResponse(models.error_body(error), error.status, headers)


async def _known_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, NoiboError)  # noqa: S101 - registered for it
    return _respond(request, exc)


async def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - registered for it
    what = f"{request.method} {request.scope['path']}: {exc.detail}."
    error = NoiboError(what, next_step="GET /noibo/v1/openapi.json lists the routes.")
    error.status = exc.status_code  # type: ignore[misc] # the router's own, for this one error
    error.code = HTTPStatus(exc.status_code).name.lower()  # type: ignore[misc]
    response = _respond(request, error)
    response.headers.update(exc.headers or {})
    return response


async def _invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # noqa: S101 - registered for it
    found = [
        (".".join(str(part) for part in one["loc"][1:]) or "the body", one["msg"])
        for one in exc.errors()
    ]
    said = "; ".join(f"{where}: {what}" for where, what in found)
    return _respond(
        request,
        InvalidRequest(
            f"{said}.",
            param=found[0][0] if found else None,
            next_step="GET /noibo/v1/openapi.json says what each route takes.",
        ),
    )


async def _left(request: Request, exc: Exception) -> Response:
    return Response(status_code=499)  # nobody is there to read it
