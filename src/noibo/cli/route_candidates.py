"""The candidates of a virtual model as the command line sees them: by the settings, the store and
the price table. Nobody is asked, and no breaker is known here but the running server's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from noibo.errors import NoiboError
from noibo.routing.candidates import Candidate, Rates
from noibo.routing.demand import Ability
from noibo.routing.virtual import VirtualModel, declared_candidate, is_local

if TYPE_CHECKING:
    from noibo.engines.engine import Engine, Model
    from noibo.settings import Settings
    from noibo.usage.prices import PriceTable

_ALWAYS: Final[frozenset[Ability]] = frozenset({"json", "schema", "logprobs"})  # engines see to it
_USUAL_CONTEXT: Final = 4096  # of a model that nobody set another for


def candidates_of(virtual: VirtualModel, settings: Settings) -> tuple[list[Candidate], list[str]]:
    """Those that are here, and the names of those that are not."""
    from noibo.assembly import open_engines, open_lookup, open_prices

    lookup, engines = open_lookup(settings), open_engines(settings)
    prices = open_prices(settings)
    found, missing = [], []
    for name in virtual.candidates:
        try:
            model = asyncio.run(lookup.resolve(name))
        except NoiboError:
            missing.append(name)
            continue
        found.append(_candidate(name, model, engines[model.engine], settings, prices))
    return found, missing


def _candidate(
    name: str, model: Model, engine: Engine, settings: Settings, prices: PriceTable
) -> Candidate:
    from noibo.engines.remote.adapter import Remote

    own = settings.models.get(model.name)
    if isinstance(engine, Remote):
        place = engine.place(model.name)
        found = declared_candidate(name, own, local=is_local(own, outside=place.outside))
        there = (own.model if own else "") or model.name
        price = prices.find(there, str(place.destination)) or prices.own.get(model.name)
        known = price and price.usual.input is not None and price.usual.output is not None
        if found.local or price is None or not known:
            return found
        return replace(
            found, rates=Rates(float(price.usual.input or 0), float(price.usual.output or 0))
        )
    found = declared_candidate(name, own, local=True)
    if own is None or own.abilities is None:
        found = replace(found, abilities=_abilities(model))
    usual = min(model.trained_context or _USUAL_CONTEXT, _USUAL_CONTEXT)
    return replace(found, context=found.context or settings.engine.ctx_size or usual)


def _abilities(model: Model) -> frozenset[Ability]:
    """What its file says, and what its engine holds any model to."""
    from noibo.engines.tool_template import tells_tools

    found: set[Ability] = set(_ALWAYS)
    if tells_tools(model.chat_template):
        found.add("tools")
    if model.projector is not None:
        found.add("vision")
    return frozenset(found)
