"""An adapter is asked for by its name: from the lookup to what vLLM is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noibo.engines.lookup import ModelLookup
from noibo.engines.memory.size import Size
from noibo.engines.vllm import lora
from noibo.engines.vllm.arguments import Build, arguments
from noibo.engines.vllm.dialect import Vllm
from noibo.errors import ModelNotFound
from noibo.model_settings import ModelSettings, VllmSettings
from noibo.modelstore.store import Store
from tests.engines.hosted.test_hosted_adapters import WRITER
from tests.engines.hosted.test_lookup_of_checkpoints import checkpoint

pytestmark = pytest.mark.anyio


async def nothing(path: str, body: bytes) -> Any:
    raise AssertionError(path)


@pytest.mark.parametrize("asked", ["writer-support", "writer:latest-support"])
async def test_an_adapter_is_found_and_asked_for(tmp_path: Path, asked: str) -> None:
    store = Store(tmp_path / "store")
    store.add(checkpoint(tmp_path / "writer", WRITER))
    own = VllmSettings(lora={"support": "/l/support"})
    models = {"writer:latest": ModelSettings(engine="vllm", vllm=own)}
    model = await ModelLookup(store, "", "llama_cpp", models=models).resolve(asked)
    assert model.name == "writer:latest"
    said = arguments(Build("cpu", "0.32.0", "python"), model, Size(512, 1), own, 2**20)
    named = said[said.index("--lora-modules") + 1]
    name, _, path = named.partition("=")
    assert path == "/l/support"
    question = await Vllm.of(model).question(
        "/v1/chat/completions", {"model": asked}, nothing, None
    )
    assert json.loads(question.body)["model"] == name


async def test_the_model_itself_is_asked_by_any_other_name(tmp_path: Path) -> None:
    dialect = Vllm("writer:latest", adapters=lora.names("writer:latest", ["support"]))
    for asked in ("writer", "an alias", "writer-other", 7):
        question = await dialect.question("/v1/completions", {"model": asked}, nothing, None)
        assert json.loads(question.body)["model"] == "writer:latest"


async def test_an_adapter_that_nobody_set_is_no_model(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.add(checkpoint(tmp_path / "writer", WRITER))
    with pytest.raises(ModelNotFound):
        await ModelLookup(store, "", "llama_cpp").resolve("writer-support")
