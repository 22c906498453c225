from __future__ import annotations

import hashlib
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noibo.modelstore.download.pieces import Pieces, adopt, discard, part_of, seen
from noibo.modelstore.download.pieces_table import Cut, Table, table_of
from tests.modelstore.file_server import SMALL, FileServer, Get, noise

C, P = SMALL.chunk, SMALL.piece


def begin(folder: Path, total: int | None, chunk: int = 8) -> Pieces:
    return Pieces.begin(folder / "a.part", chunk, total)


def test_a_cut_is_of_whole_chunks() -> None:
    with pytest.raises(ValueError, match="whole chunks"):
        Cut(piece=100, chunk=30)


def test_pieces_may_come_in_any_order(tmp_path: Path) -> None:
    pieces = begin(tmp_path, 20)
    pieces.put(16, b"qrst")
    assert pieces.missing() == [(0, 16)]
    pieces.put(0, b"abcdefghij")
    assert pieces.missing() == [(10, 16)]
    assert (pieces.prefix(), pieces.done, pieces.is_whole) == (10, 14, False)
    pieces.put(10, b"klmnop")
    assert (pieces.prefix(), pieces.done, pieces.is_whole) == (20, 20, True)
    assert pieces.read(0, 99) == b"abcdefghijklmnopqrst"
    pieces.close()


def test_bytes_that_are_here_are_passed_over(tmp_path: Path) -> None:
    pieces = begin(tmp_path, 8)
    pieces.put(0, b"abcd")
    pieces.put(2, b"CDef")
    pieces.put(0, b"ABC")
    assert pieces.read(0, 8) == b"abcdef"
    assert pieces.done == 6
    pieces.close()


def test_a_hole_in_a_chunk_is_no_way_to_fill_it(tmp_path: Path) -> None:
    pieces = begin(tmp_path, 8)
    with pytest.raises(ValueError, match="from its first byte on"):
        pieces.put(3, b"d")
    pieces.close()


def test_after_it_was_closed_nothing_is_written(tmp_path: Path) -> None:
    pieces = begin(tmp_path, 8)
    pieces.close()
    pieces.put(0, b"abcd")
    assert pieces.part.read_bytes() == b""
    assert seen(pieces.part) == (0, 8)


def test_what_was_recorded_is_taken_up(tmp_path: Path) -> None:
    first = begin(tmp_path, 20)
    first.put(0, b"abcdefghij")  # and no close: a kill does not say goodbye
    second = Pieces.take_up(first.part, 20)
    assert second is not None
    come: list[tuple[int, bytes]] = []
    assert second.check(lambda at, data: come.append((at, data))) == 0
    assert come == [(0, b"abcdefgh"), (8, b"ij")]
    assert second.missing() == [(10, 20)]
    assert Pieces.take_up(first.part, 21) is None
    first.close()
    second.close()


def test_what_does_not_fit_its_record_counts_as_not_here(tmp_path: Path) -> None:
    pieces = begin(tmp_path, 20)
    pieces.put(0, b"abcdefghijklmnopqrst")
    pieces.part.write_bytes(b"abcdefghijXlmnopqr")
    assert pieces.check(lambda *_: None) == 12
    assert pieces.missing() == [(8, 20)]
    pieces.close()
    assert seen(pieces.part) == (8, 20)


def test_a_file_whose_length_nobody_said_ends_where_it_ends(tmp_path: Path) -> None:
    pieces = begin(tmp_path, None)
    pieces.put(0, b"abcdefghij")
    assert not pieces.is_whole
    assert seen(pieces.part) == (10, None)
    pieces.end_here()
    assert pieces.is_whole
    pieces.close()
    assert seen(pieces.part) == (10, 10)


def test_threads_fill_it_together(tmp_path: Path) -> None:
    data = noise(64 * 1000)
    pieces = begin(tmp_path, len(data), chunk=100)

    def fill(number: int) -> None:
        for at in range(number * 16_000, (number + 1) * 16_000, 37):
            end = min(at + 37, (number + 1) * 16_000)
            pieces.put(at, data[at:end])

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pieces.is_whole
    assert pieces.read(0, len(data)) == data
    assert pieces.check(lambda *_: None) == 0
    pieces.close()


def test_the_layout_is_as_it_is_written_down(tmp_path: Path) -> None:
    pieces = begin(tmp_path, 10)
    pieces.put(0, b"abcdefghij")
    pieces.finish("ab" * 32)
    data = table_of(pieces.part).read_bytes()
    assert data[:8] == b"noibopc1"
    assert data[8:32] == b"\x08" + bytes(7) + b"\x0a" + bytes(15)
    assert data[32:64] == b"\xab" * 32
    for at, chunk in ((64, b"abcdefgh"), (72, b"ij")):
        assert data[at : at + 4] == len(chunk).to_bytes(4, "little")
        assert data[at + 4 : at + 8] == zlib.crc32(chunk).to_bytes(4, "little")
    assert len(data) == 80


