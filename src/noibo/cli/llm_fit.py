"""Whether a model that a program is to have will run here: said before anything is fetched."""

from __future__ import annotations

import asyncio
from typing import Final

from noibo.assembly import look_at_machine, open_lookup
from noibo.cli.note import Note
from noibo.engines.engine import Model
from noibo.engines.fit.ask import Ask, of_choice, of_model
from noibo.engines.fit.fit import Fit, predict
from noibo.engines.fit.this_machine import Found as Here
from noibo.engines.memory.machine import amount
from noibo.engines.recommend.recommendation import summary
from noibo.errors import ModelNotFound, NoRoom
from noibo.llm_service.home import sized
from noibo.modelstore import catalog
from noibo.modelstore.origin import Named, parse
from noibo.modelstore.progress import size_text
from noibo.settings import Settings

_DOES_NOT: Final = "does not"


def look_at(tree: Settings) -> Here:
    """This machine, told in a line; measured if it was not lately, which takes some seconds."""
    note = Note()
    here = look_at_machine(tree, note)
    note.clear()
    print(f"Here: {summary(here.hardware)}.")
    if here.remark:
        print(here.remark)
    return here


def require_room(
    tree: Settings, here: Here, said: str, model: Model | None, *, all_the_same: bool
) -> None:
    """Say how well it will run, where that can be known. `model`: what is meant, where it was found
    already. Raises `NoRoom` for what will not run."""
    ask = _ask(tree, said, model)
    if ask is None:
        return
    machine = here.for_models
    budget = amount(tree.memory.budget, machine.memory_bytes, "memory.budget")
    fit = predict(ask, machine, budget=budget / max(machine.memory_bytes, 1))
    if fit.verdict != _DOES_NOT or all_the_same:
        print(_verdict(said, fit))
    else:
        advice = "; ".join(fit.advice[:2]) or "`noibo recommend` says what suits this machine"
        raise NoRoom(
            f"{said} will not run here: {fit.why}.",
            next_step=f"{advice.rstrip('.')}. --yes sets this one up all the same.",
        )


def _ask(tree: Settings, said: str, model: Model | None) -> Ask | None:
    """The model as it would be loaded: of what is here by its header, else by the catalogue; None
    where neither knows it."""
    try:
        found = model or asyncio.run(open_lookup(tree).resolve(said))
    except ModelNotFound:
        origin = parse(said)
        choice = catalog.load().find(origin.reference) if isinstance(origin, Named) else None
        return of_choice(choice, tree.engine) if choice and not choice.api_only else None
    if found.path is None or found.format != "gguf":
        return None
    return of_model(found, sized(tree, found).engine)


def _verdict(said: str, fit: Fit) -> str:
    """`smollm2:135m runs well in 0.5 GB: it fits, and writes about 30 tokens/s.`"""
    return f"{said} {fit.verdict} in {size_text(round(fit.memory.middle))}: {fit.why}."
