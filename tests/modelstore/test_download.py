"""One file, from the first byte to its name: parts, claims, digests and disks."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from noibo.errors import DigestMismatch, DiskFull, FetchError
from noibo.modelstore import disk
from noibo.modelstore.download.claim import Wanted
from noibo.modelstore.download.pieces import seen
from noibo.modelstore.download.remote_file import RemoteFile
from noibo.modelstore.offer import Fetched
from noibo.modelstore.progress import Cancel
from tests.modelstore.file_server import QUICK, SMALL, FileServer, Get, noise, opener

P, C = SMALL.piece, SMALL.chunk
SIZE = 32 * P + 77


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(noise(SIZE)) as one:
        yield one


@pytest.fixture
def get(server: FileServer, tmp_path: Path) -> Get:
    return Get(server, tmp_path / "partial")


@pytest.mark.parametrize("size", [0, 1, C - 1, C, C + 1, P, P + 1, 3 * P, 9 * P + 5])
def test_a_file_of_any_size_arrives_whole(size: int, tmp_path: Path) -> None:
    with FileServer(noise(size)) as server:
        get = Get(server, tmp_path)
        fetched = get.run()
        get.assert_whole()
        assert fetched == Fetched(get.target, size, hashlib.sha256(server.data).hexdigest())
        assert server.sent == size
        assert (get.said[-1].stage, get.said[-1].done) == ("download", size)


def test_a_small_file_is_one_request(tmp_path: Path) -> None:
    with FileServer(noise(P)) as server:
        Get(server, tmp_path).run()
        assert len(server.requests) == 1


def test_without_a_promise_the_digest_is_told(server: FileServer, tmp_path: Path) -> None:
    fetched = Get(server, tmp_path, sha256=None).run()
    assert fetched.sha256 == hashlib.sha256(server.data).hexdigest()


def test_a_finished_file_is_not_fetched_again(get: Get) -> None:
    first = get.run()
    get.server.requests.clear()
    assert get.run() == first
    assert get.server.requests == []


def test_a_kill_between_the_name_and_the_table_leaves_both(get: Get) -> None:
    get.run()
    table = get.target.with_name("file.bin.pieces")
    table.rename(get.journal)
    get.sidecar.write_text("{}")
    get.server.requests.clear()
    get.run()
    assert get.server.requests == []
    get.assert_whole()


def test_a_finished_file_that_went_bad_is_mended_not_fetched_again(get: Get) -> None:
    get.run()
    get.server.forget()
    data = bytearray(get.server.data)
    data[5 * C + 3] ^= 4
    get.target.write_bytes(data)
    get.run()
    get.assert_whole()
    assert get.server.sent == C
    assert "has gone bad" in get.notes


# Parts


def test_ctrl_c_leaves_a_part_that_the_next_run_continues(get: Get) -> None:
    get.leave_part(10 * P)
    here = seen(get.part)
    assert here is not None
    assert 10 * P <= here[0] < SIZE
    get.run()
    assert get.server.sent == SIZE - here[0]
    assert "Continuing at" in get.notes
    get.assert_whole()


def test_a_whole_part_is_checked_and_named_without_the_server(get: Get) -> None:
    get.run()
    get.target.rename(get.part)
    get.target.with_name("file.bin.pieces").rename(get.journal)
    claim = {"url_sha256": "", "sha256": get.wanted.sha256, "total": SIZE}
    get.sidecar.write_bytes(msgspec.json.encode(claim | {"etag": None, "modified": None}))
    get.server.requests.clear()
    get.run()
    assert get.server.requests == []
    get.assert_whole()


@pytest.mark.parametrize("lost", ["sidecar", "journal", "part"])
def test_a_part_of_which_something_is_missing_is_not_believed(get: Get, lost: str) -> None:
    get.leave_part(10 * P)
    getattr(get, lost).unlink()
    get.run()
    assert get.server.sent == SIZE
    get.assert_whole()


@pytest.mark.parametrize("nonsense", [b"", b'{"url_sha256": 7}', b"\0" * 64, b"noibopc1" * 9])
@pytest.mark.parametrize("which", ["sidecar", "journal"])
def test_nonsense_beside_a_part_is_not_believed(get: Get, which: str, nonsense: bytes) -> None:
    get.leave_part(10 * P)
    getattr(get, which).write_bytes(nonsense)
    get.run()
    assert get.server.sent == SIZE
    get.assert_whole()


@pytest.mark.parametrize("at", [0, C - 1, 3 * P + 5, 9 * P])
def test_of_a_damaged_part_only_what_is_damaged_is_fetched_again(get: Get, at: int) -> None:
    get.connections = 1
    get.leave_part(10 * P)
    here = seen(get.part)
    assert here is not None
    data = bytearray(get.part.read_bytes())
    data[at] ^= 1
    get.part.write_bytes(data)
    get.run()
    assert get.server.sent == SIZE - here[0] + C
    assert "8.2 kB of what was here are damaged" in get.notes
    get.assert_whole()


def test_a_part_that_was_cut_short_is_continued_where_it_ends(get: Get) -> None:
    get.connections = 1
    get.leave_part(10 * P)
    os.truncate(get.part, 4 * P + 10)
    get.run()
    assert get.server.sent == SIZE - 4 * P
    get.assert_whole()


def test_a_part_is_continued_from_another_address(get: Get, tmp_path: Path) -> None:
    get.leave_part(10 * P)
    here = seen(get.part)
    assert here is not None
    with FileServer(get.server.data) as mirror:
        mirror.etag = '"of the mirror"'
        other = Get(mirror, get.target.parent)
        other.run()
        assert mirror.sent == SIZE - here[0]
        other.assert_whole()


def test_without_a_promise_a_part_is_continued_only_with_a_validator(
    server: FileServer, tmp_path: Path
) -> None:
    for server.etag, sent in (('"one"', SIZE - 10 * P), (None, SIZE)):
        get = Get(server, tmp_path / str(sent), sha256=None)
        get.connections = 1
        get.leave_part(10 * P)
        get.run()
        assert server.sent == sent
        get.assert_whole()
        server.forget()


def test_a_changed_file_is_not_continued(server: FileServer, tmp_path: Path) -> None:
    get = Get(server, tmp_path, sha256=None)
    get.leave_part(10 * P)
    server.data, server.etag = noise(SIZE, "changed"), '"two"'
    get.run()
    assert "Starting over: the server has another file now." in get.notes
    get.assert_whole()


def test_the_sidecar_holds_no_address(get: Get) -> None:
    get.leave_part(10 * P)
    assert "127.0.0.1" not in get.sidecar.read_text()


def test_a_server_that_is_not_there_is_an_error_with_a_reason(get: Get) -> None:
    get.wanted = Wanted("http://127.0.0.1:1/a", "http://127.0.0.1:1/a")
    with pytest.raises(FetchError, match="could not be fetched: the connection failed"):
        get.run()


# Promises


def git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def test_an_id_of_git_is_checked(server: FileServer, tmp_path: Path) -> None:
    get = Get(server, tmp_path, sha256=None, git_sha1=git_id(server.data))
    server.trouble.flips = {5: 1}
    get.run()
    get.assert_whole()
    other = Get(server, tmp_path / "other", sha256=None, git_sha1=git_id(b""))
    with pytest.raises(DigestMismatch, match=f"git's id .* instead of {git_id(b'')}"):
        other.run()
    assert other.here == []


def test_a_remote_file_is_named_after_its_digest(server: FileServer, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(server.data).hexdigest()
    with opener() as open_url:
        for name, digest, git in (
            (f"sha256-{sha256}", sha256, None),
            (f"git-{git_id(server.data)}", None, git_id(server.data)),
            (f"url-{hashlib.sha256(server.url.encode()).hexdigest()}", None, None),
        ):
            file = RemoteFile("file", "a/b", server.url, "b", SIZE, digest, open_url, git, QUICK)
            assert "127.0.0.1" not in repr(file)
            fetched = file.fetch(tmp_path / "partial", 0, lambda _: None, Cancel())
            path = tmp_path / "partial" / name
            if digest is None:  # a name of its own, behind that of the part
                assert fetched.path.name.startswith(f"{name}.")
                path = fetched.path
            assert fetched == Fetched(path, SIZE, sha256)


# Disks


def test_space_is_looked_at_before_the_first_byte(
    get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match=r"2\.1 MB needed, 1\.0 MB free") as caught:
        get.run()
    assert "noibo rm" in caught.value.next_step
    assert get.here == []


def test_for_the_rest_of_a_part_only_its_own_room_is_needed(
    get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    get.leave_part(24 * P)
    usage = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    get.run()
    get.assert_whole()


def test_room_for_what_comes_after_is_reserved(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DiskFull):
        Get(server, tmp_path, reserve=2**60).run()


def test_a_limit_on_file_size_is_a_full_disk_and_keeps_what_is_there(get: Get) -> None:
    get.connections = 1
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_234_567, before[1]))
    try:
        with pytest.raises(DiskFull, match="What was there is kept"):
            get.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert get.part.read_bytes() == get.server.data[:1_234_567]
    get.server.forget()
    get.run()
    assert get.server.sent == SIZE - 1_234_567
    get.assert_whole()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB; where none may be mounted, the folder as it is."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = sys.platform == "linux" and shutil.which("mount") is not None
    mounted = mounted and subprocess.run(command, capture_output=True, check=False).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_keeps_what_was_there(
    get: Get, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plenty = shutil.disk_usage("/")._replace(free=2**40)  # it fills up while we write
    small = Get(get.server, small_disk)
    is_real = shutil.disk_usage(small_disk).total < 2**21
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        patch.setattr(disk.shutil, "disk_usage", lambda _: plenty)
        if not is_real:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
        try:
            with pytest.raises(DiskFull) as caught:
                small.run()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == (errno.ENOSPC if is_real else errno.EFBIG)
    here = seen(small.part)
    assert here is not None
    assert here[0] > P
    shutil.copytree(small_disk, get.target.parent)
    get.server.forget()
    get.run()
    assert get.server.sent == SIZE - here[0]
    get.assert_whole()
