"""Which models whoever asks may use, and hears of. Names lead to models in one way, and it is here
that it is guarded: by the model's own name and its aliases, however it was spelt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from noibo.engines.engine import Model
from noibo.errors import NoiboError
from noibo.gateway.access.identity import now

Resolve = Callable[[str], Awaitable[Model]]
Rows = Callable[[], Awaitable[list[tuple[str, float]]]]


def allowed(resolve: Resolve, aliases: Collection[str] = ()) -> Resolve:
    """The same, but what may not be used is refused with `Forbidden`."""

    async def leads_to(alias: str, model: Model) -> bool:
        try:
            return (await resolve(alias)).name == model.name
        except NoiboError:
            return False

    async def guarded(name: str) -> Model:
        model, who = await resolve(name), now()
        if not who.grant.may_use(model.name):
            names = [one for one in aliases if who.grant.may_use(one)]
            who.require_model(model.name, *[one for one in names if await leads_to(one, model)])
        return model

    return guarded


def visible(rows: Rows) -> Rows:
    """The same, without what may not be used."""

    async def seen() -> list[tuple[str, float]]:
        grant = now().grant
        return [row for row in await rows() if grant.may_use(row[0])]

    return seen
