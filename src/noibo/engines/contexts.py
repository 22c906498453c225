"""How much context callers ask for, model by model.

Ollama's callers say `num_ctx` with a request. A model that is loaded with less is loaded anew, with
as much as the most that anybody wants at that moment, and keeps it for all who come while it is
loaded: of two who ask for different sizes, the larger serves both. Once it is unloaded, that is
forgotten.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from noibo.engines.engine import Model

Resolve = Callable[[str], Awaitable[Model]]
# The context that callers asked for of the worker in that seat; 0: none runs, or nobody did.
Loaded = Callable[[str], int]


class Contexts:
    """Resolves names to models, each with the context that is wanted of it."""

    def __init__(self, resolve: Resolve, loaded: Loaded) -> None:
        self._resolve = resolve
        self._loaded = loaded
        self._wanted: dict[tuple[str, str], Counter[int]] = {}  # sizes, and how many want each
        self._made: dict[str, tuple[Model, Model]] = {}

    async def resolve(self, name: str) -> Model:
        """The model of that name; one model for one file and one context, so that it stays one."""
        model = await self._resolve(name)
        tokens = max(self._wanted.get((model.name, model.engine), ()), default=0)
        tokens = max(tokens, self._loaded(model.seat))
        if not tokens:
            return model
        made = self._made.get(model.seat)
        if made is None or made[0] is not model or made[1].context != tokens:
            made = self._made[model.seat] = (model, dataclasses.replace(model, context=tokens))
        return made[1]

    @contextlib.contextmanager
    def wanted(self, model: Model, tokens: int, most: int) -> Iterator[None]:
        """Within this the model is loaded with so much at least, rounded up to a power of two so
        that many sizes are few, but not over `most`."""
        size = min(1 << (tokens - 1).bit_length(), most)
        of = model.name, model.engine  # a use may have it run by another one too
        sizes = self._wanted.setdefault(of, Counter())
        sizes[size] += 1
        try:
            yield
        finally:
            sizes -= Counter([size])  # without what nobody wants any more
            if not sizes:
                self._wanted.pop(of, None)
