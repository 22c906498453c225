from __future__ import annotations

import errno
import hashlib
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from noibo.errors import DigestMismatch, DiskFull, FetchError
from noibo.modelstore import disk
from noibo.modelstore.claim import Wanted
from noibo.modelstore.download import Download, Patience
from noibo.modelstore.progress import Progress
from tests.modelstore.index_server import WHEEL, IndexServer

QUICK = Patience(retries=2, first_pause_s=0.01)


class Get:
    """One download of the server's wheel, and what it said."""

    def __init__(self, index: IndexServer, folder: Path, **wanted: object) -> None:
        self.index = index
        self.target = folder / "a.whl"
        self.part = folder / "a.whl.part"
        self.sidecar = folder / "a.whl.part.json"
        self.said: list[Progress] = []
        data = index.wheels[WHEEL]
        facts = {"sha256": hashlib.sha256(data).hexdigest()} | wanted
        self.wanted = Wanted(index.file_url(), index.file_url(), **facts)  # type: ignore[arg-type]

    def run(
        self, patience: Patience = QUICK, report: Callable[[Progress], None] | None = None
    ) -> None:
        with httpx2.Client(trust_env=False, timeout=2) as client:

            @contextmanager
            def open_url(url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
                with client.stream("GET", url, headers=dict(headers)) as response:
                    yield response

            Download(self.wanted, self.target, open_url, report or self.said.append, patience).run()

    @property
    def notes(self) -> str:
        return " ".join(one.note for one in self.said if one.note)

    def leave_part(self, length: int) -> None:
        """Stop a download after `length` bytes, as Ctrl-C would."""

        def stop(progress: Progress) -> None:
            if progress.done >= length:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.run(report=stop)
        assert self.part.exists()
        assert not self.target.exists()


@pytest.fixture
def get(index: IndexServer, tmp_path: Path) -> Get:
    return Get(index, tmp_path / "partial")


def test_a_file_arrives_whole_and_leaves_no_crumbs(get: Get, wheel: bytes) -> None:
    get.run()
    assert get.target.read_bytes() == wheel
    assert [path.name for path in get.target.parent.iterdir()] == ["a.whl"]
    assert get.said[-1] == Progress("download", len(wheel), len(wheel))
    assert [one.done for one in get.said] == sorted(one.done for one in get.said)


def test_a_finished_file_is_not_fetched_again(get: Get, index: IndexServer) -> None:
    get.run()
    asked = len(index.requests)
    get.run()
    assert len(index.requests) == asked


def test_ctrl_c_leaves_a_part_that_the_next_run_continues(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    get.leave_part(1_000_000)
    have = get.part.stat().st_size
    assert 1_000_000 <= have < len(wheel)
    index.file_bytes = 0
    get.run()
    assert index.ranges()[-1] == f"bytes={have}-"
    assert index.file_requests()[-1]["if-range"] == '"one"'
    assert index.file_bytes == len(wheel) - have
    assert get.target.read_bytes() == wheel
    assert "Continuing at" in get.notes


@pytest.mark.parametrize("length", [1, 16 * 1024, 100_001, -1])
def test_a_part_of_any_length_is_continued(
    get: Get, index: IndexServer, wheel: bytes, length: int
) -> None:
    get.leave_part(1)
    length %= len(wheel)
    get.part.write_bytes(wheel[:length])
    index.file_bytes = 0
    get.run()
    assert index.file_bytes == len(wheel) - length
    assert get.target.read_bytes() == wheel


def test_a_whole_part_is_checked_and_named_without_the_server(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    get.leave_part(1)
    get.part.write_bytes(wheel)
    index.requests.clear()
    get.run()
    assert index.requests == []
    assert get.target.read_bytes() == wheel


def test_a_part_without_its_sidecar_is_not_believed(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    get.part.parent.mkdir()
    get.part.write_bytes(b"x" * 1000)
    get.run()
    assert index.ranges() == [None]
    assert get.target.read_bytes() == wheel


def test_a_sidecar_of_nonsense_is_not_believed(get: Get, index: IndexServer, wheel: bytes) -> None:
    get.leave_part(1000)
    get.sidecar.write_text('{"url_sha256": 7}')
    get.run()
    assert index.ranges()[-1] is None
    assert get.target.read_bytes() == wheel


def test_a_cut_connection_is_continued_where_it_broke(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    index.trouble.cuts = [500_000, 500_000, 500_000, 500_000]
    get.run()
    assert get.target.read_bytes() == wheel
    assert index.ranges() == [None, *(f"bytes={n}00000-" for n in (5, 10, 15, 20))]
    assert index.file_bytes == len(wheel)


def test_cuts_that_bring_no_byte_end_it_after_the_retries(get: Get, index: IndexServer) -> None:
    index.trouble.cuts = [500_000, *[0] * 10]
    with pytest.raises(FetchError, match=r"500\.0 kB are here and kept"):
        get.run()
    assert get.part.stat().st_size == 500_000
    assert len(index.file_requests()) == 1 + QUICK.retries


def test_a_server_that_ignores_range_starts_over_and_says_so(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    get.leave_part(1_000_000)
    index.trouble.ignore_range = True
    get.run()
    assert get.target.read_bytes() == wheel
    assert "Starting over: the server sent the file from its beginning" in get.notes


def test_ignored_ranges_and_cuts_at_one_place_come_to_an_end(get: Get, index: IndexServer) -> None:
    index.trouble.ignore_range = True
    index.trouble.cuts = [300_000] * 50
    with pytest.raises(FetchError):
        get.run()
    assert len(index.file_requests()) <= 1 + QUICK.retries


def test_a_file_that_changed_between_two_runs_is_fetched_anew(
    index: IndexServer, tmp_path: Path, wheel: bytes
) -> None:
    get = Get(index, tmp_path, sha256=None)
    get.leave_part(1_000_000)
    changed = bytes(reversed(wheel))
    index.wheels[WHEEL], index.etag = changed, '"two"'
    get.run()
    assert get.target.read_bytes() == changed
    assert "Starting over" in get.notes


def test_a_file_that_changed_in_mid_download_is_fetched_anew(
    index: IndexServer, tmp_path: Path, wheel: bytes
) -> None:
    get = Get(index, tmp_path, sha256=None)
    changed = bytes(reversed(wheel))
    index.trouble.cuts = [1_000_000]

    def swap(progress: Progress) -> None:
        get.said.append(progress)
        if "trying again" in progress.note:
            index.wheels[WHEEL], index.etag = changed, '"two"'

    get.run(report=swap)
    assert get.target.read_bytes() == changed


def test_a_changed_length_behind_the_same_etag_is_noticed(
    index: IndexServer, tmp_path: Path, wheel: bytes
) -> None:
    get = Get(index, tmp_path, sha256=None)
    get.leave_part(1_000_000)
    index.wheels[WHEEL] = wheel + b"more"
    get.run()
    assert get.target.read_bytes() == wheel + b"more"
    assert "another file" in get.notes


def test_a_shorter_file_answers_416_and_is_fetched_anew(
    index: IndexServer, tmp_path: Path, wheel: bytes
) -> None:
    get = Get(index, tmp_path, sha256=None)
    get.leave_part(1_000_000)
    index.wheels[WHEEL] = wheel[:1000]
    get.run()
    assert get.target.read_bytes() == wheel[:1000]


def test_416_at_the_end_of_the_file_is_the_end(get: Get, index: IndexServer, wheel: bytes) -> None:
    index.trouble.say_nothing_of_length = True
    get.leave_part(1000)
    get.part.write_bytes(wheel)
    get.run()
    assert index.ranges()[-1] == f"bytes={len(wheel)}-"
    assert get.target.read_bytes() == wheel


def test_without_etag_and_digest_a_part_is_not_continued(
    index: IndexServer, tmp_path: Path, wheel: bytes
) -> None:
    index.etag = None
    get = Get(index, tmp_path, sha256=None)
    get.leave_part(1000)
    get.run()
    assert index.ranges()[-1] is None
    assert get.target.read_bytes() == wheel


def test_without_etag_the_known_digest_is_enough_to_continue(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    index.etag = None
    get.leave_part(1_000_000)
    get.run()
    assert index.ranges()[-1] is not None
    assert "if-range" not in index.file_requests()[-1]
    assert get.target.read_bytes() == wheel


def test_a_rotten_part_is_found_out_and_fetched_anew_once(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    get.leave_part(1_000_000)
    get.part.write_bytes(b"\0" * 1_000_000)
    get.run()
    assert get.target.read_bytes() == wheel
    assert "what was here before did not fit" in get.notes
    assert index.ranges()[-2:] == ["bytes=1000000-", None]


def test_a_flipped_byte_is_refused_and_nothing_kept(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    index.trouble.flip_at = len(wheel) // 2
    with pytest.raises(DigestMismatch, match="thrown away"):
        get.run()
    assert list(get.target.parent.iterdir()) == []


def test_a_file_without_a_length_is_taken_to_its_end(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    index.trouble.say_nothing_of_length = True
    get.run()
    assert get.target.read_bytes() == wheel


def test_an_empty_file_is_a_file(index: IndexServer, tmp_path: Path) -> None:
    index.wheels[WHEEL] = b""
    get = Get(index, tmp_path)
    get.run()
    assert get.target.read_bytes() == b""


def test_a_web_page_instead_of_the_file_is_named(get: Get, index: IndexServer) -> None:
    index.trouble.web_page = True
    with pytest.raises(FetchError, match="web page instead of the file") as caught:
        get.run()
    assert "sign-in page" in caught.value.next_step
    assert not get.part.exists()


def test_503_and_429_pass(get: Get, index: IndexServer, wheel: bytes) -> None:
    index.trouble.statuses = [503, 429]
    get.run()
    assert get.target.read_bytes() == wheel
    assert "answered 503; trying again" in get.notes


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_not_asked_again(get: Get, index: IndexServer, status: int) -> None:
    index.trouble.statuses = [status] * 5
    with pytest.raises(FetchError, match=str(status)):
        get.run()
    assert len(index.requests) == 1


def test_a_server_that_stands_still_is_left_and_tried_again(
    get: Get, index: IndexServer, wheel: bytes
) -> None:
    index.trouble.stall_at = 1_000_000

    def wake(progress: Progress) -> None:
        get.said.append(progress)
        if "stood still" in progress.note:
            index.trouble.stall_at = None

    get.run(report=wake)
    assert get.target.read_bytes() == wheel
    assert "stood still" in get.notes


def test_a_server_that_is_not_there_is_an_error_with_a_reason(get: Get, index: IndexServer) -> None:
    get.wanted = Wanted("http://127.0.0.1:1/a.whl", "http://127.0.0.1:1/a.whl")
    with pytest.raises(FetchError, match="could not be fetched: the connection failed"):
        get.run()


def test_the_sidecar_holds_no_address(get: Get) -> None:
    get.leave_part(1000)
    assert "127.0.0.1" not in get.sidecar.read_text()


def test_space_is_looked_at_before_the_first_byte(
    get: Get, index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match=r"3\.1 MB needed, 1\.0 MB free") as caught:
        get.run()
    assert "noibo rm" in caught.value.next_step
    assert not get.part.exists() or get.part.stat().st_size == 0


def test_room_for_what_comes_after_is_reserved(index: IndexServer, tmp_path: Path) -> None:
    get = Get(index, tmp_path, reserve=2**60)
    with pytest.raises(DiskFull):
        get.run()


def test_a_limit_on_file_size_is_a_full_disk_and_keeps_what_is_there(
    get: Get, wheel: bytes
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_234_567, before[1]))
    try:
        with pytest.raises(DiskFull, match="What was there is kept"):
            get.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert get.part.read_bytes() == wheel[:1_234_567]
    get.run()
    assert get.target.read_bytes() == wheel


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB; where none may be mounted, the folder as it is."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    mounted = sys.platform == "linux" and shutil.which("mount") is not None
    mounted = mounted and subprocess.run(command, capture_output=True, check=False).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_keeps_what_was_there(
    index: IndexServer,
    small_disk: Path,
    wheel: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plenty = shutil.disk_usage("/")._replace(free=2**40)  # it fills up while we write
    get = Get(index, small_disk)
    is_real = shutil.disk_usage(small_disk).total < 2**22
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        patch.setattr(disk.shutil, "disk_usage", lambda _: plenty)
        if not is_real:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 2**20, before[1]))
        try:
            with pytest.raises(DiskFull) as caught:
                get.run()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == (errno.ENOSPC if is_real else errno.EFBIG)
    kept = get.part.read_bytes()
    assert len(kept) > 1_500_000
    assert kept == wheel[: len(kept)]
    bigger = Get(index, tmp_path / "bigger")
    shutil.copytree(small_disk, bigger.target.parent)
    bigger.run()
    assert index.ranges()[-1] == f"bytes={len(kept)}-"
    assert bigger.target.read_bytes() == wheel
