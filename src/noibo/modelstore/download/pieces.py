"""A file that is being fetched, piece by piece and in any order, so that a kill loses nothing.

Bytes go into one sparse `NAME.part`; `NAME.part.pieces` (see `pieces_table`) is the journal, and
`NAME.part.json`, a `Claim`, says whose bytes they are. Without a claim the rest is not believed.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from noibo.errors import StoreError
from noibo.modelstore.disk import write_atomically
from noibo.modelstore.download.claim import Claim, claim_of
from noibo.modelstore.download.pieces_table import Cut, Table, table_of

__all__ = ["Cut", "Pieces", "adopt", "lock_of", "part_of", "seen", "table_of"]

_OPEN: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
_AT_ONCE: Final = hasattr(os, "pwrite")  # not on Windows


def part_of(target: Path) -> Path:
    """Where the bytes of a file are until it has its name."""
    return target.with_name(target.name + ".part")


def lock_of(path: Path) -> Path:
    """The lock of a part and of all that lies beside it. It is never removed."""
    return path.with_name(path.name + ".lock")


class Pieces:
    """The part and its journal, open. `put` may be called by several threads at once."""

    def __init__(self, part: Path, table: Table) -> None:
        self.part = part
        self._table = table
        self._lock = threading.Lock()
        self._file = os.open(part, _OPEN, 0o666)
        try:
            self._journal = os.open(table_of(part), _OPEN, 0o666)
        except OSError:
            os.close(self._file)
            raise
        self._is_open = True

    @classmethod
    def begin(cls, part: Path, chunk: int, total: int | None) -> Pieces:
        """An empty part; what lay there is gone. The journal has its room from the start."""
        part.unlink(missing_ok=True)
        table = Table.blank(chunk, total)
        table_of(part).write_bytes(table.to_bytes())
        return cls(part, table)

    @classmethod
    def take_up(cls, part: Path, total: int | None) -> Pieces | None:
        """What an earlier run left of a file of that length; None if it cannot be used."""
        table = Table.read(table_of(part))
        if table is None or table.total != total or not part.exists():
            return None
        return cls(part, table)

    @property
    def total(self) -> int | None:
        return self._table.total

    @property
    def done(self) -> int:
        """Bytes that are here."""
        return self._table.done

    @property
    def chunk(self) -> int:
        return self._table.chunk

    @property
    def is_whole(self) -> bool:
        return self._table.total is not None and self._table.done == self._table.total

    def missing(self) -> list[tuple[int, int]]:
        """First and end of every stretch that is not here; the last open if the end is unknown."""
        with self._lock:
            return list(self._table.missing())

    def prefix(self, at: int = 0) -> int:
        """End of what is here without a gap, if it is up to `at`."""
        with self._lock:
            return self._table.prefix(at)

    def put(self, at: int, data: bytes) -> None:
        """Keep what came from byte `at` on: the bytes, then their record.

        Bytes that are here already are passed over: two connections may bring the same ones for a
        moment. Raises `OSError`; what could be written is recorded."""
        view = memoryview(data)
        while view:
            index, begin = at // self.chunk, at % self.chunk
            size = min(len(view), self.chunk - begin)
            self._append(index, begin, view[:size])
            view, at = view[size:], at + size

    def _append(self, index: int, begin: int, view: memoryview) -> None:
        with self._lock:
            length, crc = self._table[index]
            if begin > length:
                raise ValueError("a chunk is filled from its first byte on")
            view = view[length - begin :]
            while view and self._is_open:
                count = _write_at(self._file, view, index * self.chunk + length)
                length, crc = length + count, zlib.crc32(view[:count], crc)
                self._record(index, length, crc)
                view = view[count:]

    def _record(self, index: int, length: int, crc: int) -> None:
        at, record = self._table.set(index, length, crc)
        _write_all(self._journal, record, at)

    def replace(self, index: int, data: bytes) -> None:
        """Put other bytes into a whole chunk. For a moment it counts as not here."""
        with self._lock:
            self._record(index, 0, 0)
            _write_all(self._file, data, index * self.chunk)
            self._record(index, len(data), zlib.crc32(data))

    def read(self, at: int, size: int) -> bytes:
        """What lies there, fewer bytes at the end of the file."""
        if _AT_ONCE:
            return os.pread(self._file, size, at)
        with self._lock:
            os.lseek(self._file, at, os.SEEK_SET)
            return os.read(self._file, size)

    def check(self, seen: Callable[[int, bytes], None]) -> int:
        """Compare what lies here with the journal; what does not fit counts as not here.

        `seen` is told each chunk that fits, with its first byte. Returns the bytes that are lost.
        """
        lost = 0
        for index, (length, _) in enumerate(list(self._table)):
            if not length:
                continue
            data = self.read(index * self.chunk, min(length, self.chunk))
            if self._table.fits(index, data):
                seen(index * self.chunk, data)
            else:
                lost += min(length, self.chunk)
                self._record(index, 0, 0)
        return lost

    def end_here(self) -> None:
        """The end of what came is the end of the file, whose length nobody said."""
        with self._lock:
            self._table.total = self._table.done
            _write_all(self._journal, self._table.head(), 0)

    def finish(self, sha256: str) -> None:
        """Write the digest of the finished file into its table, and close.

        Raises `StoreError` if what lies under the part's name is another file by now."""
        if not self._is_in_place():
            raise StoreError(
                f"{self.part} was taken away or replaced while it was being written.",
                next_step="Try again, and leave the store's files alone meanwhile.",
            )
        os.ftruncate(self._file, self._table.total or 0)
        self._table.sha256 = sha256
        _write_all(self._journal, self._table.head(), 0)
        self.close()

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self.part.stat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the files. A thread that still brings bytes brings them in vain."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._file)
                os.close(self._journal)


