from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import SettingsError
from noibo.settings import Settings, bare_environment, find_home, keys, load


def write(home: Path, text: str) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    path = home / "noibo.toml"
    path.write_text(text)
    return path


def test_defaults_need_no_file() -> None:
    settings = load()
    assert settings.server.port == 11500
    assert settings.url == "http://127.0.0.1:11500"
    assert set(settings.sources.values()) == {"default"}


def test_a_later_source_wins_and_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home, 'default_model = "a"\n[server]\nport = 1000\nhost = "::1"\n')
    monkeypatch.setenv("NOIBO_SERVER_PORT", "2000")
    settings = load(options={"default_model": "c", "server.host": None})
    assert settings.default_model == "c"
    assert (settings.server.host, settings.server.port) == ("::1", 2000)
    assert settings.sources["default_model"] == "option"
    assert settings.sources["server.port"] == "NOIBO_SERVER_PORT"
    assert settings.sources["server.host"] == str(path)


def test_the_tree_is_frozen() -> None:
    with pytest.raises(AttributeError):
        load().offline = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("[server]\nprot = 1\n", "server.port"),
        ("ofline = true\n", "offline"),
        ("[sever]\nport = 1\n", "server.port"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(home: Path, text: str, near: str) -> None:
    write(home, text)
    with pytest.raises(SettingsError) as caught:
        load()
    assert near in caught.value.next_step


def test_an_unknown_variable_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOIBO_OFLINE", "1")
    with pytest.raises(SettingsError, match="NOIBO_OFFLINE"):
        load()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NOIBO_SERVER_PORT", "eighty"),
        ("NOIBO_SERVER_PORT", "70000"),
        ("NOIBO_OFFLINE", "maybe"),
        ("NOIBO_ENGINE_PARALLEL", "-1"),
        ("NOIBO_ENGINE_START_STALL_S", "-1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_key(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert variable in caught.value.message


@pytest.mark.parametrize("word", ["1", "true", "Yes", "ON"])
def test_offline_is_understood(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("NOIBO_OFFLINE", word)
    assert load().offline is True


def test_a_file_that_is_not_toml_says_where(home: Path) -> None:
    write(home, "[server\n")
    with pytest.raises(SettingsError, match="line 1"):
        load()


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no settings file .*mine\.toml"):
        load(config=tmp_path / "mine.toml")


def test_home_is_the_platforms_where_none_is_named() -> None:
    assert find_home({}).name == "noibo"
    assert find_home({"NOIBO_HOME": "/srv/noibo"}) == Path("/srv/noibo")


def test_a_relative_store_is_beside_its_file_or_where_the_user_stands(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, '[store]\npath = "weights"\n')
    assert load().models_folder == home / "weights"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOIBO_STORE_PATH", "mine")
    assert load().models_folder == tmp_path / "mine"
    monkeypatch.chdir(home)
    assert load(config=Path("noibo.toml")).file == home / "noibo.toml"


@pytest.mark.parametrize("name", ["NOIBO_HOME", "NOIBO_STORE_PATH", "NOIBO_CONFIG"])
def test_the_home_of_nobody_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "~no-such-user/x")
    with pytest.raises(SettingsError, match="no-such-user"):
        load()


def test_every_key_has_documentation_and_a_variable_of_its_own() -> None:
    found = list(keys())
    assert all(key.doc.endswith(".") for key in found)
    assert len({key.variable for key in found}) == len(found)
    assert len(found) > 10


def test_only_settings_reads_the_environment() -> None:
    source = Path(__file__).parent.parent / "src" / "noibo"
    readers = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if "os.environ" in path.read_text()
    }
    # The guard runs in vLLM's own process, before anything of noibo's is there.
    assert readers == {"settings.py", "engines/vllm/guard.py"}


def test_secrets_are_not_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("HF_TOKEN", "hf-secret")
    assert not {"sk-secret", "hf-secret"} & set(bare_environment().values())


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5), max_size=3))
def test_no_file_gives_anything_but_settings_or_a_settings_error(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("s") / "x.toml"
    lines = [f"{json.dumps(k)} = {json.dumps(v)}" for k, v in tree.items()]
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(SettingsError):
        assert isinstance(load(config=path, environ={"NOIBO_HOME": "/nowhere"}), Settings)


def test_the_table_of_a_model_is_found_by_its_full_name_too(tmp_path: Path) -> None:
    (tmp_path / "noibo.toml").write_text(
        '[models.Writer]\nctx_size = 512\n[models."a:7b"]\nctx_size = 1\n'
        '[models.twice]\nctx_size = 2\n[models."twice:latest"]\nctx_size = 3\n'
        '[models.far]\nengine = "remote"\nbase_url = "http://127.0.0.1:1"\n'
    )
    models = load(environ={"NOIBO_HOME": str(tmp_path)}).models
    assert models["writer:latest"] is models["Writer"]
    assert models["twice:latest"].ctx_size == 3
    assert {"a:7b:latest", "far:latest"}.isdisjoint(models)
