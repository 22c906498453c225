"""Models made as Ollama's clients make them: blobs are sent, then a model is made of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from noibo.errors import ModelNotFound, NotFound
from noibo.gateway.management.managed import as_json
from noibo.gateway.ollama.asked import model_name
from noibo.gateway.ollama.bodies import new_name, real_name, refuse
from noibo.gateway.ollama.lines import Lines
from noibo.gateway.places import require_near
from noibo.gateway.reading import read_fields
from noibo.gateway.services import Services, services_of
from noibo.modelstore.management.errand import Errand
from noibo.modelstore.ollama.maker import require_free
from noibo.modelstore.ollama.recipe import (
    Recipe,
    messages_of,
    of_modelfile,
    sha256_of,
    sources,
)
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import StoredModel
from noibo.modelstore.upload import Upload, require_taken
from noibo.wire import ollama
from noibo.wire.body import Fields, Json, field
from noibo.wire.ollama.messages import Message

router = APIRouter(prefix="/api", tags=["ollama"])
PIECE: Final = 2**20  # bytes that are written at a time
_NOT_HERE: Final = {
    "quantize": "models are not quantised here; pull or send one that is",
    "quantization": "models are not quantised here; pull or send one that is",
    "renderer": "renderers are of Ollama's own; a template says how a chat is told",
    "parser": "parsers are of Ollama's own; the engine reads answers by the template",
    "remote_host": "models that run elsewhere are not made here",
    "info": "what a model is stands in its file",
    "capabilities": "what a model can do stands in its file and its template",
    "draft_files": "no second model guesses ahead here",
    "draft": "no second model guesses ahead here",
    "draft_quantize": "models are not quantised here",
    "path": "a Modelfile's path was of old clients; send its text as modelfile",
}
_FIELDS: Final = ("from", "files", "adapters", "template", "system", "parameters", "license")


# ── create ──────────────────────────────────────────────────────────────────


@router.post("/create")
async def create(request: Request) -> Response:
    """Make a model out of another, or out of blobs: a stream of what is done, or its end."""
    fields = await read_fields(request)
    services = services_of(request)
    reference = new_name(model_name(fields), "model")
    require_free(reference, services.settings.reserved)
    streamed = field(fields, "stream", bool, True)
    recipe = await asyncio.to_thread(_recipe, fields, services)
    if recipe.paths:
        require_near(request, "A path")
    errand = _making(services, reference, recipe)
    if streamed:
        return Lines(_told(errand))
    async for _ in errand.follow():
        continue
    errand.outcome()
    return as_json({"status": "success"})


def _recipe(fields: Fields, services: Services) -> Recipe:
    """What is asked for, as far as it can be judged before anything is done. Reads the disk."""
    refuse(fields, _NOT_HERE)
    text = field(fields, "modelfile", str, "")
    recipe = of_modelfile(text) if text and not _given(fields) else _of_fields(fields)
    recipe = recipe.checked()
    if recipe.base is None:
        return recipe
    base = real_name(services, recipe.base)
    try:
        services.management.model(base)
    except ModelNotFound as error:
        raise ollama.not_found(recipe.base, error) from error
    return replace(recipe, base=base)


def _given(fields: Fields) -> bool:
    """True if the recipe stands in fields of its own: what newer clients send."""
    return any(field(fields, name, Any) for name in _FIELDS)


def _of_fields(fields: Fields) -> Recipe:
    licence = field(fields, "license", str | list[str])
    messages = field(fields, "messages", list[Message])
    return Recipe(
        base=field(fields, "from", str, "") or None,
        files=sources(field(fields, "files", dict[str, str], {}), "files"),
        adapters=sources(field(fields, "adapters", dict[str, str], {}), "adapters"),
        template=field(fields, "template", str),
        system=field(fields, "system", str),
        parameters=field(fields, "parameters", dict[str, Any], {}),
        messages=None if messages is None else messages_of(messages),
        licence="\n".join(licence) if isinstance(licence, list) else licence,
    )


def _making(services: Services, reference: Reference, recipe: Recipe) -> Errand[StoredModel]:
    """The work, in a thread: it goes on when nobody looks, and what it does is soon done. Raises
    `QueueFull`."""
    maker = services.management.maker()

    def work(report: Report, cancel: Cancel) -> StoredModel:
        try:
            return maker.make(reference, recipe, lambda said: report(Progress("find", note=said)))
        finally:
            services.makes.leave()

    services.makes.enter()
    try:
        return Errand(work, f"create {reference}")
    except RuntimeError:  # there are no threads left
        services.makes.leave()
        raise


async def _told(errand: Errand[StoredModel]) -> AsyncGenerator[Json, None]:
    async for progress in errand.follow():
        if progress is not None and progress.note:
            yield {"status": progress.note}
    errand.outcome()
    yield {"status": "success"}


# ── blobs ───────────────────────────────────────────────────────────────────


@router.head("/blobs/{digest}")
async def has_blob(request: Request, digest: str) -> Response:
    """200 if the file of that digest is here."""
    sha256 = sha256_of(digest, "digest")
    if await asyncio.to_thread(services_of(request).management.maker().has, sha256):
        return Response(status_code=200)
    raise NotFound(f'blob "{digest}" not found.')


@router.post("/blobs/{digest}")
async def send_blob(request: Request, digest: str) -> Response:
    """Take a file: 201, or 200 if it was here already."""
    sha256 = sha256_of(digest, "digest")
    services = services_of(request)
    maker = services.management.maker()
    services.sends.enter()
    try:
        if await asyncio.to_thread(maker.has, sha256):
            await _pass_over(request)
            return Response(status_code=200)
        said = request.headers.get("content-length", "")
        await _receive(request, maker.upload(sha256, int(said) if said.isdecimal() else None))
    finally:
        services.sends.leave()
    return Response(status_code=201)


async def _pass_over(request: Request) -> None:
    """Who sends what is here anyway is let finish."""
    passed = 0
    async for chunk in request.stream():
        passed += len(chunk)
        require_taken(passed)


async def _receive(request: Request, upload: Upload) -> None:
    await asyncio.to_thread(upload.__enter__)
    try:
        piece = bytearray()
        async for chunk in request.stream():
            piece += chunk
            if len(piece) >= PIECE:
                await asyncio.to_thread(upload.write, bytes(piece))
                piece.clear()
        await asyncio.to_thread(upload.write, bytes(piece))
        await asyncio.to_thread(upload.finish)
    finally:
        await asyncio.to_thread(upload.__exit__)
