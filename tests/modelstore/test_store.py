from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from noibo.errors import (
    BadModelFile,
    BadReference,
    LicenceRefused,
    ModelNotFound,
    NameTaken,
    StoreError,
)
from noibo.modelstore.gguf.model_info import inspect_model
from noibo.modelstore.manifest import InStore, Licence, ModelFile, Provenance
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store, StoredModel
from noibo.modelstore.wants import Wants
from tests.modelstore.gguf_builder import STRING, U16, U32, Gguf, llama


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
    file = ModelFile("model", "model.gguf", InStore(digest, len(data)))
    return store.keep(Reference.parse(name), [file], Provenance("a test", name, Licence("MIT")))


def manifest_of(store: Store, name: str, tag: str = "latest") -> Path:
    reference = Reference.parse(f"{name}:{tag}")
    return store.folder / "manifests" / f"{reference.path}.json"


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
    with pytest.raises(NameTaken, match="already a model named mine:latest") as caught:
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
    assert store.remove("mine").freed == 0


def test_removing_an_added_model_leaves_its_file(store: Store, file: Path) -> None:
    store.add(file, "mine")
    assert store.remove("mine").freed == 0
    assert file.exists()
    assert store.list() == []
    assert not manifest_of(store, "mine").parent.exists()


def test_removing_a_kept_model_frees_its_bytes(store: Store, gguf: bytes) -> None:
    model = keep(store, gguf, "a")
    assert not model.in_place
    assert store.remove("a").freed == len(gguf)
    assert not model.path.exists()
    with pytest.raises(ModelNotFound):
        store.remove("a")


def test_a_blob_with_two_names_goes_with_the_last(store: Store, gguf: bytes) -> None:
    first, second = keep(store, gguf, "a"), keep(store, gguf, "b:1")
    assert first.path == second.path
    assert store.remove("a").freed == 0
    assert store.get("b:1").path.exists()
    assert store.remove("b:1").freed == len(gguf)


def test_a_blob_that_a_damaged_manifest_may_name_is_not_removed(store: Store, gguf: bytes) -> None:
    keep(store, gguf, "b")
    model = keep(store, gguf, "a")
    manifest_of(store, "b").write_text("{")
    assert store.remove("a").freed == 0
    assert model.path.exists()


def test_a_blob_that_is_no_model_is_not_kept(store: Store) -> None:
    with pytest.raises(BadModelFile):
        keep(store, b"no model", "a")
    assert list((store.folder / "blobs").iterdir()) == []
    assert store.list() == []


def test_a_truncated_blob_is_noticed(store: Store, gguf: bytes) -> None:
    model = keep(store, gguf, "a")
    os.truncate(model.path, 100)
    with pytest.raises(StoreError, match=r"has changed.*noibo pull a`"):
        store.get("a")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 1}', '{"schema": "x"}', "\xff", "null"]
)
def test_a_damaged_manifest_is_named_and_harms_no_other(
    store: Store, file: Path, content: str
) -> None:
    store.add(file, "mine")
    damaged = manifest_of(store, "broken")
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(content.encode("latin-1"))
    seen = store.survey()
    assert [str(model.reference) for model in seen.models] == ["mine:latest"]
    assert [str(damaged) in problem.message for problem in seen.problems] == [True]
    with pytest.raises(StoreError, match="is damaged"):
        store.get("broken")
    assert store.remove("broken").freed == 0
    assert not damaged.exists()


def test_a_manifest_of_a_newer_noibo_is_said_to_be_one(store: Store, file: Path) -> None:
    store.add(file, "mine")
    path = manifest_of(store, "mine")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 3, "new": True}))
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
    assert store.remove("smollm2").freed == len(gguf)


