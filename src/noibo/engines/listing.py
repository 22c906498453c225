"""What there is of engines: for `noibo engines list` and `noibo doctor`. Programs elsewhere are
looked at when this is asked for, and at no other time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from noibo.engines import line
from noibo.engines.engine import Engine, Model
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.remote.adapter import Remote
from noibo.engines.remote.health import look
from noibo.errors import EngineError, NoiboError
from noibo.model_settings import OLLAMAS_PLACE, USE
from noibo.settings import Settings
from noibo.wire.engines import EngineRow, Engines, PlaceRow, UseRow

NOT_LOOKED = "it is asked for requests only"
Resolve = Callable[[str], Awaitable[Model]]


async def listed(
    tree: Settings,
    engines: Mapping[str, Engine],
    resolve: Resolve,
    session: line.Session,
    *,
    serves: bool,
) -> Engines:
    """All engines, places and uses. `serves`: this process asks the places for answers, and so
    knows how that went."""
    rows = asyncio.to_thread(lambda: [_row(engine) for engine in engines.values()])
    places = asyncio.gather(*_places(tree, engines.values(), session, serves=serves))
    uses = asyncio.gather(*(_use(tree, use, resolve) for use in tree.uses))
    found = await asyncio.gather(rows, places, uses)
    return Engines(default=tree.engine.default, engines=found[0], places=found[1], uses=found[2])


def _row(engine: Engine) -> EngineRow:
    version = install = ""
    gpus: tuple[str, ...] = ()
    try:
        version = engine.available()
        gpus = engine.gpus() if isinstance(engine, LlamaCpp) else ()
    except EngineError as error:
        install = f"{error.message} {error.next_step}".strip()
    return EngineRow(
        name=engine.name,
        version=version,
        install=install,
        verbs={verb.value: support.value for verb, support in engine.verbs.items()},
        devices=list(gpus),
    )


def _places(
    tree: Settings, engines: Iterable[Engine], session: line.Session, *, serves: bool
) -> list[Awaitable[PlaceRow]]:
    return [
        _place(tree, engine, url, names, session, serves=serves)
        for engine in engines
        if isinstance(engine, Remote)
        for url, names in _by_place(tree, engine).items()
    ]


def _by_place(tree: Settings, engine: Remote) -> dict[str, list[str]]:
    """The models of each address; of Ollama the one where it always is too."""
    found: dict[str, list[str]] = {}
    for name in engine.models:
        found.setdefault(tree.models[name].base_url.rstrip("/"), []).append(name)
    if engine.name == "ollama":
        of_uses = [own.model for own in tree.uses.values() if own.engine == "ollama"]
        there = found.setdefault(OLLAMAS_PLACE, [])
        there += [name for name in of_uses if name not in engine.models]
    return found


async def _place(  # noqa: PLR0913 - a place, and how it is looked at
    tree: Settings,
    engine: Remote,
    url: str,
    names: list[str],
    session: line.Session,
    *,
    serves: bool,
) -> PlaceRow:
    answers, said = False, ""
    try:
        reach = await asyncio.to_thread(engine.reach, names[0] if names else "", tree.engine)
        if reach.place.outside:  # a look is no reason to leave the machine
            said = f"{reach.place.network.value}: {NOT_LOOKED}"
        else:
            answers, said = await look(session, reach, named=bool(names))
    except NoiboError as error:
        said = error.message
    breaker = engine.breakers.of(url).state if serves else ""
    return PlaceRow(
        engine=engine.name, url=url, models=names, answers=answers, said=said, breaker=breaker
    )


async def _use(tree: Settings, use: str, resolve: Resolve) -> UseRow:
    own = tree.uses[use]
    try:
        model = await resolve(USE + use)
    except NoiboError as error:
        problem = f"{error.message} {error.next_step}".strip()
        return UseRow(use=use, model=own.model, engine=own.engine, problem=problem)
    return UseRow(use=use, model=model.name, engine=model.engine, problem="")
