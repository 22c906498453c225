"""The candidates of a virtual model as the command line sees them: by the settings, the store and
the price table. Nobody is asked, and no breaker, budget or pace is known here but the running
server's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from noibo.errors import NoiboError
from noibo.routing.candidates import Candidate
from noibo.routing.virtual import VirtualModel

if TYPE_CHECKING:
    from noibo.engines.engine import Engine, Model
    from noibo.settings import Settings


def candidates_of(virtual: VirtualModel, settings: Settings) -> tuple[list[Candidate], list[str]]:
    """Those that are here, and the names of those that are not."""
    from noibo.assembly import open_engines, open_lookup, open_prices
    from noibo.gateway.routed.known import known

    lookup, engines = open_lookup(settings), open_engines(settings)
    prices = open_prices(settings)
    found, missing = [], []
    for name in virtual.candidates:
        try:
            model = asyncio.run(lookup.resolve(name))
        except NoiboError:
            missing.append(name)
            continue
        engine = engines[model.engine]
        one = known(name, model, engine, settings, prices)
        found.append(one if one.context else replace(one, context=_usual(model, engine, settings)))
    return found, missing


def _usual(model: Model, engine: Engine, settings: Settings) -> int | None:
    """What its worker would have where nobody asks for more."""
    from noibo.engines.memory.size import Use
    from noibo.engines.remote.adapter import Remote

    if isinstance(engine, Remote):
        return None
    fixed = settings.engine.ctx_size
    return fixed or engine.sizes(model, settings.engine, Use(), 0)[0].context or None