@pytest.mark.parametrize("damage", [b"", b"noibopc1", b"x" * 80, b"noibopc1" + bytes(72)])
def test_what_is_no_table_is_none(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "a.pieces"
    path.write_bytes(damage)
    assert Table.read(path) is None
    assert Table.read(tmp_path / "nowhere") is None


@settings(max_examples=200, deadline=None)
@given(
    total=st.integers(0, 100),
    chunk=st.integers(1, 20),
    lengths=st.lists(st.integers(0, 20), max_size=100),
)
def test_what_is_missing_and_what_is_here_make_the_file(
    total: int, chunk: int, lengths: list[int]
) -> None:
    table = Table.blank(chunk, total)
    here = set()
    for index, length in zip(range(len(table)), lengths, strict=False):
        length = min(length, table.size_of(index))  # noqa: PLW2901
        table.set(index, length, 0)
        here |= set(range(index * chunk, index * chunk + length))
    missing = list(table.missing())
    assert sum(end - first for first, end in missing) + table.done == total
    assert here.isdisjoint(at for first, end in missing for at in range(first, end))
    assert table.prefix(0) == next((first for first, _ in missing), total)


@pytest.mark.parametrize("large", [0, 2**33])
def test_a_large_file_needs_a_small_table(large: int) -> None:
    assert len(Table.blank(Cut().chunk, large).to_bytes()) == 64 + large // 2**15


# A finished file that has gone bad


def finished(server: FileServer, folder: Path) -> tuple[Path, Path, str]:
    """A blob of the store and its table, as after a pull."""
    get = Get(server, folder / "partial")
    sha256 = get.run().sha256
    blobs = folder / "blobs"
    blobs.mkdir()
    blob, table = blobs / f"sha256-{sha256}", blobs / f"sha256-{sha256}.pieces"
    get.target.rename(blob)
    table_of(get.target).rename(table)
    server.forget()
    return blob, table, sha256


@pytest.mark.parametrize(
    ("damage", "cost"),
    [
        (lambda data: data[:10] + b"X" + data[11:], C),
        (lambda data: data[: 3 * P] + bytes(2 * C) + data[3 * P + 2 * C :], 2 * C),
        (lambda data: data[: 5 * P], 5 * P + 9),
        (lambda data: data + b"more", 0),
        (lambda _: b"", 10 * P + 9),
    ],
)
def test_of_a_damaged_blob_only_what_is_damaged_is_fetched(
    tmp_path: Path, damage: object, cost: int
) -> None:
    with FileServer(noise(10 * P + 9)) as server:
        blob, table, sha256 = finished(server, tmp_path)
        blob.write_bytes(damage(blob.read_bytes()))  # type: ignore[operator]
        get = Get(server, tmp_path / "partial")
        assert adopt(blob, table, get.target, sha256)
        assert not blob.exists()
        assert not table.exists()
        get.run()
        assert server.sent == cost
        get.assert_whole()


def test_a_table_of_another_file_adopts_nothing(tmp_path: Path) -> None:
    with FileServer(noise(P)) as server:
        blob, table, sha256 = finished(server, tmp_path)
    target = tmp_path / "partial" / "file.bin"
    assert not adopt(blob, table, target, hashlib.sha256(b"").hexdigest())
    assert not adopt(blob, tmp_path / "nowhere", target, sha256)
    assert not adopt(tmp_path / "nowhere", table, target, sha256)
    table.write_bytes(table.read_bytes()[:-1])
    assert not adopt(blob, table, target, sha256)
    assert blob.exists()
    assert table.exists()


def test_a_blob_that_fits_a_wrong_table_is_compared_with_a_second_copy(tmp_path: Path) -> None:
    """As when memory was bad: the records are of what was written, and that was wrong."""
    with FileServer(noise(10 * P)) as server:
        blob, table, sha256 = finished(server, tmp_path)
        data = bytearray(server.data)
        data[2 * P + 7] ^= 1
        blob.write_bytes(data)
        wrong = Table.read(table)
        assert wrong is not None
        index = (2 * P + 7) // C
        wrong.set(index, C, zlib.crc32(data[index * C : (index + 1) * C]))
        table.write_bytes(wrong.to_bytes())
        get = Get(server, tmp_path / "partial")
        assert adopt(blob, table, get.target, sha256)
        get.run()
        assert server.sent == 3 * P
        get.assert_whole()


def test_what_is_discarded_is_gone(tmp_path: Path) -> None:
    begin(tmp_path, 10).close()
    part = tmp_path / "a.part"
    assert part_of(tmp_path / "a") == part
    discard(part)
    discard(part)
    assert list(tmp_path.glob("a*")) == []