def test_a_name_that_is_not_here_comes_with_what_to_type(store: Store, file: Path) -> None:
    store.add(file, "my-model")
    for asked, said in {
        "smollm2": "`noibo pull smollm2:latest`",
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


def parts(folder: Path, count: int = 3) -> list[Path]:
    """A model in parts, as llama-gguf-split writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        model = llama() if number == 0 else Gguf()
        model.key("split.no", U16, number).key("split.count", U16, count)
        path = folder / f"big-{number + 1:05}-of-{count:05}.gguf"
        path.write_bytes(model.tensor(f"blk.{number}.w", (64, 4)).bytes())
        paths.append(path)
    return paths


def blob_of(store: Store, path: Path) -> InStore:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    store.blob(digest).parent.mkdir(parents=True, exist_ok=True)
    store.blob(digest).write_bytes(path.read_bytes())
    return InStore(digest, path.stat().st_size)


def test_a_model_in_parts_lies_in_one_folder_under_its_names(store: Store, tmp_path: Path) -> None:
    paths = parts(tmp_path / "files")
    files = [
        ModelFile("part" if number else "model", path.name, blob_of(store, path))
        for number, path in enumerate(paths)
    ]
    model = store.keep(Reference("big"), files, Provenance("a test", "big"))
    assert model.path.name == "big-00001-of-00003.gguf"
    assert sorted(one.name for one in model.path.parent.iterdir()) == [one.name for one in paths]
    assert model.facts.parameters == sum(inspect_model(path).parameters for path in paths)
    shutil.rmtree(model.path.parent)
    assert store.get("big").path.exists()  # it is made again when it is missed
    assert store.remove("big").freed == sum(one.stat().st_size for one in paths)
    assert list(store.views.iterdir()) == []


def test_parts_of_ones_own_are_used_where_they_lie_and_all_watched(
    store: Store, tmp_path: Path
) -> None:
    paths = parts(tmp_path / "files")
    assert store.add(paths[0], "big").path == paths[0]
    os.utime(paths[2], ns=(1, 1))
    with pytest.raises(StoreError, match="has changed"):
        store.get("big")
    paths[1].unlink()
    with pytest.raises(BadModelFile, match=r"missing beside it: big-00002-of-00003\.gguf"):
        store.add(paths[0], "big")


def checkpoint(folder: Path) -> Path:
    """A checkpoint folder with one tensor."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 128}')
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(24)
    (folder / "model.safetensors").write_bytes(data)
    (folder / "pytorch_model.bin").write_bytes(b"never opened")
    return folder


def test_a_checkpoint_folder_is_used_where_it_lies(store: Store, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "Tiny-Llama")
    model = store.add(folder)
    assert (model.path, model.facts.format, model.facts.parameters) == (folder, "safetensors", 6)
    assert {one.name for one in model.manifest.files} == {"config.json", "model.safetensors"}


def test_a_kept_checkpoint_is_a_folder_of_links(store: Store, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "tiny")
    names = ("config.json", "model.safetensors")
    files = [ModelFile("file", name, blob_of(store, folder / name)) for name in names]
    model = store.keep(Reference("tiny"), files, Provenance("a test", "tiny"))
    assert (model.path / "config.json").read_text() == (folder / "config.json").read_text()
    assert model.path.parent == store.views


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"\x80\x04pickle"),
        ("model.safetensors", b"\xff" * 16),
        ("model.safetensors", (10).to_bytes(8, "little") + b"not json!!"),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]"),
        ("config.json", b"{"),
        ("config.json", b"[]"),
    ],
)
def test_a_checkpoint_that_is_none_is_refused(
    store: Store, tmp_path: Path, name: str, content: bytes
) -> None:
    folder = checkpoint(tmp_path / "tiny")
    (folder / name).write_bytes(content)
    with pytest.raises(BadModelFile):
        store.add(folder)


def test_weights_shorter_than_their_header_says_are_refused(store: Store, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "tiny")
    os.truncate(folder / "model.safetensors", (folder / "model.safetensors").stat().st_size - 1)
    with pytest.raises(BadModelFile, match="cut short"):
        store.add(folder)


def test_what_the_first_noibo_wrote_is_still_there(store: Store, gguf: bytes) -> None:
    model = keep(store, gguf, "a:1")
    new = manifest_of(store, "a", "1")
    old = store.folder / "manifests" / "a" / "1.json"
    old.parent.mkdir()
    old.write_text(
        json.dumps(
            {
                "name": "a",
                "tag": "1",
                "file": {"kind": "in_store", "sha256": model.manifest.files[0].file.sha256,
                         "size": len(gguf)},
                "source": "a test",
                "licence": "MIT",
                "added_at": 1.0,
                "facts": {"architecture": "llama", "quantisation": None, "parameters": 5},
                "schema": 1,
            }
        )
    )  # fmt: skip
    new.unlink()
    assert store.get("a:1").path == model.path
    assert [str(one.reference) for one in store.list()] == ["a:1"]
    keep(store, gguf, "a:1")
    assert (new.exists(), old.exists()) == (True, False)
    assert store.remove("a:1").freed == len(gguf)


