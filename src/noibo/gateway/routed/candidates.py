"""The candidates of a virtual model as they are now: where they are, what they can do, what they
cost, and whether they may be asked."""

from __future__ import annotations

import asyncio
import datetime
import math
import time
from dataclasses import replace
from typing import Final

from noibo.engines.engine import Model
from noibo.engines.remote.adapter import Remote
from noibo.engines.tool_template import tells_tools
from noibo.errors import Forbidden, NoiboError
from noibo.gateway.access.identity import BY_KEY, now
from noibo.gateway.ollama import room
from noibo.gateway.services import Services
from noibo.routing.candidates import Candidate, Pace, Rates, Standing
from noibo.routing.demand import Ability, Means
from noibo.routing.virtual import declared_candidate, is_local
from noibo.usage.periods import zone
from noibo.usage.prices import Price
from noibo.usage.rules import HOUR, Spender

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
    pace = _pace(services, model.name)
    if isinstance(engine, Remote):
        found = replace(_elsewhere(services, name, model, engine), pace=pace)
        return found if found.local else replace(found, means=await _means(services, model.name))
    found = declared_candidate(name, own, local=True)
    found = replace(found, pace=pace)
    if own is None or own.abilities is None:
        found = replace(found, abilities=await asyncio.to_thread(_abilities, model))
    return found if found.context else replace(found, context=room.usual(services, model) or None)


def _pace(services: Services, model: str) -> Pace | None:
    """As its answers came since the server started. To the first token the prompt is read too."""
    if (found := services.metrics.pace(model)) is None:
        return None
    first_s, each_s = found
    return Pace(read=math.inf, written=1 / each_s, start_s=first_s)


async def _means(services: Services, model: str) -> Means:
    """What its budgets have left for who asks. One that says `refuse` rules nothing out here: the
    request is refused where it is reserved for, and not answered by another. Where the database
    cannot be reached that says so too."""
    budgets, who = services.border.accounts.budgets, now()
    spender = Spender(who.owner, who.by if who.by.startswith(BY_KEY) else "", who.key_name)
    claims = [one for one in budgets.claims(spender, model) if one.rule.over == "local"]
    if not claims:
        return Means()
    try:
        found = await budgets.standings(claims)
    except NoiboError:
        return Means()
    full = [one.claim for one in found if one.spent + one.reserved >= one.claim.limit]
    if not full:
        return Means()
    resets_at = max(one.resets_at for one in full)
    where = zone(services.settings.usage.time_zone)
    when = datetime.datetime.fromtimestamp(resets_at, where).strftime("%Y-%m-%d %H:%M")
    hourly = all(one.period == HOUR for one in full)
    until = "calls of an hour" if hourly else f"until {when}"
    return Means(False, until, None if hourly else max(resets_at - time.time(), 0.0))


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
