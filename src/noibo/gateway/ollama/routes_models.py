"""The models on this machine, as Ollama's clients list, show, copy and delete them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response

from noibo.engines.abilities import Abilities
from noibo.engines.echo import Echo
from noibo.engines.model_name import LATEST
from noibo.engines.ollama.facts import full
from noibo.engines.supervision import keep_alive
from noibo.engines.worker import State, Worker
from noibo.errors import InvalidRequest, LicenceRefused, ModelNotFound, NoiboError
from noibo.gateway.access.identity import now
from noibo.gateway.management.managed import as_json, remove
from noibo.gateway.ollama.asked import model_name
from noibo.gateway.ollama.bodies import new_name, real_name
from noibo.gateway.reading import read_fields
from noibo.gateway.services import Services, services_of
from noibo.model_settings import ELSEWHERE, USE
from noibo.modelstore.ollama import shown
from noibo.modelstore.ollama.maker import Maker, require_free
from noibo.wire import ollama
from noibo.wire.body import Fields, Json, field

router = APIRouter(prefix="/api", tags=["ollama"])
VIRTUAL = "virtual"  # the format of what stands for other models
_LOADED = frozenset({State.STARTING, State.READY})


@router.head("/tags", include_in_schema=False)
@router.get("/tags")
async def tags(request: Request) -> Response:
    """The models that can be used, the newest first, and the aliases that lead to one of them."""
    services = services_of(request)
    return as_json({"models": await asyncio.to_thread(_listed, services)})


def _listed(services: Services) -> list[Json]:
    store = services.management.maker().store
    rows = [shown.listed(model) for model in store.list()]
    for alias, name in services.settings.aliases.items():
        with contextlib.suppress(NoiboError):
            rows.append(shown.listed(store.get(name)) | {"name": alias, "model": alias})
    for name, own in services.settings.models.items():
        if own.elsewhere:
            rows.append(shown.declared(name, own.engine, services.started_at))
    for name, behind in services.virtual.stand_ins.items():
        declared = services.settings.models.get(behind)
        with contextlib.suppress(NoiboError):
            if behind != Echo.name and not (declared and declared.elsewhere):
                store.get(real_name(services, behind))
            rows.append(shown.declared(name, VIRTUAL, services.started_at))
    rows = [row for row in rows if now().grant.may_use(row["name"])]
    rows += _uses(services, {row["name"]: row for row in rows})
    return sorted(rows, key=lambda row: str(row["modified_at"]), reverse=True)


def _uses(services: Services, rows: dict[str, Json]) -> Iterator[Json]:
    """The uses of what is listed, and of models of Ollama that need no table."""
    for use, own in services.settings.uses.items():
        name = USE + use
        model = real_name(services, name)
        row = rows.get(full(model)) or rows.get(model)
        if row is None and own.engine in ELSEWHERE and now().grant.may_use(model):
            row = shown.declared(model, own.engine, services.started_at)
        if row is not None:
            yield row | {"name": name, "model": name}


@router.post("/show")
async def show(request: Request) -> Response:
    """All that is known of one model. `verbose`: its vocabulary and its tensors too."""
    fields = await read_fields(request)
    name = model_name(fields)
    verbose = field(fields, "verbose", bool, False)
    system = field(fields, "system", str, "")
    _refuse_changes(fields)
    services = services_of(request)
    if name.removesuffix(LATEST) in services.virtual.choosing:
        await services.resolve(name)
        return as_json(shown.shown_declared(name, VIRTUAL, services.started_at))
    if engine := _elsewhere(services, name):
        await services.resolve(name)  # raises where it may not be used
        return as_json(shown.shown_declared(name, engine, services.started_at))
    try:
        model = await asyncio.to_thread(
            services.management.maker().store.get, real_name(services, name)
        )
    except ModelNotFound as error:
        raise ollama.not_found(name, error) from error
    alias = [name] if name in services.settings.aliases else []
    now().require_model(str(model.reference), *alias)
    found = await asyncio.to_thread(shown.shown, model, verbose=verbose)
    found["capabilities"] = await _abilities(services, name)
    return as_json(found | ({"system": system} if system else {}))


def _elsewhere(services: Services, name: str) -> str:
    """The engine that asks another program for that model; empty: it is here, or nowhere."""
    tree = services.settings
    own = tree.models.get(real_name(services, name))
    said = tree.aliases.get(name, name)
    use = tree.uses.get(said.removeprefix(USE)) if said.startswith(USE) else None
    engines = {one.engine for one in (own, use) if one is not None} & ELSEWHERE
    return next(iter(engines), "")


async def _abilities(services: Services, name: str) -> list[str]:
    """What the model can do in Ollama's words; nothing, where it may not be used."""
    with contextlib.suppress(LicenceRefused):
        model = await services.resolve(name)
        return (await asyncio.to_thread(Abilities.of, model)).in_ollamas_words()
    return []


