"""Uses: which model a use leads to, by which engine, and for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend

from noibo.access.grant import Grant
from noibo.assembly import open_engines, open_lookup, open_store
from noibo.engines.engine import Speed
from noibo.engines.lookup import ModelLookup
from noibo.engines.memory.size import Use
from noibo.errors import Forbidden, ModelNotFound, NoiboError, SettingsError
from noibo.gateway.access.identity import Identity
from noibo.gateway.access.models import allowed, visible
from noibo.settings import Settings, load

pytestmark = pytest.mark.anyio
TABLES = """
default_model = "echo"
[aliases]
"gpt-4o" = "use:chat"
"small" = "echo"
[models."big"]
engine = "remote"
base_url = "http://127.0.0.1:8000/v1"
[uses.chat]
model = "small"
[uses.code]
model = "qwen2.5-coder"
engine = "ollama"
[uses.vision]
model = "big"
[uses.rerank]
model = "echo"
engine = "llama_server"
"""


def tree_of(home: Path, text: str = TABLES) -> Settings:
    home.mkdir(exist_ok=True)
    (home / "noibo.toml").write_text(text)
    return load(environ={"NOIBO_HOME": str(home)})


@pytest.fixture
def lookup(home: Path) -> ModelLookup:
    return open_lookup(tree_of(home))


# ── where they lead ─────────────────────────────────────────────────────────


async def test_a_use_leads_to_its_model_over_an_alias_and_from_one(lookup: ModelLookup) -> None:
    for name in ("use:chat", "gpt-4o", "echo", ""):
        assert (await lookup.resolve(name)).name == "echo"
    assert (await lookup.resolve("use:vision")).engine == "remote"


async def test_the_default_model_may_be_a_use(home: Path) -> None:
    text = 'default_model = "use:chat"\n[uses.chat]\nmodel = "echo"'
    assert (await open_lookup(tree_of(home, text)).resolve("")).name == "echo"


async def test_a_model_of_ollama_needs_no_table_of_its_own(home: Path) -> None:
    tree = tree_of(home)
    model = await open_lookup(tree).resolve("use:code")
    assert (model.name, model.engine, model.seat) == (
        "qwen2.5-coder",
        "ollama",
        "qwen2.5-coder @ollama",
    )
    engine = open_engines(tree)["ollama"]
    (size,) = engine.sizes(model, tree.engine, Use(), 0)
    reach = engine.launch(model, size, tree.engine, Speed()).reach
    assert reach is not None
    assert (reach.url, reach.model) == ("http://127.0.0.1:11434", "qwen2.5-coder")


async def test_with_an_engine_too_a_use_may_name_an_alias(home: Path) -> None:
    text = '[aliases]\ncoder = "qwen2.5-coder"\n[uses.code]\nmodel = "coder"\nengine = "ollama"'
    model = await open_lookup(tree_of(home, text)).resolve("use:code")
    assert (model.name, model.engine) == ("qwen2.5-coder", "ollama")
    there = REMOTE.replace("big", '"qwen2.5-coder"')
    named = text.replace("ollama", "remote") + "\n" + there
    assert (await open_lookup(tree_of(home, named)).resolve("use:code")).engine == "remote"


async def test_another_engine_runs_it_beside_the_models_own(lookup: ModelLookup) -> None:
    own, other = await lookup.resolve("echo"), await lookup.resolve("use:rerank")
    assert (other.name, other.engine) == ("echo", "llama_server")
    assert other.seat != own.seat
    assert await lookup.resolve("use:rerank") is other  # a new one would load it anew


async def test_any_engine_can_be_named_for_a_model_with_files(
    home: Path, smollm2_gguf: Path
) -> None:
    tree = tree_of(home, '[models.big]\nengine = "remote"\nbase_url = "http://127.0.0.1:1/v1"')
    open_store(tree).add(smollm2_gguf, "small")
    lookup = open_lookup(tree)
    own, other = await lookup.resolve("small"), await lookup.resolve("small@llama_server")
    assert (own.seat, other.seat) == ("small:latest", "small:latest @llama_server")
    assert (own.asked, other.asked) == ("small:latest", "small:latest@llama_server")
    assert await lookup.resolve(other.asked) is other
    assert (other.name, other.engine, other.path) == (own.name, "llama_server", own.path)
    assert await lookup.resolve("small@llama_cpp") is await lookup.resolve("small")
    for name in ("big@vllm", "echo@llama_cpp", "small@remote", "small@nobody", "@vllm"):
        with pytest.raises(NoiboError) as error:
            await lookup.resolve(name)
        assert error.value.status in {400, 404}
    Identity("k", grant=Grant("user", models=("qwen*",))).put({})
    with pytest.raises(Forbidden):
        await allowed(lookup.resolve)("small@llama_server")


async def test_an_alias_that_leads_to_itself_by_an_engine_is_no_model(home: Path) -> None:
    lookup = open_lookup(tree_of(home, '[aliases]\nx = "x@vllm"\ny = "echo@vllm"'))
    for name in ("x", "x@vllm", "y@llama_cpp"):
        with pytest.raises(ModelNotFound, match="names an engine already"):
            await lookup.resolve(name)


@pytest.mark.parametrize(
    ("name", "said"), [("use:embedding", "uses.embedding"), ("use:poems", "use:chat")]
)
async def test_a_use_that_is_not_set_is_said_to_be(
    lookup: ModelLookup, name: str, said: str
) -> None:
    with pytest.raises(ModelNotFound, match="no use") as error:
        await lookup.resolve(name)
    assert said in error.value.next_step


async def test_uses_are_listed(lookup: ModelLookup) -> None:
    names = {name for name, _ in await lookup.list()}
    assert {"use:chat", "use:code", "use:vision", "big"} <= names


# ── for whom ────────────────────────────────────────────────────────────────


async def test_a_use_is_no_way_round_the_scope_of_a_key(lookup: ModelLookup) -> None:
    resolve = allowed(lookup.resolve, ["gpt-4o", "small"])
    Identity("k", grant=Grant("user", models=("qwen*",))).put({})
    assert (await resolve("use:code")).name == "qwen2.5-coder"
    for name in ("use:chat", "use:vision", "gpt-4o"):
        with pytest.raises(Forbidden):
            await resolve(name)
    rows = await visible(lookup.list, resolve)()
    assert [name for name, _ in rows] == ["use:code"]


async def test_the_name_of_a_use_gives_nothing_itself(lookup: ModelLookup) -> None:
    resolve = allowed(lookup.resolve, ["gpt-4o", "small"])
    Identity("k", grant=Grant("user", models=("use:*",))).put({})
    with pytest.raises(Forbidden):
        await resolve("use:vision")
    assert await visible(lookup.list, resolve)() == []


# ── how they are set ────────────────────────────────────────────────────────

SECRET = "sk-of-the-keyring"
REMOTE = '[models.big]\nengine = "remote"\nbase_url = "http://127.0.0.1:1/v1"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[uses.poems]\nmodel = "a"', "no use 'poems'"),
        ('[uses.chat]\nengine = "ollama"', "names no model"),
        ('[uses.chat]\nmodel = "use:code"', "names no model"),
        ('[aliases]\nsmall = "use:chat"\n[uses.chat]\nmodel = "small"', "no use leads to a use"),
        ('[uses.chat]\nmodel = "a"\nengine = "remote"', "nothing says where"),
        ('[uses.chat]\nmodel = "a"\nengine = "vroom"', "no good"),
        ('[uses.chat]\nmodel = "a"\nmdl = "b"', "Unknown setting"),
        ("uses = 5", "not a table"),
        (REMOTE + '[uses.chat]\nmodel = "big"\nengine = "llama_cpp"', "cannot be run by"),
        (
            REMOTE + '[aliases]\nb = "big"\n[uses.chat]\nmodel = "b"\nengine = "ollama"',
            "big is asked for by remote",
        ),
    ],
)
def test_a_table_that_leads_nowhere_is_refused(home: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        tree_of(home, text)


def test_a_model_of_ollama_is_where_ollama_always_is(home: Path) -> None:
    tree = tree_of(home, '[models."llama3.2"]\nengine = "ollama"')
    assert tree.models["llama3.2"].base_url == "http://127.0.0.1:11434"


# ── keys ────────────────────────────────────────────────────────────────────


def test_a_key_in_the_keyring_is_read_when_it_is_wanted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = REMOTE + 'api_key = "keyring:noibo/vllm"'
    tree = tree_of(home, text)
    assert tree.models["big"].api_key == "keyring:noibo/vllm"
    engine: Any = open_engines(tree)["remote"]
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(SettingsError, match="no package") as error:
        engine.reach("big", tree.engine)
    assert "pip install" in error.value.next_step


def test_a_key_comes_from_the_keyring_and_is_told_nobody(home: Path) -> None:
    class InMemory(KeyringBackend):
        priority = 1.0

        def get_password(self, service: str, username: str) -> str | None:
            return {("noibo", "vllm"): SECRET}.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

    keyring.set_keyring(InMemory())
    for user, found in (("vllm", True), ("other", False)):
        tree = tree_of(home, REMOTE + f'api_key = "keyring:noibo/{user}"')
        engine: Any = open_engines(tree)["remote"]
        if found:
            reach = engine.reach("big", tree.engine)
            assert reach.key == SECRET
            assert SECRET not in repr(reach) + repr(tree)
        else:
            with pytest.raises(SettingsError, match="has no") as error:
                engine.reach("big", tree.engine)
            assert "keyring set noibo other" in error.value.next_step


@pytest.mark.parametrize("said", ["keyring:", "keyring:noibo", "keyring:/user"])
def test_a_place_in_the_keyring_is_whole(home: Path, said: str) -> None:
    with pytest.raises(SettingsError, match="does not say whose"):
        tree_of(home, REMOTE + f'api_key = "{said}"')
