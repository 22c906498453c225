"""Models fetched as Ollama's clients fetch them; none is sent anywhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from fastapi import APIRouter, Request, Response

from noibo.errors import Forbidden, NoiboError
from noibo.gateway.management.managed import as_json, management_of
from noibo.gateway.ollama.asked import model_name
from noibo.gateway.ollama.bodies import real_name, refuse
from noibo.gateway.ollama.lines import Lines
from noibo.gateway.places import require_source
from noibo.gateway.reading import read_fields
from noibo.gateway.services import services_of
from noibo.modelstore.management.pulls import Pull
from noibo.modelstore.progress import Progress
from noibo.modelstore.store import Store
from noibo.wire.body import Json, field

router = APIRouter(prefix="/api", tags=["ollama"])
_NOT_HERE: Final = {
    "insecure": "a source's certificate is always checked; another registry is a setting, "
    "fetch.registry",
    "username": "no name is sent to a registry",
    "password": "no password is sent to a registry",
}
_MOVES: Final = frozenset({"download", "repair"})
_SAYS: Final = {
    "check": "verifying sha256 digest",
    "unpack": "verifying sha256 digest",
    "wait": "waiting for another pull of the same files",
}


@router.post("/pull")
async def pull(request: Request) -> Response:
    """Fetch a model. Who hangs up does not stop it: the same pull joins it."""
    fields = await read_fields(request)
    name = real_name(services_of(request), model_name(fields))
    streamed = field(fields, "stream", bool, True)
    refuse(fields, _NOT_HERE)
    require_source(request, name, names_only=True)
    under_way = await asyncio.to_thread(management_of(request).under_way.start, name, None)
    if streamed:
        return Lines(_told(under_way, management_of(request).maker().store))
    async for _ in under_way.follow():
        continue
    under_way.outcome()
    return as_json({"status": "success"})


async def _told(under_way: Pull, store: Store) -> AsyncGenerator[Json, None]:
    yield {"status": "pulling manifest"}
    before: Json = {}
    async for progress in under_way.follow():
        now = before if progress is None else _line(progress)
        if now and (now != before or progress is None):
            yield now
        before = now or before
    came = under_way.outcome()
    for done in await asyncio.to_thread(_whole, store, came.name):
        yield done
    yield {"status": "writing manifest"}
    yield {"status": "success"}


def _whole(store: Store, name: str) -> list[Json]:
    """Every file of the model that came, whole: also what was here before, or came at once."""
    with contextlib.suppress(NoiboError):  # it has gone since
        files = store.get(name).manifest.files
        return [
            _moved(one.file.sha256 or "", one.name, one.file.size) | {"completed": one.file.size}
            for one in files
        ]
    return []


def _moved(sha256: str, name: str, total: int | None) -> Json:
    """How far one file is; one whose digest nobody promised is known by its name."""
    digest = f"sha256:{sha256}" if sha256 else name or "model"
    said: Json = {"status": f"pulling {sha256[:12] or digest}", "digest": digest}
    return said if total is None else said | {"total": total}


def _line(progress: Progress) -> Json:
    if progress.stage not in _MOVES:
        said = _SAYS.get(progress.stage)
        return {"status": said} if said else {}
    moved = _moved(progress.sha256, progress.file, progress.total)
    return moved | ({"completed": progress.done} if progress.done else {})


@router.post("/push")
async def push(request: Request) -> Response:
    """Refused: what is in the house stays there."""
    name = model_name(await read_fields(request))
    raise Forbidden(
        f"push: {name} is not sent anywhere: no model leaves this machine.",
        next_step="To move one to another machine, copy its files (`noibo show` says where they "
        "are) and `noibo add` them there.",
    )
