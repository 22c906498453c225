"""Which models whoever asks may use, and hears of. Names lead to models in one way, and it is here
that it is guarded: by the model's own name and its aliases, however it was spelt. An adapter may be
used by who may use its model, or the adapter by its own name, which gives nobody the model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextvars import ContextVar

from noibo.access.grant import Grant
from noibo.engines.engine import Model
from noibo.errors import NoiboError
from noibo.gateway.access.identity import now
from noibo.model_settings import USE

# The virtual model that a request was sent to, which who asks may use: so they may its candidates.
STANDS_FOR: ContextVar[str] = ContextVar("noibo.stands_for", default="")
Resolve = Callable[[str], Awaitable[Model]]
Rows = Callable[[], Awaitable[list[tuple[str, float]]]]


def allowed(
    resolve: Resolve, aliases: Collection[str] = (), virtual: Collection[str] = ()
) -> Resolve:
    """The same, but what may not be used is refused with `Forbidden`. The name of a `virtual` model
    opens what stands behind it to who asks by that name, and by no other."""

    async def leads_to(alias: str, model: Model) -> bool:
        try:
            found = await resolve(alias)
        except NoiboError:
            return False
        return (found.name, found.adapter) == (model.name, model.adapter)

    async def guarded(name: str) -> Model:
        model, who = await resolve(name), now()
        by_virtual = STANDS_FOR.get() or (name in virtual and who.grant.may_use(name))
        if not (who.grant.may_use(model.name) or by_virtual):
            names = [one for one in aliases if who.grant.may_use(one)]
            leading = [one for one in names if await leads_to(one, model)]
            who.require_model(model.called, model.name, *leading)
        return model

    return guarded


def visible(rows: Rows, resolve: Resolve) -> Rows:
    """The same, without what may not be used. A use is no name of a model: whether it may be asked
    for is said by the model that it leads to, which `resolve` guards."""

    async def seen() -> list[tuple[str, float]]:
        grant = now().grant
        return [row for row in await rows() if await may_use(row[0], grant)]

    async def may_use(name: str, grant: Grant) -> bool:
        if not name.startswith(USE):
            return grant.may_use(name)
        try:
            await resolve(name)
        except NoiboError:
            return False
        return True

    return seen
