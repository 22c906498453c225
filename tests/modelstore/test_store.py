from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from noibo.errors import BadModelFile, BadReference, ModelNotFound, StoreError
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store, StoredModel
from tests.modelstore.gguf_builder import STRING, U32, Gguf, llama


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models", now=lambda: 1_700_000_000.0)


@pytest.fixture
def file(tmp_path: Path, gguf: bytes) -> Path:
    path = tmp_path / "files" / "My Model-Q4_K_M.gguf"
    path.parent.mkdir()
    path.write_bytes(gguf)
    return path


def keep(store: Store, data: bytes, name: str) -> StoredModel:
    """Put bytes into the store as a pull does."""
    digest = hashlib.sha256(data).hexdigest()
    store.blob(digest).parent.mkdir(parents=True, exist_ok=True)
    store.blob(digest).write_bytes(data)
    return store.keep(Reference.parse(name), digest, "a test", "MIT")


def manifest_of(store: Store, name: str, tag: str = "latest") -> Path:
    return store.folder / "manifests" / name / f"{tag}.json"


def test_an_empty_store_makes_no_folder(store: Store) -> None:
    assert store.list() == []
    with pytest.raises(ModelNotFound):
        store.get("a")
    assert not store.folder.exists()


def test_an_added_file_is_used_where_it_lies(store: Store, file: Path, gguf: bytes) -> None:
    model = store.add(file)
    assert str(model.reference) == "my-model-q4_k_m:latest"
    assert model.path == file
    assert model.in_place
    assert model.size == len(gguf)
    assert model.added_at == 1_700_000_000.0
    assert store.get("my-model-q4_k_m") == model
    assert store.list() == [model]
    assert not (store.folder / "blobs").exists()


def test_an_added_file_can_be_named(store: Store, file: Path) -> None:
    assert str(store.add(file, "Mine:V1").reference) == "mine:v1"
    with pytest.raises(BadReference):
        store.add(file, "../mine")


def test_a_relative_path_is_remembered_whole(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    store.add(Path(file.name), "mine")
    monkeypatch.chdir("/")
    assert store.get("mine").path == file


def test_a_large_file_is_not_read_when_added(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    model = llama().tensor("huge", (2**20, 10_000), 0)  # 40 GiB of weights, a hole on disk
    path.write_bytes(model.bytes())
    os.truncate(path, path.stat().st_size + 40 * 2**30)
    assert store.add(path).size > 40 * 2**30


def test_what_is_no_model_is_not_added(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF but not really")
    with pytest.raises(BadModelFile):
        store.add(path)
    with pytest.raises(BadModelFile):
        store.add(tmp_path)
    assert store.list() == []


def test_an_adapter_is_not_a_model(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "adapter.gguf"
    path.write_bytes(llama().key("general.type", STRING, "adapter").bytes())
    with pytest.raises(BadModelFile, match="'adapter'"):
        store.add(path)


def test_a_later_part_is_not_a_model(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "part.gguf"
    part: Gguf = llama().key("split.no", U32, 1).key("split.count", U32, 3)
    path.write_bytes(part.bytes())
    with pytest.raises(BadModelFile, match="part 2 of 3"):
        store.add(path)


def test_a_name_that_is_taken_is_not_given_twice(store: Store, file: Path, gguf: bytes) -> None:
    other = file.with_name("other.gguf")
    other.write_bytes(gguf)
    store.add(file, "mine")
    with pytest.raises(StoreError, match="already a model named mine:latest") as caught:
        store.add(other, "mine")
    assert "noibo rm mine:latest" in caught.value.next_step
    store.add(file, "mine")  # the same file again is no conflict


def test_a_changed_file_is_noticed_and_can_be_added_again(store: Store, file: Path) -> None:
    store.add(file, "mine")
    os.utime(file, ns=(1, 1))
    with pytest.raises(StoreError, match="has changed") as caught:
        store.get("mine")
    assert f"noibo add {file} --name mine:latest" in caught.value.next_step
    assert store.list() == []
    assert len(store.survey().problems) == 1
    store.add(file, "mine")
    assert store.get("mine").path == file


def test_a_vanished_file_is_noticed(store: Store, file: Path) -> None:
    store.add(file, "mine")
    file.unlink()
    with pytest.raises(StoreError, match=r"is gone.*noibo rm mine:latest"):
        store.get("mine")
    assert store.remove("mine") == 0


def test_removing_an_added_model_leaves_its_file(store: Store, file: Path) -> None:
    store.add(file, "mine")
    assert store.remove("mine") == 0
    assert file.exists()
    assert store.list() == []
    assert not manifest_of(store, "mine").parent.exists()


def test_removing_a_kept_model_frees_its_bytes(store: Store, gguf: bytes) -> None:
    model = keep(store, gguf, "a")
    assert not model.in_place
    assert store.remove("a") == len(gguf)
    assert not model.path.exists()
    with pytest.raises(ModelNotFound):
        store.remove("a")


def test_a_blob_with_two_names_goes_with_the_last(store: Store, gguf: bytes) -> None:
    first, second = keep(store, gguf, "a"), keep(store, gguf, "b:1")
    assert first.path == second.path
    assert store.remove("a") == 0
    assert store.get("b:1").path.exists()
    assert store.remove("b:1") == len(gguf)


def test_a_blob_that_a_damaged_manifest_may_name_is_not_removed(store: Store, gguf: bytes) -> None:
    keep(store, gguf, "b")
    model = keep(store, gguf, "a")
    manifest_of(store, "b").write_text("{")
    assert store.remove("a") == 0
    assert model.path.exists()


def test_a_blob_that_is_no_model_is_not_kept(store: Store) -> None:
    with pytest.raises(BadModelFile):
        keep(store, b"no model", "a")
    assert list((store.folder / "blobs").iterdir()) == []
    assert store.list() == []


def test_a_truncated_blob_is_noticed(store: Store, gguf: bytes) -> None:
    model = keep(store, gguf, "a")
    os.truncate(model.path, 100)
    with pytest.raises(StoreError, match=r"has changed.*noibo pull a:latest"):
        store.get("a")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 1}', '{"schema": "x"}', "\xff", "null"]
)
def test_a_damaged_manifest_is_named_and_harms_no_other(
    store: Store, file: Path, content: str
) -> None:
    store.add(file, "mine")
    damaged = manifest_of(store, "broken")
    damaged.parent.mkdir()
    damaged.write_bytes(content.encode("latin-1"))
    seen = store.survey()
    assert [str(model.reference) for model in seen.models] == ["mine:latest"]
    assert [str(damaged) in problem.message for problem in seen.problems] == [True]
    with pytest.raises(StoreError, match="is damaged"):
        store.get("broken")
    assert store.remove("broken") == 0
    assert not damaged.exists()


def test_a_manifest_of_a_newer_noibo_is_said_to_be_one(store: Store, file: Path) -> None:
    store.add(file, "mine")
    path = manifest_of(store, "mine")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2, "new": True}))
    with pytest.raises(StoreError, match="written by a newer noibo"):
        store.get("mine")


