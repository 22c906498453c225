from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from filelock import FileLock

from noibo.errors import Cancelled
from noibo.modelstore.management import housekeeping
from noibo.modelstore.management.housekeeping import Checked, Leftover
from noibo.modelstore.manifest import InPlace, InStore, ModelFile, Provenance
from noibo.modelstore.progress import Cancel, Progress, ignore
from noibo.modelstore.reference import Reference
from noibo.modelstore.store import Store
from noibo.modelstore.wants import Wants
from tests.modelstore.gguf_builder import U16, Gguf, llama
from tests.modelstore.index_server import tiny_gguf

MODEL = tiny_gguf(1)
OTHER = tiny_gguf(2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def blob(store: Store, data: bytes) -> InStore:
    digest = hashlib.sha256(data).hexdigest()
    store.blobs.mkdir(parents=True, exist_ok=True)
    store.blob(digest).write_bytes(data)
    return InStore(digest, len(data))


def keep(store: Store, name: str, data: bytes = MODEL) -> Path:
    files = [ModelFile("model", "m.gguf", blob(store, data))]
    return store.keep(Reference.parse(name), files, Provenance("a test", name)).path


def in_place(store: Store, name: str, path: Path, sha256: str | None = None) -> None:
    files = [ModelFile("model", path.name, InPlace.of(path, sha256))]
    store.keep(Reference.parse(name), files, Provenance("another program"))


def check(store: Store) -> Checked:
    return housekeeping.check(store, ignore, Cancel())


def kinds(found: list[Leftover]) -> list[tuple[str, str]]:
    return sorted((one.kind, one.path.name) for one in found)


def test_a_whole_store_has_no_fault(store: Store, tmp_path: Path) -> None:
    keep(store, "a")
    keep(store, "b")  # the same bytes
    own = tmp_path / "own.gguf"
    own.write_bytes(OTHER)
    in_place(store, "c", own, hashlib.sha256(OTHER).hexdigest())
    loose = tmp_path / "loose.gguf"
    loose.write_bytes(MODEL)
    store.add(loose)
    said: list[Progress] = []
    seen = housekeeping.check(store, said.append, Cancel())
    assert seen == Checked(3, len(MODEL) + len(OTHER), (str(loose),), ())
    assert (said[-1].done, said[-1].total) == (seen.bytes, seen.bytes)


def test_a_flipped_byte_is_found_and_nothing_is_changed(store: Store) -> None:
    path = keep(store, "a")
    keep(store, "b")
    data = bytearray(MODEL)
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    (fault,) = check(store).faults
    assert (fault.path, fault.models) == (str(path), ("a:latest", "b:latest"))
    assert fault.sha256 == hashlib.sha256(MODEL).hexdigest()
    assert "noibo store check --repair" in fault.next_step
    assert path.read_bytes() == bytes(data)


def test_what_vanished_or_changed_is_named_with_what_to_do(store: Store, tmp_path: Path) -> None:
    keep(store, "a").unlink()
    for number, harm in enumerate((Path.unlink, lambda one: os.utime(one, ns=(1, 1)))):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(MODEL)
        in_place(store, f"place{number}", path)
        harm(path)
    damaged = store.folder / "manifests" / "registry.ollama.ai" / "library" / "d" / "latest.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    found = {fault.models[0]: fault.what for fault in check(store).faults}
    assert found["a:latest"] == found["place0:latest"] == "it is gone"
    assert found["place1:latest"] == "it has changed"
    assert "is damaged" in found["d:latest"]
    assert all(fault.next_step for fault in check(store).faults)


def test_bytes_that_changed_under_an_unchanged_date_are_found(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(MODEL)
    in_place(store, "a", path, hashlib.sha256(MODEL).hexdigest())
    stat = path.stat()
    path.write_bytes(MODEL[:-1] + b"?")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert store.get("a").path == path  # a look does not tell
    assert [fault.what for fault in check(store).faults] == ["it has changed"]


def test_a_check_can_be_cancelled(store: Store) -> None:
    keep(store, "a")
    cancel = Cancel()
    cancel.ask()
    with pytest.raises(Cancelled):
        housekeeping.check(store, ignore, cancel)


def test_what_nothing_uses_is_collected_and_the_rest_stays(store: Store) -> None:
    path = keep(store, "a")
    lost = blob(store, OTHER)
    (store.blobs / f"sha256-{lost.sha256}.pieces").write_bytes(b"table")
    (store.blobs / "sha256-x.tmp").write_bytes(b"half")
    (store.views / "0").mkdir(parents=True)
    found = housekeeping.leftovers(store, partial=False)
    assert sum(one.size for one in found) == len(OTHER) + 5 + 4
    gone = housekeeping.collect(store, partial=False)
    assert kinds(gone) == kinds(found)
    assert [one.name for one in store.blobs.iterdir()] == [path.name]
    assert list(store.views.iterdir()) == []
    assert housekeeping.collect(store, partial=False) == []


def test_views_in_use_stay(store: Store) -> None:
    files = []
    for number in range(2):
        model: Gguf = llama() if number == 0 else Gguf()
        data = model.key("split.no", U16, number).key("split.count", U16, 2).bytes()
        name = f"m-{number + 1:05}-of-00002.gguf"
        files.append(ModelFile("part" if number else "model", name, blob(store, data)))
    path = store.keep(Reference("a"), files, Provenance("a test")).path
    assert housekeeping.collect(store, partial=True) == []
    assert path.exists()


def test_an_unfinished_pull_is_kept_until_it_is_asked_for(store: Store) -> None:
    finished = blob(store, OTHER)
    wants = Wants.of(store.partial, Reference("a"))
    store.partial.mkdir()
    wants.add(finished.sha256)
    (store.partial / "sha256-1.part").write_bytes(b"12345")
    assert housekeeping.collect(store, partial=False) == []
    gone = housekeeping.collect(store, partial=True)
    assert {one.kind for one in gone} == {"partial"}
    assert not store.blob(finished.sha256).exists()
    assert [path.suffix for path in store.partial.iterdir() if path.suffix != ".lock"] == []


def test_a_pull_under_way_is_never_collected(store: Store) -> None:
    finished = blob(store, OTHER)
    wants = Wants.of(store.partial, Reference("a"))
    store.partial.mkdir()
    wants.add(finished.sha256)
    (store.partial / f"sha256-{finished.sha256}.part").write_bytes(b"12345")
    with FileLock(wants.lock_file):
        assert housekeeping.collect(store, partial=True) == []
    assert store.blob(finished.sha256).exists()


def test_an_unreadable_manifest_stops_the_collection_of_blobs(store: Store) -> None:
    keep(store, "a")
    lost = blob(store, OTHER)
    manifest = next((store.folder / "manifests").rglob("*.json"))
    manifest.write_text("{")
    assert [one for one in housekeeping.collect(store, partial=True) if one.kind == "blob"] == []
    assert store.blob(lost.sha256).exists()


def test_a_download_without_a_digest_is_protected_by_its_lock(store: Store) -> None:
    store.partial.mkdir(parents=True)
    finished = store.partial / "url-3.0123456789abcdef"
    finished.write_bytes(b"12345")  # a pull is about to take it up
    for name in ("url-1.part", "url-1.part.pieces", "url-2.part", "llm-1.0.whl", "k.joined"):
        (store.partial / name).write_bytes(b"12345")
    with FileLock(store.partial / "url-1.part.lock"), FileLock(store.partial / "llm-1.0.whl.lock"):
        gone = housekeeping.collect(store, partial=True)
    assert kinds(gone) == [("partial", "k.joined"), ("partial", "url-2.part")]
    os.utime(finished, (1, 1))
    assert ("partial", finished.name) in kinds(housekeeping.collect(store, partial=True))


def test_a_blob_that_an_unreadable_manifest_may_use_outlives_a_cut_off_pull(store: Store) -> None:
    path = keep(store, "a")
    manifest = next((store.folder / "manifests").rglob("*.json"))
    manifest.write_text(manifest.read_text().replace('"schema": 2', '"schema": 3'))
    wants = Wants.of(store.partial, Reference("b"))
    wants.add(hashlib.sha256(MODEL).hexdigest())
    housekeeping.collect(store, partial=True)
    assert path.exists()


def test_what_killed_writes_left_behind_goes_after_an_hour(store: Store) -> None:
    keep(store, "a")
    folder = next((store.folder / "manifests").rglob("*.json")).parent
    old, fresh = folder / ".latest.json.1.ab", folder / ".latest.json.2.cd"
    for path in (old, fresh):
        path.write_text("{")
    os.utime(old, (1, 1))
    assert kinds(housekeeping.collect(store, partial=False)) == [("temporary", old.name)]
    assert fresh.exists()


def test_a_view_that_alone_holds_bytes_counts_them(store: Store) -> None:
    path = store.views / "old" / "m.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(MODEL)
    assert [one.size for one in housekeeping.leftovers(store, partial=False)] == [len(MODEL)]
    housekeeping.collect(store, partial=False)
    assert not path.parent.exists()


def test_usage_counts_shared_bytes_once(store: Store, tmp_path: Path) -> None:
    keep(store, "a")
    keep(store, "b")
    keep(store, "c", OTHER)
    own = tmp_path / "own.gguf"
    own.write_bytes(MODEL)
    store.add(own)
    used = housekeeping.usage(store)
    rows = {row.model: (row.own, row.shared, row.in_place) for row in used.models}
    assert rows == {
        "a:latest": (0, len(MODEL), 0),
        "b:latest": (0, len(MODEL), 0),
        "c:latest": (len(OTHER), 0, 0),
        "own:latest": (0, 0, len(MODEL)),
    }
    assert used.blobs == len(MODEL) + len(OTHER)
    assert (used.in_place, used.leftovers) == (len(MODEL), ())
    assert used.free > 0


def test_an_empty_store_is_whole_and_makes_no_folder(store: Store) -> None:
    assert check(store) == Checked(0, 0, (), ())
    assert housekeeping.collect(store, partial=True) == []
    assert housekeeping.usage(store).models == ()
    assert not store.folder.exists()
