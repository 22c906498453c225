"""How much context callers ask for: the largest counts, and as long as the model is loaded."""

from __future__ import annotations

import pytest

from noibo.engines.contexts import Contexts
from noibo.engines.engine import Model, Verb
from noibo.engines.llama_cpp.adapter import LlamaCpp, context_size
from noibo.settings import Engine

pytestmark = pytest.mark.anyio
MOST = 2**20


class Place:
    """One model, and what is loaded of it."""

    def __init__(self) -> None:
        self.model = Model("a", "echo")
        self.loaded = 0
        self.contexts = Contexts(self.resolve, lambda seat: self.loaded if seat == "a" else 0)

    async def resolve(self, name: str) -> Model:
        return self.model

    async def context(self) -> int:
        return (await self.contexts.resolve("a")).context


async def test_a_model_is_what_it_was_until_somebody_asks() -> None:
    place = Place()
    assert await place.contexts.resolve("a") is place.model
    with place.contexts.wanted(place.model, 6000, MOST):
        wider = await place.contexts.resolve("a")
        assert wider.context == 8192
        assert await place.contexts.resolve("a") is wider  # a new one would load it anew
        place.model = Model("a", "echo", parameters=5)  # another file under that name
        assert (await place.contexts.resolve("a")).parameters == 5
    assert await place.contexts.resolve("a") is place.model


async def test_sizes_are_powers_of_two_up_to_what_can_be() -> None:
    place = Place()
    for asked, has in ((4096, 4096), (4097, 8192), (1, 1), (9000, 10_000), (2**31 - 1, 10_000)):
        with place.contexts.wanted(place.model, asked, 10_000):
            assert await place.context() == has


async def test_the_larger_serves_both() -> None:
    place = Place()
    with place.contexts.wanted(place.model, 8192, MOST):
        with place.contexts.wanted(place.model, 4096, MOST):
            assert await place.context() == 8192
        with place.contexts.wanted(place.model, 8192, MOST):
            assert await place.context() == 8192
        assert await place.context() == 8192


async def test_what_is_wanted_of_one_engine_is_not_wanted_of_another() -> None:
    place = Place()
    with place.contexts.wanted(Model("a", "llama_server", apart="llama_server"), 6000, MOST):
        assert await place.contexts.resolve("a") is place.model


async def test_what_is_loaded_stays_so_until_it_is_unloaded() -> None:
    place = Place()
    place.loaded = 8192
    wide = await place.contexts.resolve("a")
    assert wide.context == 8192
    with place.contexts.wanted(place.model, 4096, MOST):
        assert await place.contexts.resolve("a") is wide
    place.loaded = 0
    assert await place.contexts.resolve("a") is place.model


async def test_only_conversations_have_it() -> None:
    model, engine = Model("a", "llama_cpp", trained_context=2**16, context=2**15), LlamaCpp()
    for verb in Verb:
        own = verb in {Verb.SCORE, Verb.EMBED}
        assert engine.serving(model, verb).context == (0 if own else 2**15)
    assert context_size(model, Engine()) == 2**15
