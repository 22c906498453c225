"""How much context callers asked for: the largest stays, and a model stays one."""

from __future__ import annotations

import pytest

from noibo.engines.contexts import Contexts
from noibo.engines.engine import Model
from noibo.modelstore.offer import Defaults

pytestmark = pytest.mark.anyio


async def test_a_model_is_what_it_was_until_somebody_asks() -> None:
    model = Model("a", "echo", defaults=Defaults(parameters={"top_k": 1}))

    async def resolve(name: str) -> Model:
        return model

    contexts = Contexts(resolve)
    assert await contexts.resolve("a") is model
    contexts.want(model, 6000)
    contexts.want(model, 5000)
    wider = await contexts.resolve("a")
    assert wider.defaults.parameters == {"top_k": 1, "num_ctx": 6000}
    assert await contexts.resolve("a") is wider  # a new one would load it anew
    model = Model("a", "echo", parameters=5)  # another file under that name
    assert (await contexts.resolve("a")).parameters == 5
