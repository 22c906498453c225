"""`noibo llm setup` and `noibo llm test`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noibo.settings import load
from tests.llm_service.conftest import small_gguf
from tests.running import run_noibo

NOWHERE = {"NOIBO_OFFLINE": "1"}
pytestmark = pytest.mark.heavy  # the machine is measured


def test_setup_writes_what_it_says_and_asks_before_it_overwrites(
    home: Path, tmp_path: Path
) -> None:
    for quantisation in ("Q8_0", "Q4_K_M"):
        small_gguf(tmp_path / "my models" / f"small-{quantisation}.gguf", quantisation)
    folder = tmp_path / "my models"
    home.mkdir()
    (home / "noibo.toml").write_text("# mine\noffline = true\n")
    done = run_noibo("llm", "setup", str(folder), "--quantization", "8bit", home=home)
    assert done.returncode == 0, done.stderr
    assert "small-q8_0:latest Q8_0" in done.stdout
    assert "Here: " in done.stdout
    written = (home / "noibo.toml").read_text()
    assert written.startswith("# mine\noffline = true\n")
    llm = load().llm
    assert (llm.model_path, llm.load_in_8bit, llm.load_in_4bit) == (str(folder), True, False)

    again = run_noibo("llm", "setup", str(folder), "--quantization", "4bit", home=home)
    assert again.returncode == 2
    assert "--yes" in again.stderr
    assert (home / "noibo.toml").read_text() == written

    sure = run_noibo("llm", "setup", str(folder), "--quantization", "4bit", "--yes", home=home)
    assert "llm.load_in_8bit: True becomes False" in sure.stdout
    assert load().llm.load_in_4bit

    same = run_noibo("llm", "setup", home=home)
    assert "says so already" in same.stdout


PLACE = {"LLM_MODEL_PATH": "models/llm"}  # as the seed has it, before a model is there


@pytest.mark.parametrize("there", [False, True])
def test_where_the_variable_names_a_place_without_a_model_the_default_one_is_put_there(
    home: Path, tmp_path: Path, model_store: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "models" / "llm").mkdir(parents=True)
    environ = {**PLACE, **NOWHERE, "NOIBO_STORE_PATH": str(model_store)}
    done = run_noibo("llm", "setup", home=home, **environ)
    assert done.returncode == 0, done.stderr
    assert "The default model, smollm2:135m, goes there." in done.stdout
    link = tmp_path / "models" / "llm" / "smollm2-135m.gguf"
    assert f"Put there: {link} " in done.stdout
    assert link.is_file()
    assert load().llm.model_path == "smollm2:135m"
    short = ("--max-tokens", "8", "--json")
    tried = run_noibo("llm", "test", *short, home=home, **environ, NOIBO_ENGINE_THREADS="1")
    assert tried.returncode == 0, tried.stderr
    assert json.loads(tried.stdout)["model"] == "smollm2:135m"
    for arguments in ((), ("smollm2:135m",)):
        again = run_noibo("llm", "setup", *arguments, home=home, **environ)
        assert again.returncode == 0, again.stderr
        assert "says so already" in again.stdout
        assert "goes before" not in done.stdout + again.stdout
    assert list(link.parent.iterdir()) == [link]


def test_where_a_variable_names_a_model_it_is_said_that_it_goes_before_another(
    home: Path, tmp_path: Path
) -> None:
    mine, other = (
        small_gguf(tmp_path / name / f"{name}.gguf", "Q4_1", name) for name in ("mine", "other")
    )
    settled = {"LLM_MODEL_PATH": str(mine)}
    done = run_noibo("llm", "setup", str(other), home=home, **settled, **NOWHERE)
    assert done.returncode == 0, done.stderr
    assert f"LLM_MODEL_PATH goes before noibo.toml: unset it, or set LLM_MODEL_PATH={other}" in (
        done.stdout
    )
    quiet = run_noibo("llm", "setup", "--yes", home=home, **settled, **NOWHERE)
    assert quiet.returncode == 0, quiet.stderr
    assert "LLM_MODEL_PATH" not in quiet.stdout


def test_a_named_model_is_put_where_the_variable_looks_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = small_gguf(tmp_path / "mine.gguf", "Q4_1")
    own = {"LLM_MODEL_PATH": "models/own.gguf"}
    done = run_noibo("llm", "setup", str(mine), home=home, **own, **NOWHERE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models" / "own.gguf").samefile(mine)
    assert "goes before" not in done.stdout


def test_a_place_that_the_file_names_is_kept_there(home: Path, tmp_path: Path) -> None:
    mine = small_gguf(tmp_path / "mine.gguf", "Q4_1")
    assert run_noibo("add", str(mine), "--name", "mine:1", home=home).returncode == 0
    place = tmp_path / "llm"
    lines = ['default_model = "mine:1"', "[llm]", f'model_path = "{place}"', ""]
    (home / "noibo.toml").write_text("\n".join(lines))
    done = run_noibo("llm", "setup", home=home, **NOWHERE)
    assert done.returncode == 0, done.stderr
    assert (place / "mine-1.gguf").samefile(mine)
    assert (home / "noibo.toml").read_text() == "\n".join(lines)


def test_where_it_cannot_be_put_there_nothing_is_done(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").write_text("mine")
    done = run_noibo("llm", "setup", home=home, **PLACE, **NOWHERE)
    assert done.returncode == 2
    assert "models/llm (LLM_MODEL_PATH) cannot hold a model" in done.stderr
    assert "unset it" in done.stderr
    assert not (home / "noibo.toml").exists()


def test_a_folder_is_never_fetched_as_somebodys_model(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_noibo("llm", "setup", home=home, **PLACE, **NOWHERE)
    assert done.returncode == 4
    assert "The default model, smollm2:135m, goes there" in done.stdout
    assert "offline" in done.stderr
    assert "models/llm:latest" not in done.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("./none.gguf",), 3, "Model path not found"),
        (("echo", "--max-length", "-5"), 2, "max-length"),
    ],
)
def test_a_setup_that_fails_writes_nothing(
    home: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run_noibo("llm", "setup", *arguments, home=home, **NOWHERE)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert not (home / "noibo.toml").exists()


def test_what_cannot_be_had_or_will_not_run_is_not_written_down(home: Path) -> None:
    for model, code, said in (("smollm2:135m", 4, "offline"), ("qwen3:235b", 8, "--yes")):
        done = run_noibo("llm", "setup", model, home=home, **NOWHERE)
        assert done.returncode == code, done.stderr
        assert said in done.stderr
    assert not (home / "noibo.toml").exists()


def test_a_test_without_a_model_says_how_to_get_one(home: Path) -> None:
    done = run_noibo("llm", "test", home=home, **NOWHERE)
    assert done.returncode == 3
    assert "noibo llm setup" in done.stderr


def test_a_test_tells_what_it_saw(home: Path) -> None:
    done = run_noibo("llm", "test", "echo", "--json", home=home)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told["passed"]) == {"load", "answer", "stream", "performance"}
    assert all(told["passed"].values())
    assert (told["answered"], told["mean_s"] > 0) == (5, True)
    assert told["pieces"] > 1
    assert told["info"]["loaded"] is True
    spoken = run_noibo("llm", "test", home=home, LLM_MODEL_PATH="echo")
    assert "5 of 5 questions answered" in spoken.stdout
    assert "4 of 4 tests passed." in spoken.stdout


def test_on_a_real_model(home: Path, smollm2_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "smollm2.gguf").symlink_to(smollm2_gguf)
    assert run_noibo("llm", "setup", str(tmp_path / "smollm2.gguf"), home=home).returncode == 0
    one = {"NOIBO_ENGINE_THREADS": "1"}
    done = run_noibo("llm", "test", "--max-tokens", "12", "--json", home=home, **one)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["tokens_per_second"] > 0
    assert told["load_s"] > 0
