"""How much context callers asked for, model by model, while this server runs.

Ollama's callers say `num_ctx` with a request. A model that is loaded with less is loaded anew, and
then for everybody: the largest that was asked for stays, or two callers would load it in turns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

import msgspec

from noibo.engines.engine import Model

Resolve = Callable[[str], Awaitable[Model]]


class Contexts:
    """Resolves names to models, each with the context that is wanted of it."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._wanted: dict[str, int] = {}
        self._made: dict[str, tuple[Model, int, Model]] = {}

    async def resolve(self, name: str) -> Model:
        """The model of that name; one model for one file and one context, so that it stays one."""
        model = await self._resolve(name)
        wanted = self._wanted.get(model.name)
        if wanted is None:
            return model
        made = self._made.get(model.name)
        if made is None or made[0] is not model or made[1] != wanted:
            made = (model, wanted, _with_context(model, wanted))
            self._made[model.name] = made
        return made[2]

    def want(self, model: Model, tokens: int) -> None:
        """From now on it is loaded with so much at least."""
        self._wanted[model.name] = max(tokens, self._wanted.get(model.name, 0))


def _with_context(model: Model, tokens: int) -> Model:
    parameters = {**model.defaults.parameters, "num_ctx": tokens}
    return dataclasses.replace(
        model, defaults=msgspec.structs.replace(model.defaults, parameters=parameters)
    )
