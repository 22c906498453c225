"""Which models whoever asks may use, and hears of. Names lead to models in one way, and it is here
that it is guarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from noibo.engines.engine import Model
from noibo.gateway.access.identity import now

Resolve = Callable[[str], Awaitable[Model]]
Rows = Callable[[], Awaitable[list[tuple[str, float]]]]


def allowed(resolve: Resolve) -> Resolve:
    """The same, but what may not be used is refused with `Forbidden`."""

    async def guarded(name: str) -> Model:
        model = await resolve(name)
        now().require_model(name or model.name, model.name)
        return model

    return guarded


def visible(rows: Rows) -> Rows:
    """The same, without what may not be used."""

    async def seen() -> list[tuple[str, float]]:
        grant = now().grant
        return [row for row in await rows() if grant.may_use(row[0])]

    return seen
