"""An adapter is asked for, however it was named: from the lookup to what vLLM is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noibo.access.grant import Grant
from noibo.engines.engine import Model, Verb
from noibo.engines.environments.environment import Environment
from noibo.engines.lookup import ModelLookup
from noibo.engines.memory.size import Size
from noibo.engines.vllm.adapter import Vllm as Engine
from noibo.engines.vllm.arguments import Build, arguments
from noibo.engines.vllm.dialect import Vllm
from noibo.errors import Forbidden, ModelNotFound, NotSupported, SettingsError
from noibo.gateway.access.identity import Identity
from noibo.gateway.access.models import allowed, visible
from noibo.model_settings import ModelSettings, UseSettings, VllmSettings
from noibo.modelstore.store import Store
from noibo.settings import load
from tests.engines.hosted.test_hosted_adapters import WRITER
from tests.engines.hosted.test_lookup_of_checkpoints import checkpoint

pytestmark = pytest.mark.anyio
OWN = VllmSettings(lora={"support": "/l/support", "sql": "/l/sql"})
BASE, ADAPTER = "writer:latest", "writer-support"
ALIASES = {"help": ADAPTER, "gpt": BASE}


def lookup_of(folder: Path, *, engine: Any = "vllm", default: str = "", **more: Any) -> ModelLookup:
    store = Store(folder / "store")
    store.add(checkpoint(folder / "writer", WRITER))
    models = {BASE: ModelSettings(engine=engine, vllm=OWN)}
    return ModelLookup(store, default, "llama_cpp", ALIASES, models, **more)


async def nothing(path: str, body: bytes) -> Any:
    raise AssertionError(path)


async def sent(model: Model, name: str) -> str:
    """The model that vLLM is asked for, where the pipeline names that one."""
    question = await Vllm.of(model).question("/v1/completions", {"model": name}, nothing, None)
    found: str = json.loads(question.body)["model"]
    return found


@pytest.mark.parametrize(
    "asked",
    [
        *[
            "writer-support",
            "writer:latest-support",
            "writer-support:latest",
            "writer-support@vllm",
        ],
        *["help", "help@vllm", "use:chat", ""],
    ],
)
async def test_an_adapter_is_found_by_any_name_that_leads_to_it(tmp_path: Path, asked: str) -> None:
    uses = {"chat": UseSettings("help")}
    lookup = lookup_of(tmp_path, default=ADAPTER, uses=uses)
    base = await lookup.resolve("writer")
    model = await lookup.resolve(asked)
    assert (model.name, model.adapter, model.called) == (BASE, ADAPTER, ADAPTER)
    assert (model.seat, model.base) == (base.seat, base)  # its worker is the model's
    assert (await lookup.resolve("writer")).adapter == ""
    said = arguments(Build("cpu", "0.32.0", "python"), model, Size(512, 1), OWN, 2**20)
    assert f"{ADAPTER}=/l/support" in said
    assert await sent(base, model.called) == ADAPTER


async def test_the_model_itself_is_asked_by_any_other_name(tmp_path: Path) -> None:
    model = await lookup_of(tmp_path).resolve("gpt")
    for name in (model.called, "writer-other", "help"):
        assert await sent(model, name) == BASE


async def test_an_alias_may_have_the_name_of_the_model(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.add(checkpoint(tmp_path / "writer", WRITER))
    models = {BASE: ModelSettings(engine="vllm", vllm=OWN)}
    lookup = ModelLookup(store, "", "llama_cpp", {BASE: ADAPTER}, models)
    for asked in (BASE, f"{BASE}@vllm"):
        assert (await lookup.resolve(asked)).adapter == ADAPTER


async def test_an_engine_that_does_not_load_it_is_not_asked_for_its_model(tmp_path: Path) -> None:
    uses = {"chat": UseSettings(ADAPTER, "vllm"), "code": UseSettings(ADAPTER, "transformers")}
    lookup = lookup_of(tmp_path, engine="transformers", uses=uses)
    for asked in (ADAPTER, "help", "use:code", f"{ADAPTER}@transformers", "help@llama_cpp"):
        with pytest.raises(NotSupported, match="does not") as error:
            await lookup.resolve(asked)
        assert f"{ADAPTER}@vllm" in error.value.next_step
    for asked in (f"{ADAPTER}@vllm", "use:chat"):
        model = await lookup.resolve(asked)
        assert (model.adapter, model.engine, model.apart) == (ADAPTER, "vllm", "vllm")
    assert (await lookup.resolve("writer@vllm")).adapter == ""


async def test_an_adapter_that_nobody_set_is_no_model(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.add(checkpoint(tmp_path / "writer", WRITER))
    with pytest.raises(ModelNotFound):
        await ModelLookup(store, "", "llama_cpp").resolve(ADAPTER)


async def test_one_in_the_table_of_no_model_is_not_its_model(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.add(checkpoint(tmp_path / "writer", WRITER))
    models = {"writer": ModelSettings(engine="vllm", vllm=OWN)}  # it is called writer:latest
    lookup = ModelLookup(store, "", "llama_cpp", models=models)
    with pytest.raises(NotSupported, match=r"writer:latest"):
        await lookup.resolve(ADAPTER)
    assert ADAPTER not in dict(await lookup.list())


async def test_adapters_are_listed_with_the_model(tmp_path: Path) -> None:
    lookup = lookup_of(tmp_path)
    names = [name for name, _ in await lookup.list()]
    assert sorted(names) == sorted([BASE, ADAPTER, "writer-sql", *ALIASES])


@pytest.mark.parametrize("verb", [Verb.SCORE, Verb.EMBED])
async def test_what_is_not_asked_of_an_adapter_is_not_done_by_its_model(
    tmp_path: Path, verb: Verb
) -> None:
    environment = Environment("vllm", "vllm", "vllm", "0.32.0", "cpu", "3.11", 1.0)
    engine, model = Engine(lambda: environment), await lookup_of(tmp_path).resolve(ADAPTER)
    with pytest.raises(NotSupported, match=verb.value):
        engine.serving(model, verb)
    assert engine.serving(model, Verb.TOKENISE).adapter == ""
    assert engine.serving(model.base, verb).name == BASE


# ── for whom ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scope", "may", "listed"),
    [
        ("writer-support", {"help", ADAPTER, f"{ADAPTER}@vllm"}, {ADAPTER}),
        ("help", {"help", ADAPTER, f"{ADAPTER}@vllm"}, {"help"}),
        ("writer", {"writer", "gpt", "help", ADAPTER, "writer-sql", f"{ADAPTER}@vllm"}, {BASE}),
        ("gpt", {"writer", "gpt"}, {"gpt"}),
        ("other*", set(), set()),
    ],
)
async def test_the_scope_of_a_key_is_judged_by_both_names(
    tmp_path: Path, scope: str, may: set[str], listed: set[str]
) -> None:
    lookup = lookup_of(tmp_path)
    resolve = allowed(lookup.resolve, ALIASES)
    Identity("k", grant=Grant("user", models=(scope,))).put({})
    for name in ("writer", "gpt", "help", ADAPTER, "writer-sql", f"{ADAPTER}@vllm"):
        if name in may:
            await resolve(name)
        else:
            with pytest.raises(Forbidden):
                await resolve(name)
    assert {name for name, _ in await visible(lookup.list, resolve)()} == listed


# ── how they are set ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("lora_rank = 7", "vLLM takes 1, 8, 16, 32, 64, 128, 256, 320, 512, and not 7"),
        ("lora_rank = -1", "and not -1"),
        ('lora = { "a=b" = "/l" }', "'a=b' is no name"),
        ('lora = { "a b" = "/l" }', "'a b' is no name"),
        ('lora = { "a@vllm" = "/l" }', "'a@vllm' is no name"),
        ('lora = { "" = "/l" }', "'' is no name"),
        ('lora = { a = "/l/x=1" }', "the path of a has ="),
    ],
)
def test_what_vllm_does_not_take_is_refused_in_the_settings(
    home: Path, said: str, why: str
) -> None:
    home.mkdir()
    file = home / "noibo.toml"
    file.write_text(f'[models."writer:latest"]\nvllm = {{ {said} }}\n')
    with pytest.raises(SettingsError) as error:
        load(environ={"NOIBO_HOME": str(home)})
    assert why in error.value.message


@pytest.mark.parametrize("rank", [0, 1, 8, 320, 512])
def test_ranks_that_vllm_takes(rank: int) -> None:
    assert VllmSettings(lora_rank=rank).lora_rank == rank
