"""The place that LLM_MODEL_PATH names, before a model is there and when one was put there."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from noibo.cli.llm_place import Place, empty_place, find, stem_of
from noibo.engines.engine import Model
from noibo.errors import SettingsError
from noibo.llm_service.quantised import Wish
from noibo.settings import Settings, load
from tests.llm_service.conftest import small_gguf

SEEDS = "models/llm"


def settings(said: str = SEEDS) -> Settings:
    """As a program has them with LLM_MODEL_PATH."""
    return load(environ={**os.environ, "LLM_MODEL_PATH": said}, plain=True)


def place_of(said: str = SEEDS) -> Place:
    found = empty_place(settings(said), Wish())
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the program runs in."""
    folder = tmp_path / "program"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """One that was fetched."""
    file = small_gguf(tmp_path / "store" / "sha256-0", "Q4_1")
    return Model("small:1b", "llama_cpp", path=file)


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_holds_the_model_under_its_name(here: Path, model: Model, there: bool) -> None:
    if there:
        (here / SEEDS).mkdir(parents=True)
    place = place_of()
    place.require_usable()
    put = place.put(model)
    assert put == here / SEEDS / "small-1b.gguf"
    assert model.path is not None
    assert put.samefile(model.path)
    assert find(settings(), SEEDS, Wish()).model.path == put
    assert empty_place(settings(), Wish()) is None
    assert place.put(model) == put  # again


@pytest.mark.parametrize("said", ["models/own.gguf", "./own.GGUF"])
def test_a_file_is_made_that_file(here: Path, model: Model, said: str) -> None:
    place = place_of(said)
    place.require_usable()
    assert place.put(model) == here / said
    assert find(settings(said), said, Wish()).model.path == (here / said).absolute()


def test_a_model_in_parts_is_all_of_them(here: Path, tmp_path: Path, model: Model) -> None:
    names = [f"big-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    first, _ = (small_gguf(tmp_path / "parts" / name, "Q8_0") for name in names)
    big = replace(model, name="hf.co/acme/big:q8_0", path=first)
    place_of().put(big)
    made = sorted(path.name for path in (here / SEEDS).iterdir())
    assert made == [name.replace("Q8_0", "q8_0") for name in names]
    with pytest.raises(SettingsError, match="2 files"):
        place_of("own.gguf").put(big)


def test_on_another_disk_it_is_a_symbolic_link(
    here: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    put = place_of().put(model)
    assert put.readlink() == model.path
    assert find(settings(), SEEDS, Wish()).model.path == put


def test_a_link_that_leads_nowhere_gives_way(here: Path, model: Model) -> None:
    (here / SEEDS).mkdir(parents=True)
    (here / SEEDS / "small-1b.gguf").symlink_to(here / "gone")
    assert place_of().put(model).exists()


def test_what_is_there_already_is_not_touched(here: Path, model: Model) -> None:
    (here / SEEDS).mkdir(parents=True)
    mine = here / SEEDS / "small-1b.gguf"
    mine.write_text("half of a model")
    with pytest.raises(SettingsError, match="File exists") as caught:
        place_of().put(model)
    assert mine.read_text() == "half of a model"
    assert "LLM_MODEL_PATH=small:1b" in caught.value.next_step


@pytest.mark.parametrize("file", ["models", SEEDS])
def test_what_is_no_folder_is_said_before_anything_is_fetched(here: Path, file: str) -> None:
    (here / file).parent.mkdir(exist_ok=True)
    (here / file).write_text("mine")
    with pytest.raises(SettingsError, match="is no folder") as caught:
        place_of().require_usable()
    assert "LLM_MODEL_PATH" in caught.value.next_step


def test_where_nothing_can_be_made_it_is_said(model: Model) -> None:
    with pytest.raises(SettingsError, match="cannot hold a model"):
        place_of("/proc/noibo/llm").put(model)


def test_a_model_without_a_file_cannot_be_put_anywhere(here: Path) -> None:
    with pytest.raises(SettingsError, match="GGUF") as caught:
        place_of().put(Model("echo", "echo"))
    assert "LLM_MODEL_PATH=echo" in caught.value.next_step
    assert not (here / "models").exists()


def test_only_places_without_a_model_are_empty(here: Path) -> None:
    assert empty_place(settings("smollm2:135m"), Wish()) is None
    small_gguf(here / SEEDS / "one.gguf", "Q4_1")
    assert empty_place(settings(), Wish()) is None
    small_gguf(here / SEEDS / "two.gguf", "Q8_0")
    assert empty_place(settings(), Wish()) is None  # two: whoever loads them is told


def test_a_setting_counts_as_a_variable_does_but_is_no_variable(home: Path, here: Path) -> None:
    assert place_of().variable == "LLM_MODEL_PATH"
    home.mkdir()
    (home / "noibo.toml").write_text(f'[llm]\nmodel_path = "{SEEDS}"\n')
    place = place_of("")
    assert (place.path, place.variable) == (here / SEEDS, "")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("small:1b", "small-1b"),
        ("small:latest", "small"),
        ("hf.co/acme/small:q8_0", "small-q8_0"),
    ],
)
def test_a_file_is_named_as_the_model(name: str, stem: str) -> None:
    assert stem_of(name) == stem
