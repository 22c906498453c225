"""The candidates of a virtual model as they are now: where they are, what they can do, what they
cost, and whether they may be asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from noibo.engines.engine import Model
from noibo.engines.remote.adapter import Remote
from noibo.engines.tool_template import tells_tools
from noibo.errors import Forbidden, NoiboError
from noibo.gateway.ollama import room
from noibo.gateway.services import Services
from noibo.routing.candidates import Candidate, Rates, Standing
from noibo.routing.demand import Ability
from noibo.routing.virtual import declared_candidate, is_local
from noibo.usage.prices import Price

_ALWAYS: Final[frozenset[Ability]] = frozenset({"json", "schema", "logprobs"})  # engines see to it


async def candidate(services: Services, name: str) -> Candidate | None:
    """One of them; None where there is no such model here."""
    settings = services.settings
    try:
        model = await services.resolve(name)
    except Forbidden:
        declared = declared_candidate(name, settings.models.get(name), local=True)
        return replace(declared, allowed=False)
    except NoiboError:
        return None
    own, engine = settings.models.get(model.name), services.supervisor.engine(model.engine)
    if isinstance(engine, Remote):
        return _elsewhere(services, name, model, engine)
    found = declared_candidate(name, own, local=True)
    if own is None or own.abilities is None:
        found = replace(found, abilities=await asyncio.to_thread(_abilities, model))
    return found if found.context else replace(found, context=room.usual(services, model) or None)


def _elsewhere(services: Services, name: str, model: Model, engine: Remote) -> Candidate:
    own = services.settings.models.get(model.name)
    place = engine.place(model.name)
    found = declared_candidate(name, own, local=is_local(own, outside=place.outside))
    breaker = engine.breakers.of(place.url)
    standing = Standing(breaker.state, breaker.waits_s)
    there = (own.model if own else "") or model.name
    prices = services.border.accounts.prices
    price = prices.find(there, str(place.destination)) or prices.own.get(model.name)
    return replace(found, standing=standing, rates=None if found.local else _rates(price))


def _rates(price: Price | None) -> Rates | None:
    if price is None or price.usual.input is None or price.usual.output is None:
        return None
    return Rates(float(price.usual.input), float(price.usual.output))


def _abilities(model: Model) -> frozenset[Ability]:
    """Of a model of this machine: what its file says, and what its engine holds any model to."""
    found: set[Ability] = set(_ALWAYS)
    if tells_tools(model.chat_template):
        found.add("tools")
    if model.projector is not None:
        found.add("vision")
    return frozenset(found)
