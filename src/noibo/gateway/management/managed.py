"""What the routes on models share: whom they ask, and how what they are told becomes an answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from fastapi import Request, Response

from noibo.errors import ModelNotFound, NoiboError, StoreError
from noibo.gateway.services import Services, services_of
from noibo.gateway.watching.record import current
from noibo.modelstore.management.errand import Errand
from noibo.modelstore.management.management import Management
from noibo.modelstore.management.rows import progress_row
from noibo.wire import models, sse
from noibo.wire.models import RemovedRow


def management_of(request: Request) -> Management:
    """The models of the server that this request came to."""
    return services_of(request).management


def as_json(value: Any, status: int = 200) -> Response:
    """One of the shapes of `wire`."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def remove(services: Services, name: str) -> RemovedRow:
    """Unload a model, forget it, free what nothing else uses. Raises `ModelNotFound`."""
    with contextlib.suppress(StoreError):  # damaged: it can still be removed
        await _unload(services, await asyncio.to_thread(services.management.model, name))
    gone = await asyncio.to_thread(services.management.remove, name)
    await _unload(services, gone.model)  # loaded again meanwhile
    return gone


async def _unload(services: Services, name: str) -> None:
    with contextlib.suppress(ModelNotFound):  # it did not run
        await services.supervisor.stop(name)


async def errand_events(
    errand: Errand[Any], pull_id: str = "", *, stop: bool = False
) -> AsyncGenerator[bytes, None]:
    """The errand as events; `stop`: it ends with its reader."""
    try:
        async with contextlib.aclosing(errand.follow()) as steps:
            async for progress in steps:
                if progress is None:
                    yield sse.ALIVE
                else:
                    row = progress_row(progress, pull_id)
                    yield sse.event(msgspec.json.encode(row), "progress")
        try:
            yield sse.event(msgspec.json.encode(errand.outcome()), "done")
        except NoiboError as error:
            current().failed(error)
            yield sse.event(msgspec.json.encode(models.error_body(error)), "error")
    finally:
        if stop:
            errand.cancel()