def _write_at(file: int, data: memoryview | bytes, at: int) -> int:
    if _AT_ONCE:
        return os.pwrite(file, data, at)
    os.lseek(file, at, os.SEEK_SET)
    return os.write(file, data)


def _write_all(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = _write_at(file, view, at)
        view, at = view[count:], at + count


def discard(part: Path) -> None:
    """Throw a part away; the claim first, so that a kill in between leaves nothing believed."""
    for path in (claim_of(part), table_of(part), part):
        path.unlink(missing_ok=True)


def seen(part: Path) -> tuple[int, int | None] | None:
    """Bytes here and in all of a part that perhaps another process is filling; None: no part.

    For one that waits for its turn: reads the journal only, and locks nothing."""
    table = Table.read(table_of(part))
    return None if table is None else (table.done, table.total)


def adopt(blob: Path, table: Path, target: Path, sha256: str) -> bool:
    """Make a finished file that has gone bad the part of a new download of it.

    `table` is what the download of `blob` left (`<target>.pieces`, wherever it was moved to),
    `sha256` the digest that `blob` should have. Both are moved next to `target`, on the same disk;
    `Download(Wanted(..., sha256=sha256), target, ...).run()` then compares every piece with its
    record and fetches only those that do not fit: of a file with one flipped byte, one chunk.
    A file that is too short or too long is mended too. If every piece fits and the file still has
    another digest, the download repairs it by comparing it with a second copy, piece by piece.

    False, and nothing is moved, if the table is not that of this file. A kill on the way leaves
    both where they are, or the part complete."""
    known = Table.read(table)
    if known is None or known.sha256 != sha256 or known.total is None or not blob.is_file():
        return False
    part = part_of(target)
    part.parent.mkdir(parents=True, exist_ok=True)
    discard(part)
    write_atomically(table_of(part), known.to_bytes())
    claim = Claim(url_sha256="", sha256=sha256, total=known.total, etag=None, modified=None)
    write_atomically(claim_of(part), msgspec.json.encode(claim))
    blob.replace(part)
    table.unlink(missing_ok=True)
    return True
