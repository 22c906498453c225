"""Paths, folders and names; the files here are headers of models, and the store is real."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from noibo.assembly import open_lookup, open_store
from noibo.errors import (
    BadModelFile,
    InvalidRequest,
    LicenceRefused,
    ModelPathNotFound,
    NotSupported,
    QuantisationMissing,
)
from noibo.llm_service.finding import Finder, Found
from noibo.llm_service.quantised import Wish
from noibo.modelstore.manifest import InStore, ModelFile, Provenance
from noibo.modelstore.offer import Defaults
from noibo.modelstore.reference import Reference
from noibo.settings import load
from tests.llm_service.conftest import small_gguf
from tests.modelstore.gguf_builder import STRING, Gguf


def find(said: str | Path, bits: int = 0) -> Found:
    tree = load()
    return asyncio.run(
        Finder(tree, open_store(tree), open_lookup(tree)).find(str(said), Wish(bits))
    )


def test_a_file_is_taken_where_it_lies(tmp_path: Path) -> None:
    path = small_gguf(tmp_path / "small-Q8_0.gguf", "Q8_0")
    found = find(path)
    assert (found.model.path, found.quantisation, found.note) == (path, "Q8_0", "")
    assert (found.model.name, found.model.engine) == ("small-q8_0:latest", "llama_cpp")
    assert (found.model.trained_context, found.model.bytes) == (2048, path.stat().st_size)


def test_a_folder_that_holds_one_is_that_one_however_deep(tmp_path: Path) -> None:
    path = small_gguf(tmp_path / "gpt-oss" / "deep" / "small.gguf", "Q4_1")
    assert find(tmp_path).model.path == path
    assert find(tmp_path).quantisation == "Q4_1"


def test_spaces_marks_and_the_home_of_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_gguf(tmp_path / "mô hình của tôi" / "bản một.gguf", "Q4_1")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/mô hình của tôi").model.path == path
    assert find("~/mô hình của tôi/bản một.gguf").model.path == path


def test_a_relative_path_is_meant_from_where_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_gguf(tmp_path / "models" / "llm" / "small.gguf", "Q4_1")
    monkeypatch.chdir(tmp_path)
    assert find("models/llm").model.path == path
    assert find("").model.path == path


def test_of_several_quantisations_the_one_that_was_asked_for(tmp_path: Path) -> None:
    files = {
        one: small_gguf(tmp_path / f"small-{one}.gguf", one) for one in ("F16", "Q8_0", "Q4_K_M")
    }
    for bits, quantisation in ((16, "F16"), (8, "Q8_0"), (4, "Q4_K_M")):
        assert find(tmp_path, bits).model.path == files[quantisation]
        assert find(files["F16"], bits).model.path == files[quantisation]


def test_several_and_nothing_asked_names_them(tmp_path: Path) -> None:
    small_gguf(tmp_path / "small-Q8_0.gguf", "Q8_0")
    small_gguf(tmp_path / "small-Q4_K_M.gguf", "Q4_K_M")
    with pytest.raises(InvalidRequest, match=r"2 models: small-Q4_K_M\.gguf, small-Q8_0\.gguf"):
        find(tmp_path)


def test_different_models_are_not_told_apart_by_bits(tmp_path: Path) -> None:
    small_gguf(tmp_path / "one-Q8_0.gguf", "Q8_0")
    small_gguf(tmp_path / "other-Q4_K_M.gguf", "Q4_K_M")
    with pytest.raises(InvalidRequest, match="2 models"):
        find(tmp_path, 8)
    with pytest.raises(QuantisationMissing):
        find(tmp_path / "one-Q8_0.gguf", 4)


def test_where_only_a_larger_one_is_the_command_that_makes_it_is_named(tmp_path: Path) -> None:
    path = small_gguf(tmp_path / "small-F16.gguf", "F16")
    with pytest.raises(QuantisationMissing) as caught:
        find(path, 8)
    made = tmp_path / "small-Q8_0.gguf"
    assert f"llama-quantize '{path}' '{made}' Q8_0" in caught.value.next_step


def test_fewer_bits_are_taken_with_a_note(tmp_path: Path) -> None:
    found = find(small_gguf(tmp_path / "small.gguf", "Q4_1"), 8)
    assert found.quantisation == "Q4_1"
    assert "noibo search small" in found.note


def test_a_split_model_is_one_and_by_its_first_part(tmp_path: Path) -> None:
    first = small_gguf(tmp_path / "big-Q8_0-00001-of-00002.gguf", "Q8_0")
    with pytest.raises(ModelPathNotFound, match="1 of its 2 parts"):
        find(tmp_path)
    second = tmp_path / "big-Q8_0-00002-of-00002.gguf"
    shutil.copy(first, second)
    found = find(tmp_path)
    assert (found.model.path, found.model.name) == (first, "big-q8_0:latest")
    assert found.model.bytes == 2 * first.stat().st_size


def test_a_projector_beside_it_goes_along_and_is_no_model(tmp_path: Path) -> None:
    path = small_gguf(tmp_path / "small-Q8_0.gguf", "Q8_0")
    projector = tmp_path / "mmproj-small-F16.gguf"
    eyes = Gguf().key("general.architecture", STRING, "clip").tensor("v.blk", (32,), 0)
    projector.write_bytes(eyes.bytes())
    found = find(tmp_path)
    assert (found.model.path, found.model.projector) == (path, projector)


def checkpoint(folder: Path) -> Path:
    """One of a single weight."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {"model_type": "llama", "max_position_embeddings": 4096}
    (folder / "config.json").write_bytes(msgspec.json.encode(said))
    header = msgspec.json.encode({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_a_checkpoint_is_run_by_transformers_which_rounds_as_it_loads(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "models" / "gpt-oss")
    for said in (folder, folder / "model.safetensors", tmp_path / "models"):
        found = find(said)
        assert (found.model.engine, found.model.path) == ("transformers", folder)
        assert (found.model.trained_context, found.quantisation) == (4096, "")
    assert find(folder, 8).model.options == {"load_in": "8bit"}
    assert find(folder, 4).model.options == {"load_in": "nf4"}
    assert find(folder, 16).model.options == {}


def test_where_a_gguf_lies_beside_a_checkpoint_it_is_taken(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    path = small_gguf(tmp_path / "small.gguf", "Q4_1")
    assert find(tmp_path).model.path == path


def test_two_checkpoints_are_named(tmp_path: Path) -> None:
    checkpoint(tmp_path / "one")
    checkpoint(tmp_path / "two")
    with pytest.raises(InvalidRequest, match="2 models: one, two"):
        find(tmp_path)


def test_a_checkpoint_in_the_store_is_one_too(tmp_path: Path) -> None:
    open_store(load()).add(checkpoint(tmp_path / "small"), "small:1b")
    found = find("small:1b", 4)
    assert (found.model.engine, found.quantisation) == ("transformers", "nf4")


def test_half_a_checkpoint_is_not_blamed_on_an_engine(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(BadModelFile, match=r"config\.json"):
        find(tmp_path / "model.safetensors")
    with pytest.raises(ModelPathNotFound):
        find(tmp_path)


def test_a_checkpoint_without_its_weights_is_said_to_be_one(tmp_path: Path) -> None:
    (checkpoint(tmp_path / "half") / "model.safetensors").unlink()
    with pytest.raises(ModelPathNotFound, match=r"config\.json is there, but no weights"):
        find(tmp_path / "half")


def test_a_checkpoint_that_only_makes_vectors_is_refused(tmp_path: Path) -> None:
    (checkpoint(tmp_path) / "config.json").write_text('{"model_type": "xlm-roberta"}')
    with pytest.raises(NotSupported, match="makes vectors"):
        find(tmp_path)


def test_nothing_there_is_also_a_file_not_found(tmp_path: Path) -> None:
    for said in (
        "models/none",
        "none:7b",
        "./none.gguf",
        str(tmp_path / "none"),
        "~nobody/x",
        "x\0y",
    ):
        with pytest.raises(FileNotFoundError, match="Model path not found") as caught:
            find(said)
        assert isinstance(caught.value, ModelPathNotFound)
        assert "noibo llm setup" in caught.value.next_step


def test_an_empty_folder_and_a_broken_file_say_so(tmp_path: Path) -> None:
    with pytest.raises(ModelPathNotFound, match="no model in"):
        find(tmp_path)
    (tmp_path / "broken.gguf").write_bytes(b"no model")
    with pytest.raises(ModelPathNotFound, match=r"Left out: broken\.gguf"):
        find(tmp_path)
    with pytest.raises(BadModelFile):
        find(tmp_path / "broken.gguf")


def test_names_of_the_store_and_their_quantisations(tmp_path: Path) -> None:
    store = open_store(load())
    for tag, quantisation in (("7b", "Q4_K_M"), ("7b-q8_0", "Q8_0")):
        store.add(small_gguf(tmp_path / f"{tag}.gguf", quantisation), f"mine:{tag}")
    store.add(small_gguf(tmp_path / "other.gguf", "F16"), "other:7b")
    assert find("mine:7b").quantisation == "Q4_K_M"
    assert find("mine:7b", 8).model.name == "mine:7b-q8_0"
    assert find("mine:7b-q8_0", 4).model.name == "mine:7b"
    with pytest.raises(QuantisationMissing, match="noibo search other"):
        find("other:7b", 8)


def test_a_known_model_names_the_pull_that_brings_it(tmp_path: Path) -> None:
    open_store(load()).add(small_gguf(tmp_path / "a.gguf", "F16"), "qwen2.5:7b")
    with pytest.raises(QuantisationMissing, match=r"noibo pull qwen2\.5:7b-q8_0"):
        find("qwen2.5:7b", 8)


def test_what_has_no_file_here_says_that_bits_are_not_ours() -> None:
    assert find("echo").note == ""
    assert "for its engine, echo" in find("echo", 8).note


def test_the_allowed_licences_hold_for_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOIBO_LICENCES_ALLOWED", "permissive")
    with pytest.raises(LicenceRefused):
        find(small_gguf(tmp_path / "small.gguf", "Q4_1"))


def in_store(name: str, quantisation: str) -> Path:
    """A model whose file is the store's own; where that lies."""
    store, digest = open_store(load()), name.encode().hex().ljust(64, "0")
    blob = small_gguf(store.blob(digest), quantisation)
    file = ModelFile("model", "small.gguf", InStore(digest, blob.stat().st_size))
    store.keep(Reference.parse(name), [file], Provenance("a test", defaults=Defaults(template="T")))
    return blob


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_into_the_store_means_the_stores_model(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    blob = in_store("tiny:1b", "Q4_K_M")
    in_store("tiny:1b-q8_0", "Q8_0")
    place = tmp_path / "models" / "llm"
    place.mkdir(parents=True)
    link(blob, place / "tiny-1b.gguf")
    for said in (place, place / "tiny-1b.gguf"):
        assert (find(said).model.name, find(said).model.template) == ("tiny:1b", "T")
        assert find(said, 8).model.name == "tiny:1b-q8_0"
    small_gguf(place / "tiny-1b-F16.gguf", "F16")  # no longer alone
    assert find(place, 16).model.path == place / "tiny-1b-F16.gguf"


def test_a_link_holds_when_the_store_has_forgotten_the_model(tmp_path: Path) -> None:
    path = tmp_path / "llm" / "tiny-1b.gguf"
    path.parent.mkdir()
    os.link(in_store("tiny:1b", "Q4_K_M"), path)
    open_store(load()).remove("tiny:1b")
    found = find(path.parent).model
    assert (found.path, found.name) == (path, "tiny-1b:latest")