def test_a_manifest_that_was_moved_is_not_believed(store: Store, file: Path) -> None:
    store.add(file, "mine")
    manifest_of(store, "mine").rename(manifest_of(store, "mine", "v2"))
    with pytest.raises(StoreError, match="it names mine:latest"):
        store.get("mine:v2")


def test_an_alias_of_the_catalogue_finds_the_model(store: Store, gguf: bytes) -> None:
    model = keep(store, gguf, "smollm2:135m")
    assert store.get("smollm2") == model
    assert store.get("SmolLM2:135m-instruct") == model
    assert store.remove("smollm2") == len(gguf)


def test_a_name_that_is_not_here_comes_with_what_to_type(store: Store, file: Path) -> None:
    store.add(file, "my-model")
    for asked, said in {
        "smollm2": "`noibo pull smollm2:135m`",
        "my-modell": "Did you mean my-model:latest?",
        "zebra": "`noibo list`",
    }.items():
        with pytest.raises(ModelNotFound) as caught:
            store.get(asked)
        assert said in caught.value.next_step


def test_plain_values_of_a_model_are_json(store: Store, gguf: bytes) -> None:
    model = keep(store, gguf, "a")
    row = json.loads(json.dumps(model.as_dict()))
    assert row["name"] == "a:latest"
    assert row["architecture"] == "llama"
    assert row["sha256"] == hashlib.sha256(gguf).hexdigest()
    assert row["licence"] == "MIT"


def test_a_file_whose_name_is_not_text_is_refused_with_a_reason(
    store: Store, file: Path, gguf: bytes
) -> None:
    path = Path(os.fsdecode(os.fsencode(file.parent) + b"/\xff.gguf"))
    path.write_bytes(gguf)
    with pytest.raises(StoreError, match="not text"):
        store.add(path, "odd")
    assert store.survey().problems == []


def test_reading_while_another_writes_sees_whole_manifests(store: Store, file: Path) -> None:
    store.add(file, "mine")
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            store.add(file, "mine")

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(200):
            assert store.get("mine").path == file
            assert store.survey().problems == []
    finally:
        stop.set()
        writer.join()


def test_a_store_that_cannot_be_used_is_named(store: Store, file: Path) -> None:
    store.folder.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot be (read|written)") as caught:
        store.add(file, "mine")
    assert "store.path" in caught.value.next_step
