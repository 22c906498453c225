"""Models of the noibo server that runs here, as sides of a bench."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace

from noibo.client import AsyncClient, Client
from noibo.client.connection import Address
from noibo.engines.remote.place import Place
from noibo.evaluation.cost import Tariff
from noibo.evaluation.sides import Side
from noibo.model_settings import ModelSettings
from noibo.usage.prices import PriceTable
from noibo.wire.management import WorkerRow


class Ours:
    """The server of this user. It is asked to load what is measured next, and what that holds."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._seats: dict[str, tuple[str, str, str]] = {}  # where each was loaded

    async def prepare(self, model: str) -> None:
        self._seats[model] = _seat(await self._client.load(model))

    async def memory(self, model: str) -> int | None:
        seat = self._seats.get(model)
        rows = await self._client.workers()
        return sum(row.peak_bytes for row in rows if _seat(row) == seat) or None


def _seat(row: WorkerRow) -> tuple[str, str, str]:
    """What tells a worker from any other: a model may have several, by engine and by verb."""
    return row.model, row.engine, row.verb


def our_sides(client: Client, models: Sequence[str], host: Ours) -> list[Side]:
    """A side for each model, under its full name, with the engine where one was named that is not
    its own. Raises what the server says of one that it does not have."""
    address = Address(client.base_url, None, None)
    verify = address.options().get("verify")
    names = dict.fromkeys(client.model(model) for model in models)
    return [
        Side(
            name=name,
            base_url=f"{client.base_url}/v1",
            model=name,
            headers=address.headers,
            tls=verify if isinstance(verify, ssl.SSLContext) else None,
            host=host,
        )
        for name in names
    ]


def with_prices(side: Side, models: Mapping[str, ModelSettings], prices: PriceTable) -> Side:
    """A model of ours with what is paid for it where it is answered elsewhere. Where no price is
    known, none is made up."""
    own = models.get(side.model)
    if own is None or not own.base_url or not (place := Place.of_model(side.model, own)).outside:
        return side
    price = prices.find(own.model or side.model, str(place.destination))
    price = price or prices.own.get(side.model)
    if price is None or price.usual.input is None or price.usual.output is None:
        return replace(side, elsewhere=True)
    tariff = Tariff(float(price.usual.input), float(price.usual.output))
    return replace(side, elsewhere=True, tariff=tariff)
