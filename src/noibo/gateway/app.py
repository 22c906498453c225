"""The ASGI application: routes, errors as responses, and the life of the services."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import noibo
from noibo.engines.supervision.claim import Claim
from noibo.errors import InvalidRequest, NoiboError
from noibo.gateway import (
    routes_discovery,
    routes_management,
    routes_models,
    routes_openai,
    routes_workers,
)
from noibo.gateway.origin import LocalOnly
from noibo.gateway.services import Services
from noibo.wire import models, openai

log = logging.getLogger(__name__)

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


def create_app(open_services: OpenServices) -> FastAPI:
    """The application. `open_services` is entered when the server starts and left when it stops."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services() as services:
            app.state.services = services
            preload = asyncio.create_task(_preload(services))
            try:
                yield
            finally:
                preload.cancel()
                await asyncio.gather(preload, return_exceptions=True)

    app = FastAPI(
        title="noibo",
        version=noibo.__version__,
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from another host
        redoc_url=None,
        openapi_url="/noibo/v1/openapi.json",
        telemetry={"auto_configure": False},  # it would export past the door outward
    )
    app.add_middleware(LocalOnly)
    app.include_router(routes_management.health)
    app.include_router(routes_management.router)
    app.include_router(routes_workers.router)
    app.include_router(routes_models.router)
    app.include_router(routes_discovery.router)
    app.include_router(routes_openai.router)
    app.add_exception_handler(NoiboError, _known_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unknown_error)
    return app


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


def _respond(error: NoiboError) -> JSONResponse:
    return JSONResponse(models.error_body(error), error.status, openai.error_headers(error))


async def _known_error(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, NoiboError)  # noqa: S101 - registered for it
    return _respond(exc)


async def _http_error(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)  # noqa: S101 - registered for it
    what = f"{request.method} {request.url.path}: {exc.detail}."
    body = openai.error_shape(
        f"{what} GET /noibo/v1/openapi.json lists the routes.",
        exc.status_code,
        HTTPStatus(exc.status_code).name.lower(),
    )
    return JSONResponse(body, exc.status_code, headers=exc.headers)


async def _invalid(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)  # noqa: S101 - registered for it
    found = [
        (".".join(str(part) for part in one["loc"][1:]) or "the body", one["msg"])
        for one in exc.errors()
    ]
    said = "; ".join(f"{where}: {what}" for where, what in found)
    return _respond(
        InvalidRequest(
            f"{said}.",
            param=found[0][0] if found else None,
            next_step="GET /noibo/v1/openapi.json says what each route takes.",
        )
    )


async def _unknown_error(request: Request, exc: Exception) -> JSONResponse:
    return _respond(NoiboError("noibo failed on this request; its log says why."))
