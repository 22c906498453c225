"""What is known of a candidate though nobody is asked: by the settings, the store and the price
table. For the server, which adds how it is now, and for `noibo route explain`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from noibo.engines.engine import Engine, Model
from noibo.engines.remote.adapter import Remote
from noibo.engines.tool_template import tells_tools
from noibo.model_settings import ModelSettings
from noibo.routing.candidates import Candidate, Rates
from noibo.routing.demand import Ability
from noibo.routing.virtual import declared_candidate, is_local
from noibo.settings import Settings
from noibo.usage.prices import Price, PriceTable

_ALWAYS: Final[frozenset[Ability]] = frozenset({"json", "schema", "logprobs"})  # engines see to it


def known(
    name: str, model: Model, engine: Engine, settings: Settings, prices: PriceTable
) -> Candidate:
    """Its context is None where its own table does not say it. Reads the file of a model of this
    machine."""
    own = settings.models.get(model.name)
    if isinstance(engine, Remote):
        return _elsewhere(name, model, own, engine, prices)
    found = declared_candidate(name, own, local=True)
    if own is None or own.abilities is None:
        found = replace(found, abilities=_abilities(model))
    return found


def _elsewhere(
    name: str, model: Model, own: ModelSettings | None, engine: Remote, prices: PriceTable
) -> Candidate:
    place = engine.place(model.name)
    found = declared_candidate(name, own, local=is_local(own, outside=place.outside))
    there = (own.model if own else "") or model.name
    price = prices.find(there, str(place.destination)) or prices.own.get(model.name)
    return found if found.local else replace(found, rates=_rates(price))


def _rates(price: Price | None) -> Rates | None:
    if price is None or price.usual.input is None or price.usual.output is None:
        return None
    return Rates(float(price.usual.input), float(price.usual.output))


def _abilities(model: Model) -> frozenset[Ability]:
    """What its file says, and what its engine holds any model to."""
    found: set[Ability] = set(_ALWAYS)
    if tells_tools(model.chat_template):
        found.add("tools")
    if model.projector is not None:
        found.add("vision")
    return frozenset(found)
