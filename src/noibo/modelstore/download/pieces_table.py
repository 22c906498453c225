"""The table of a file's pieces: how far each one came, and the CRC-32 of what came.

Beside a part it is the journal of the download (`NAME.part.pieces`), written after the bytes, so
that a kill at any moment loses at most what was written last. Beside a finished file it tells later
which bytes have gone bad. One layout for both, little-endian:

    64 bytes    magic "noibopc1", bytes a piece (u32), 0 (u32), total (i64, -1: not known),
                0 (u64), SHA-256 of the finished file (32 bytes, zero while it is not finished)
    8 a piece   bytes that came from the piece's first on (u32), CRC-32 of them (u32)

A piece here is small (256 KiB): the least that is fetched again. What one request asks for is many.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct("<8sIIqQ32s")
_RECORD: Final = struct.Struct("<II")
_MAGIC: Final = b"noibopc1"
_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Cut:
    """How a file is cut: bytes of the first request, and of the least that is fetched again."""

    piece: int = 16 * 2**20
    chunk: int = 256 * 2**10

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.piece < self.chunk or self.piece % self.chunk:
            raise ValueError("a piece is made of whole chunks")


def table_of(path: Path) -> Path:
    """Where the table of a part, or of a finished file, lies."""
    return path.with_name(path.name + ".pieces")


class Table:
    """The records, in memory. Chunks are numbered from 0; a record is (bytes that came, CRC)."""

    def __init__(self, chunk: int, total: int | None, records: bytearray, sha256: str = "") -> None:
        self.chunk = chunk
        self.total = total
        self.sha256 = sha256
        self._records = records
        self.done = sum(length for length, _ in self)

    @classmethod
    def blank(cls, chunk: int, total: int | None) -> Table:
        """A table of a file of which nothing came yet."""
        count = 0 if total is None else -(-total // chunk)
        return cls(chunk, total, bytearray(count * _RECORD.size))

    @classmethod
    def read(cls, path: Path) -> Table | None:
        """What lies there, or None if it is not there or no table of ours."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if len(data) < _HEAD.size or (len(data) - _HEAD.size) % _RECORD.size:
            return None
        magic, chunk, _, total, _, sha256 = _HEAD.unpack_from(data)
        if magic != _MAGIC or chunk < 1 or total < _UNKNOWN:
            return None
        records = bytearray(data[_HEAD.size :])
        count = len(records) // _RECORD.size
        if total >= 0 and count != -(-total // chunk):
            return None
        return cls(
            chunk, None if total < 0 else total, records, sha256.hex() if any(sha256) else ""
        )

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return _RECORD.iter_unpack(self._records)

    def __getitem__(self, index: int) -> tuple[int, int]:
        if index >= len(self):
            return 0, 0
        length, crc = _RECORD.unpack_from(self._records, index * _RECORD.size)
        return length, crc

    def size_of(self, index: int) -> int:
        """The bytes of a chunk that came whole."""
        if self.total is None:
            return self.chunk
        return min(self.chunk, self.total - index * self.chunk)

    def set(self, index: int, length: int, crc: int) -> tuple[int, bytes]:
        """Change a record. Returns what to write into the file, and where."""
        missing = index + 1 - len(self)
        if missing > 0:
            self._records.extend(bytes(missing * _RECORD.size))
        self.done += length - self[index][0]
        record = _RECORD.pack(length, crc)
        self._records[index * _RECORD.size : (index + 1) * _RECORD.size] = record
        return _HEAD.size + index * _RECORD.size, record

    def head(self) -> bytes:
        """The first 64 bytes of the file."""
        total = _UNKNOWN if self.total is None else self.total
        return _HEAD.pack(_MAGIC, self.chunk, 0, total, 0, bytes.fromhex(self.sha256 or "00" * 32))

    def to_bytes(self) -> bytes:
        """The whole file."""
        return self.head() + bytes(self._records)

    def fits(self, index: int, data: bytes) -> bool:
        """True if `data`, what a chunk holds on disk, is what came."""
        length, crc = self[index]
        return length <= self.size_of(index) and (len(data), zlib.crc32(data)) == (length, crc)

    def missing(self) -> Iterator[tuple[int, int]]:
        """First and end of every stretch that did not come yet; `total` must be known."""
        start = end = 0
        for index, (length, _) in enumerate(self):
            first = index * self.chunk
            if length >= self.size_of(index):
                continue
            if first + length != end or end == start:
                if end > start:
                    yield start, end
                start = first + length
            end = first + self.size_of(index)
        if end > start:
            yield start, end

    def prefix(self, at: int) -> int:
        """End of what came without a gap, if it came up to `at`."""
        index = at // self.chunk
        while index < len(self):
            length, _ = self[index]
            at = max(at, index * self.chunk + length)
            if length < self.chunk:
                break
            index += 1
        return at
