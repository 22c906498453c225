"""The candidates of a virtual model as they are now: where they are, what they can do, what they
cost, and whether they may be asked."""

from __future__ import annotations

import asyncio
import datetime
import math
import time
from dataclasses import replace

from noibo.engines.remote.adapter import Remote
from noibo.errors import Forbidden, NoiboError
from noibo.gateway.access.identity import BY_KEY, now
from noibo.gateway.ollama import room
from noibo.gateway.routed.known import known
from noibo.gateway.services import Services
from noibo.routing.candidates import Candidate, Pace, Standing
from noibo.routing.demand import Means
from noibo.routing.virtual import declared_candidate
from noibo.usage.periods import zone
from noibo.usage.rules import HOUR, Spender


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
    engine = services.supervisor.engine(model.engine)
    prices = services.border.accounts.prices
    found = await asyncio.to_thread(known, name, model, engine, settings, prices)
    found = replace(found, pace=_pace(services, model.name))
    if not isinstance(engine, Remote):
        context = found.context or room.usual(services, model) or None
        return replace(found, context=context)
    breaker = engine.breakers.of(engine.place(model.name).url)
    found = replace(found, standing=Standing(breaker.state, breaker.waits_s))
    return found if found.local else replace(found, means=await _means(services, model.name))


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
