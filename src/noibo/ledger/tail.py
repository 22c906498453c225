"""The end of a ledger as a writer finds it: the last sound row, and what came after it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from noibo.errors import LedgerError
from noibo.ledger.places import NOTHING, read_plain
from noibo.ledger.row import LONGEST, NotARow, Row, read

_FURTHEST: Final = 16 * LONGEST  # how far back a sound row is looked for


@dataclass(frozen=True, slots=True)
class Tail:
    """Number and digest of the last sound row; `torn` is what stands after it: the beginning of a
    line whose writer died, or what does not belong here."""

    number: int = 0
    hash: str = NOTHING
    torn: bytes = b""

    @property
    def closing(self) -> dict[str, str | int]:
        """What a row says of the torn end."""
        return {
            "kind": "closed_off",
            "bytes": len(self.torn),
            "sha256": hashlib.sha256(self.torn).hexdigest(),
        }


def find_tail(handle: int, size: int, name: str) -> Tail:
    """The tail of an open part. Raises `LedgerError` where nothing sound is near its end."""
    data = _last(handle, size)
    for row, end in _backwards(data):
        return Tail(row.number, row.hash, data[end:])
    if len(data) == size:  # a part that never had a whole row
        return Tail(torn=data)
    raise LedgerError(
        f"No sound row is near the end of {name}: nothing can be added to it.",
        next_step=f"`noibo privacy verify` says what is wrong. Move {name} away: the next row"
        " begins another, and says that there was one.",
    )


def find_digest(handle: int, size: int, number: int) -> str | None:
    """The digest of a row near the end of an open part."""
    for row, _ in _backwards(_last(handle, size)):
        if row.number <= number:
            return row.hash if row.number == number else None
    return None


def is_unchained(path: Path) -> bool:
    """True if a part begins with a row of a version that did not chain them."""
    with read_plain(path) as file:
        first = file.readline(LONGEST)
    try:
        return bool(first) and read(first.rstrip(b"\n")) is None
    except NotARow as exc:
        return exc.number is None


def parts_before(parts: Sequence[Path], before: float) -> tuple[list[Path], Row | None]:
    """The parts, from the first one on, whose last rows are from before a time; and the last of
    these rows."""
    gone, last = [], None
    for path in parts:
        with read_plain(path) as file:
            data = _last(file.fileno(), os.fstat(file.fileno()).st_size)
        row = next((row for row, _ in _backwards(data)), None)
        if row is None or row.time is None or row.time >= before:
            break
        gone.append(path)
        last = row
    return gone, last


def _backwards(data: bytes) -> Iterator[tuple[Row, int]]:
    """The sound rows of data from the last on, each with where it ends."""
    end = data.rfind(b"\n")
    while end >= 0:
        begin = data.rfind(b"\n", 0, end)
        with contextlib.suppress(NotARow):
            yield read(data[begin + 1 : end]), end + 1
        end = begin


def _last(handle: int, size: int) -> bytes:
    """What is near the end."""
    os.lseek(handle, max(0, size - _FURTHEST), os.SEEK_SET)
    return os.read(handle, min(size, _FURTHEST))
