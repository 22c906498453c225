"""Models of the noibo server that runs here, as sides of a bench."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from noibo.client import AsyncClient, Client
from noibo.client.connection import Address
from noibo.evaluation.sides import Side


class Ours:
    """The server of this user. It is asked to load what is measured next, and what that holds."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def prepare(self, model: str) -> None:
        await self._client.load(model)

    async def memory(self, model: str) -> int | None:
        rows = await self._client.workers()
        held = sum(row.peak_bytes for row in rows if row.model == model)
        return held or None


def our_sides(client: Client, models: Sequence[str], host: Ours) -> list[Side]:
    """A side for each model, under its full name. Raises what the server says of one that it does
    not have."""
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