def test_a_name_given_to_other_files_frees_the_first_ones(store: Store, gguf: bytes) -> None:
    first = keep(store, gguf, "a")
    second = keep(store, llama().bytes(), "a")
    assert not first.path.exists()
    assert store.get("a").path == second.path


def test_hosts_and_namespaces_are_folders(store: Store, gguf: bytes) -> None:
    names = ["a:1", "acme/a:1", "hf.co/acme/a:1", "127.0.0.1:5000/acme/a:1"]
    for name in names:
        keep(store, gguf, name)
    assert sorted(str(one.reference) for one in store.list()) == sorted(names)
    assert [store.remove(name).freed for name in names] == [0, 0, 0, len(gguf)]
    assert list((store.folder / "manifests").iterdir()) == []


def test_a_licence_that_is_not_allowed_is_neither_kept_nor_added(
    tmp_path: Path, file: Path, gguf: bytes
) -> None:
    store = Store(tmp_path / "models", allowed_licences=["apache-2.0"])
    with pytest.raises(LicenceRefused, match="MIT"):
        keep(store, gguf, "a")
    assert list(store.blobs.iterdir()) == []
    with pytest.raises(LicenceRefused, match="mine:latest"):
        store.add(file, "mine")  # it says nothing of a licence
    assert store.list() == []


def test_what_a_pull_still_wants_is_not_freed(store: Store, gguf: bytes) -> None:
    model = keep(store, gguf, "a")
    wants = Wants.of(store.partial, Reference("b"))
    wants.add(hashlib.sha256(gguf).hexdigest())
    assert store.remove("a").freed == 0
    assert model.path.exists()


def split(store: Store, name: str, seed: int = 0) -> StoredModel:
    files = []
    for number in range(2):
        model = llama() if number == 0 else Gguf()
        model.key("general.version", U32, seed)
        data = model.key("split.no", U16, number).key("split.count", U16, 2).bytes()
        digest = hashlib.sha256(data).hexdigest()
        store.blobs.mkdir(parents=True, exist_ok=True)
        store.blob(digest).write_bytes(data)
        role, part = ("part", 2) if number else ("model", 1)
        file = InStore(digest, len(data))
        files.append(ModelFile(role, f"m-{part:05}-of-00002.gguf", file))  # type: ignore[arg-type]
    return store.keep(Reference.parse(name), files, Provenance("a test", name))


def test_many_that_look_at_once_at_a_model_whose_view_is_missed_all_see_it(store: Store) -> None:
    model = split(store, "m")
    faults: list[Exception] = []

    def look() -> None:
        try:
            for _ in range(10):
                assert store.get("m").path.exists()
                shutil.rmtree(model.path.parent, ignore_errors=True)
        except (StoreError, FileNotFoundError) as exc:
            faults.append(exc)
        except AssertionError:
            pass  # another one has just removed it

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert store.get("m").path.exists()


def test_an_updated_split_model_gives_back_the_room_of_the_old_one(store: Store) -> None:
    split(store, "m", 1)
    model = split(store, "m", 2)
    assert [view.name for view in store.views.iterdir()] == [model.path.parent.name]
    assert len(list(store.blobs.iterdir())) == 2


def test_a_removal_between_headers_and_manifest_is_noticed(
    store: Store, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, gguf, "a")
    file = store.register.exact(Reference("a"))
    assert file is not None

    def removed_meanwhile(licence: Licence, model: str) -> None:
        store.remove("a")

    monkeypatch.setattr(store, "require_allowed", removed_meanwhile)
    with pytest.raises(StoreError, match="is gone"):
        store.keep(Reference("b"), file.files, Provenance("a test", "b"))
    assert store.list() == []
