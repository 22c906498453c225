from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from noibo.errors import StoreError
from noibo.modelstore.importing.found_model import Place
from noibo.modelstore.importing.found_places import named_places, survey
from noibo.modelstore.importing.importing import Row, Taken, take
from noibo.modelstore.manifest import InPlace, InStore, Licence, ModelFile, Provenance
from noibo.modelstore.progress import ignore
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store
from tests.modelstore.gguf_builder import llama
from tests.modelstore.other_programs import (
    HubRepo,
    OllamaTree,
    adapter,
    checkpoint,
    model,
    part,
    sha256,
    write,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models", now=lambda: 1_700_000_000.0)


@pytest.fixture
def ollama(tmp_path: Path) -> OllamaTree:
    return OllamaTree(tmp_path / "ollama")


def places(tmp_path: Path) -> tuple[Place, ...]:
    return (
        Place("Ollama", tmp_path / "ollama"),
        Place("Hugging Face", tmp_path / "hub"),
        Place("LM Studio", tmp_path / "lm"),
    )


def import_all(
    store: Store, tmp_path: Path, *, dry_run: bool = False, prune: bool = False
) -> Taken:
    return take(store, survey(places(tmp_path)), ignore, dry_run=dry_run, prune=prune)


def import_folder(store: Store, folder: Path) -> Taken:
    return take(store, survey(named_places([folder])), ignore)


def statuses(taken: Taken) -> list[tuple[str, str]]:
    return [(row.model, row.status) for row in taken.rows]


def only(taken: Taken) -> Row:
    (row,) = taken.rows
    return row


def pulled(store: Store, data: bytes, name: str) -> None:
    """Put a model into the store as a pull does."""
    file = InStore(sha256(data), len(data))
    write(store.blob(file.sha256), data)
    files = [ModelFile("model", "model.gguf", file)]
    store.keep(Reference.parse(name), files, Provenance("a test", name, Licence("MIT")))


def bytes_below(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir()
    }


def test_a_model_is_used_where_it_lies(store: Store, ollama: OllamaTree, tmp_path: Path) -> None:
    ollama.add("llama3:8b", model(), system=b"You are a pirate.", params=b'{"stop": ["x"]}')
    before = bytes_below(ollama.path)
    taken = import_all(store, tmp_path)
    assert statuses(taken) == [("llama3:8b", "imported")]
    assert (taken.models, taken.in_place) == (1, len(model()))
    here = store.get("llama3:8b")
    assert here.path == ollama.path / "blobs" / f"sha256-{sha256(model())}"
    assert here.in_place
    assert here.manifest.origin == "ollama.com/library/llama3:8b"
    assert here.source.startswith("Ollama's llama3:8b at ")
    assert here.defaults.system == "You are a pirate."
    assert here.defaults.parameters == {"stop": ["x"]}
    assert here.as_dict()["sha256"] == sha256(model())
    assert not store.blobs.exists()
    assert bytes_below(ollama.path) == before


def test_a_large_file_is_not_read_when_it_is_imported(store: Store, tmp_path: Path) -> None:
    huge = llama().tensor("huge", (2**20, 10_000), 0)  # 40 GiB of weights, a hole on disk
    path = write(tmp_path / "lm/acme/huge/huge-F32.gguf", huge.bytes())
    os.truncate(path, path.stat().st_size + 40 * 2**30)
    assert import_all(store, tmp_path).in_place > 40 * 2**30


def test_importing_again_changes_nothing(store: Store, ollama: OllamaTree, tmp_path: Path) -> None:
    ollama.add("llama3:8b", model("a"), system=b"Hi")
    HubRepo(tmp_path / "hub", "acme/chat").snapshot(checkpoint())
    write(tmp_path / "lm/acme/x/x-Q4_0.gguf", model("b"))
    first = import_all(store, tmp_path)
    assert {row.status for row in first.rows} == {"imported"}
    before = bytes_below(store.folder)
    again = import_all(store, tmp_path)
    assert {row.status for row in again.rows} == {"here already"}
    assert (again.models, again.in_place) == (first.models, first.in_place)
    assert bytes_below(store.folder) == before


def test_a_dry_run_says_the_same_and_writes_nothing(store: Store, tmp_path: Path) -> None:
    ollama = OllamaTree(tmp_path / "ollama")
    ollama.add("llama3:8b", model("a"))
    ollama.add("cut:8b", model("b")[:300])
    HubRepo(tmp_path / "hub", "acme/chat").snapshot(checkpoint())
    dry = import_all(store, tmp_path, dry_run=True)
    assert not store.folder.exists()
    assert import_all(store, tmp_path) == dry
    assert sorted(row.status for row in dry.rows) == ["damaged", "imported", "imported"]


def test_a_checkpoint_and_a_model_in_parts_can_be_opened(store: Store, tmp_path: Path) -> None:
    HubRepo(tmp_path / "hub", "acme/chat").snapshot(checkpoint())
    parts = {f"big-Q8_0-{n:05}-of-00002.gguf": part(n, 2) for n in (1, 2)}
    HubRepo(tmp_path / "hub", "acme/big").snapshot(parts)
    assert import_all(store, tmp_path).models == 2
    chat = store.get("hf.co/acme/chat")
    assert chat.facts.format == "safetensors"
    assert (chat.path / "model-00002-of-00002.safetensors").read_bytes()
    big = store.get("hf.co/acme/big:q8_0")
    assert big.path.with_name("big-Q8_0-00002-of-00002.gguf").read_bytes() == part(2, 2)


def test_a_model_that_changed_underneath_is_noticed_and_updated(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    ollama.add("llama3:8b", model("old"))
    path = write(tmp_path / "lm/acme/x/x-Q4_0.gguf", model("x"))
    import_all(store, tmp_path)
    ollama.add("llama3:8b", model("new"), system=b"New")
    os.utime(path, ns=(1, 1))
    with pytest.raises(StoreError, match="has changed") as caught:
        store.get("hf.co/acme/x:q4_0")
    assert "noibo import" in caught.value.next_step
    assert {row.status for row in import_all(store, tmp_path).rows} == {"updated"}
    assert store.get("llama3:8b").defaults.system == "New"
    assert store.get("hf.co/acme/x:q4_0").path == path


def test_a_newer_commit_in_the_cache_is_an_update(store: Store, tmp_path: Path) -> None:
    repo = HubRepo(tmp_path / "hub", "acme/tiny")
    repo.snapshot({"t-Q4_0.gguf": model("old")}, "0" * 40)
    import_all(store, tmp_path)
    repo.snapshot({"t-Q4_0.gguf": model("new")}, "1" * 40)
    assert only(import_all(store, tmp_path)).status == "updated"
    assert store.get("hf.co/acme/tiny:q4_0").path.read_bytes() == model("new")


def test_a_folder_that_moved_is_followed(store: Store, ollama: OllamaTree, tmp_path: Path) -> None:
    ollama.add("llama3:8b", model())
    import_all(store, tmp_path)
    ollama.path.rename(tmp_path / "disk")
    moved = survey([Place("Ollama", tmp_path / "disk")])
    assert only(take(store, moved, ignore)).status == "updated"
    assert store.get("llama3:8b").path.is_relative_to(tmp_path / "disk")


def test_what_is_gone_is_said_and_pruned_when_that_is_asked_for(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    entry = ollama.add("llama3:8b", model("a"))
    lost = write(tmp_path / "lm/acme/x/x-Q4_0.gguf", model("x"))
    own = write(tmp_path / "own.gguf", model("own"))
    store.add(own, "own")
    import_all(store, tmp_path)
    entry.unlink()
    (ollama.path / "blobs" / f"sha256-{sha256(model('a'))}").unlink()
    lost.unlink()
    own.unlink()
    gone = [("hf.co/acme/x:q4_0", "gone"), ("llama3:8b", "gone")]
    assert sorted(statuses(import_all(store, tmp_path))) == gone
    assert len(store.survey().problems) == 3
    import_all(store, tmp_path, prune=True, dry_run=True)
    assert len(store.survey().problems) == 3
    removed = import_all(store, tmp_path, prune=True)
    assert {row.status for row in removed.rows} == {"removed"}
    (problem,) = store.survey().problems  # added by hand: not ours to forget
    assert "own" in problem.message
    assert import_all(store, tmp_path).rows == ()


def test_what_lies_where_nobody_may_look_is_not_pruned(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    write(folder / "x.gguf", model())
    import_folder(store, folder)
    (name,) = (str(one.reference) for one in store.list())
    folder.rename(tmp_path / "away")
    folder.symlink_to(folder)  # an error that is not "no such file"
    import_all(store, tmp_path, prune=True)
    assert store.register.exact(Reference.parse(name)) is not None


def test_a_name_that_another_model_has_is_not_taken_from_it(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    pulled(store, model("ours"), "llama3:8b")
    ollama.add("llama3:8b", model("theirs"))
    row = only(import_all(store, tmp_path))
    assert (row.model, row.status) == ("llama3:8b-ollama", "imported")
    assert "llama3:8b is another model" in row.note
    assert store.get("llama3:8b").path.read_bytes() == model("ours")
    assert store.get("llama3:8b-ollama").path.read_bytes() == model("theirs")
    assert only(import_all(store, tmp_path)).status == "here already"
    store.remove("llama3:8b")
    assert statuses(import_all(store, tmp_path)) == [("llama3:8b-ollama", "here already")]
    pulled(store, model("ours"), "llama3:8b")
    store.remove("llama3:8b-ollama")
    pulled(store, model("third"), "llama3:8b-ollama")
    row = only(import_all(store, tmp_path))
    assert (row.model, row.status) == ("llama3:8b", "name taken")
    assert "noibo rm llama3:8b" in row.note


def test_a_manifest_of_a_newer_noibo_is_not_overwritten(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    pulled(store, model("ours"), "llama3:8b")
    (path,) = (path for path, _ in store.register)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    before = path.read_bytes()
    ollama.add("llama3:8b", model("theirs"))
    assert only(import_all(store, tmp_path)).model == "llama3:8b-ollama"
    assert path.read_bytes() == before


def test_bytes_that_are_in_the_store_are_used_from_there(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    pulled(store, model(), "smollm2:135m")
    ollama.add("other:1", model(), system=b"Hi")
    row = only(import_all(store, tmp_path))
    assert row.status == "imported"
    assert "in the store already" in row.note
    assert store.get("other:1").path == store.blob(sha256(model()))
    assert store.get("other:1").defaults.system == "Hi"
    store.remove("smollm2:135m")
    assert store.get("other:1").path.exists()
    assert only(import_all(store, tmp_path)).status == "here already"


def test_a_model_that_noibo_fetched_is_here_already(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    pulled(store, model(), "llama3:8b")
    ollama.add("llama3:8b", model())
    row = only(import_all(store, tmp_path))
    assert (row.status, row.note) == ("here already", "noibo fetched it")
    assert not store.get("llama3:8b").in_place


def test_bytes_that_two_programs_have_are_used_once(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    ollama.add("tiny:1", model())
    HubRepo(tmp_path / "hub", "acme/tiny").snapshot({"t-Q4_0.gguf": model()})
    taken = import_all(store, tmp_path)
    assert [row.status for row in taken.rows] == ["imported", "imported"]
    assert taken.rows[1].note == "the same bytes as tiny:1, used once"
    assert taken.in_place == len(model())
    assert store.get("hf.co/acme/tiny:q4_0").path == store.get("tiny:1").path
    assert {row.status for row in import_all(store, tmp_path).rows} == {"here already"}

    (ollama.path / "blobs" / f"sha256-{sha256(model())}").unlink()  # `ollama rm`: the other is left
    again = dict(statuses(import_all(store, tmp_path)))
    assert again["hf.co/acme/tiny:q4_0"] == "updated"
    assert store.get("hf.co/acme/tiny:q4_0").path.is_relative_to(tmp_path / "hub")


def test_the_same_repository_in_two_programs_is_one_model(store: Store, tmp_path: Path) -> None:
    HubRepo(tmp_path / "hub", "acme/tiny").snapshot({"t-Q4_0.gguf": model()})
    write(tmp_path / "lm/acme/tiny/t-Q4_0.gguf", model())
    first, second = import_all(store, tmp_path).rows
    assert (first.status, second.status) == ("imported", "here already")
    assert second.note == "Hugging Face's is used"
    write(tmp_path / "lm/acme/tiny/t-Q4_0.gguf", model("of another version, and longer " * 9))
    assert import_all(store, tmp_path).rows[1].model == "hf.co/acme/tiny:q4_0-lmstudio"


def test_the_word_of_a_folder_counts_for_its_own_models_only(store: Store, tmp_path: Path) -> None:
    evil, good = OllamaTree(tmp_path / "evil"), OllamaTree(tmp_path / "good")
    evil.add("a:1", model("good"))
    blob = evil.path / "blobs" / f"sha256-{sha256(model('good'))}"
    blob.write_bytes(model("evil"))  # as long, and not what its name says
    good.add("b:1", model("good"))
    found = survey([*named_places([evil.path]), Place("Ollama", good.path)])
    take(store, found, ignore)
    assert store.get("a:1").path.read_bytes() == model("evil")
    assert store.get("b:1").path.read_bytes() == model("good")


def test_a_licence_that_is_not_allowed_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "models", allowed_licences=("permissive",))
    ollama = OllamaTree(tmp_path / "ollama")
    ollama.add("a:1", model("a", "cc-by-nc-4.0"))
    ollama.add("b:1", model("b"), license=b"LLAMA 2 COMMUNITY LICENSE AGREEMENT\n\nLlama 2 Version")
    ollama.add("c:1", model("c", "apache-2.0"))
    ollama.add("d:1", model("d"))
    card = {"t-Q4_0.gguf": model("e"), "README.md": b"---\nlicense: mit\n---\n"}
    HubRepo(tmp_path / "hub", "acme/tiny").snapshot(card)
    for dry_run in (True, False):
        taken = import_all(store, tmp_path, dry_run=dry_run)
        assert statuses(taken) == [
            ("a:1", "refused"),
            ("b:1", "refused"),
            ("c:1", "imported"),
            ("d:1", "refused"),
            ("hf.co/acme/tiny:q4_0", "imported"),
        ]
    assert len(store.list()) == 2


def test_what_is_damaged_or_no_model_is_said_and_the_others_go_on(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    ollama.add("cut:1", model("a")[:300])
    ollama.add("page:1", b"<!doctype html><p>Sign in")
    ollama.add("pickle:1", b"PK\x03\x04 archive/data.pkl")
    ollama.add("lora:1", adapter())
    ollama.add("good:1", model("good"))
    assert dict(statuses(import_all(store, tmp_path))) == {
        "cut:1": "damaged",
        "page:1": "damaged",
        "pickle:1": "damaged",
        "lora:1": "left out",
        "good:1": "imported",
    }
    assert [str(one.reference) for one in store.list()] == ["good:1"]


def test_one_hostile_layer_is_its_models_row_and_the_others_go_on(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    number = b"1" + b"0" * 400
    ollama.add("hex:1", model("a"), template=b"{{ if eq 1 0x" + b"f" * 6000 + b" }}x{{ end }}")
    ollama.add("int:1", model("b"), params=b'{"odd": ' + number + b', "top_k": ' + number + b"}")
    ollama.add("half:1", model("c"), params=b'{"stop": ["\\ud800"]}')
    ollama.add("good:1", model("good"))
    taken = import_all(store, tmp_path)
    assert dict(statuses(taken)) == {
        "hex:1": "imported",  # its template is kept, and not translated
        "int:1": "imported",
        "half:1": "damaged",
        "good:1": "imported",
    }
    assert {str(one.reference) for one in store.list()} == {"hex:1", "int:1", "good:1"}


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="names are bytes there")
def test_a_folder_whose_path_is_no_text_harms_no_other(store: Store, tmp_path: Path) -> None:
    odd = OllamaTree(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")))
    odd.add("odd:1", model("odd"))
    good = OllamaTree(tmp_path / "good")
    good.add("good:1", model("good"))
    taken = take(store, survey(named_places([odd.path, good.path])), ignore)
    assert dict(statuses(taken)) == {"odd:1": "damaged", "good:1": "imported"}


def test_a_tree_that_may_not_be_written_is_read(store: Store, tmp_path: Path) -> None:
    ollama = OllamaTree(tmp_path / "ollama")
    ollama.add("a:1", model())
    for path in (*ollama.path.rglob("*"), ollama.path):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert only(import_all(store, tmp_path)).status == "imported"
    finally:
        for path in (ollama.path, *ollama.path.rglob("*")):
            path.chmod(0o755)


def test_a_store_that_cannot_be_written_is_named(ollama: OllamaTree, tmp_path: Path) -> None:
    ollama.add("a:1", model())
    store = Store(write(tmp_path / "models", b"a file"))
    with pytest.raises(StoreError, match=r"cannot be (read|written)"):
        import_all(store, tmp_path)


def test_removing_an_imported_model_leaves_its_file(
    store: Store, ollama: OllamaTree, tmp_path: Path
) -> None:
    ollama.add("a:1", model())
    import_all(store, tmp_path)
    assert store.remove("a:1").in_place == len(model())
    assert only(import_all(store, tmp_path)).status == "imported"
    (file,) = store.get("a:1").manifest.files
    assert isinstance(file.file, InPlace)
    assert file.file.sha256 == sha256(model())