def _refuse_changes(fields: Fields) -> None:
    """Of a show of what is not: only the system prompt may be another, as with Ollama."""
    for name in ("template", "options"):
        if field(fields, name, Any):
            raise InvalidRequest(
                f"{name}: a model is shown as it is.", param=name, next_step="Leave it out."
            )


@router.get("/ps")
async def running(request: Request) -> Response:
    """The models that are loaded, with what they hold and until when."""
    services = services_of(request)
    grant = now().grant
    workers = [
        one
        for one in services.supervisor.workers()
        if one.state in _LOADED and grant.may_use(one.model.name)
    ]
    return as_json({"models": await asyncio.to_thread(_running, services, workers)})


def _running(services: Services, workers: list[Worker]) -> list[Json]:
    """One row for each model: a model that chats and embeds has two workers."""
    store = services.management.maker().store
    rows: dict[str, Json] = {}
    for worker in workers:
        row = rows.setdefault(worker.model.name, _row(services, worker))
        if row["worker"] is not worker:
            row["size"] += worker.held_bytes
            row["size_vram"] += _on_gpu(worker)
        with contextlib.suppress(NoiboError):  # it has left the store since
            model = store.get(worker.model.name)
            row |= {"digest": shown.digest(model), "details": shown.details(model)}
    return [{name: value for name, value in r.items() if name != "worker"} for r in rows.values()]


def _row(services: Services, worker: Worker) -> Json:
    facts = services.supervisor.facts(worker)
    until = facts["keep_until"]
    if until is None and worker.leases:  # the time runs from the end of its last answer
        until = time.time() + _kept_s(services, worker.model.name)
    return {
        "worker": worker,
        "name": worker.model.name,
        "model": worker.model.name,
        "size": worker.held_bytes or worker.expected_bytes,
        "digest": "",
        "details": {"format": worker.model.format},
        "expires_at": ollama.moment(math.inf if until is None else until),
        "size_vram": _on_gpu(worker),
        "context_length": worker.launch.size.context,
    }


def _kept_s(services: Services, name: str) -> float:
    """How long a model stays, where no request says otherwise."""
    settings = services.settings
    own = settings.models.get(name)
    said = (own.keep_alive if own else "") or settings.memory.keep_alive
    return keep_alive.parse(said, "keep_alive")


def _on_gpu(worker: Worker) -> int:
    on_cpu = worker.launch.placement.get("device") in {"cpu", "none", None}
    return 0 if on_cpu else worker.held_bytes


@router.post("/copy")
async def copy(request: Request) -> Response:
    """The same model under another name too."""
    fields = await read_fields(request)
    source = model_name(fields, "source", "source")
    destination = new_name(model_name(fields, "destination", "destination"), "destination")
    services = services_of(request)
    require_free(destination, services.settings.reserved)
    maker: Maker = services.management.maker()
    try:
        await asyncio.to_thread(maker.copy, real_name(services, source), destination)
    except ModelNotFound as error:
        raise ollama.not_found(source, error) from error
    return Response(status_code=200)


@router.delete("/delete")
async def delete(request: Request) -> Response:
    """Unload a model, forget it, and free what nothing else uses."""
    name, services = model_name(await read_fields(request)), services_of(request)
    if name in services.settings.aliases:
        raise InvalidRequest(
            f"model: {name} is an alias in the settings, and no model.",
            param="model",
            next_step="Remove the alias in noibo.toml.",
        )
    try:
        await remove(services, name)
    except ModelNotFound as error:
        raise ollama.not_found(name, error) from error
    return Response(status_code=200)
