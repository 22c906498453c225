"""What `noibo llm setup` takes for a place, and which variables go before what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from noibo.cli.llm_place import is_place
from noibo.cli.llm_setup import what_wins
from noibo.settings import load


@pytest.mark.parametrize(
    "said", ["models/llm", "data/models/llm", "./here", "/srv/x.gguf", "mô hình/llm", "my models/x"]
)
def test_a_place_that_is_not_there_is_one_all_the_same(said: str) -> None:
    assert is_place(said)


@pytest.mark.parametrize(
    "said",
    ["smollm2", "smollm2:135m", "acme/qwen:7b", "hf.co/org/repo", "ollama.com/qwen3", "pypi:x"],
)
def test_a_name_of_a_model_is_none(said: str) -> None:
    assert not is_place(said)


def test_what_lies_here_is_a_place_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2").mkdir()
    assert is_place("smollm2")


def test_only_variables_that_say_something_else_go_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / "noibo.toml").write_text("[llm]\nmax_length = 5\n")
    monkeypatch.setenv("LLM_MODEL_PATH", "models/llm")
    monkeypatch.setenv("LOAD_IN_8BIT", "true")
    monkeypatch.setenv("NOIBO_LLM_LOAD_IN_4BIT", "false")
    written = {"model_path": "echo", "load_in_8bit": False, "load_in_4bit": False, "max_length": 7}
    assert [line.partition(": ")[2] for line in what_wins(load(plain=True), written)] == [
        "unset it, or set LLM_MODEL_PATH=echo",
        "unset it, or set LOAD_IN_8BIT=false",
    ]
