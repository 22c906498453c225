"""Writes rows at the end of a ledger, for whoever has the turn.

What went wrong before is never passed over in silence: a line whose writer died is closed off by a
row that counts its bytes; rows that were signed, or that this process wrote, and that are gone are
named by a row; so are a key that was replaced, and the rows of earlier versions, which had no
chain.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from noibo.errors import LedgerError
from noibo.ledger.head import Head, read_head
from noibo.ledger.node import Node, find_node, node_of, note_begun
from noibo.ledger.places import Places, open_plain, read_plain
from noibo.ledger.row import Fields, NotARow, Value, read, seal
from noibo.ledger.tail import Tail, find_digest, find_tail, is_unchained

LARGEST_PART: Final = 64 * 2**20
_sync: Final = getattr(os, "fdatasync", os.fsync)


class Writer:
    """Writes to one ledger, one call at a time. It knows how it left the ledger itself: what is
    gone of that since then shows, even where an older head was put back with older rows."""

    def __init__(self, places: Places, largest_part: int) -> None:
        self._places = places
        self._largest_part = largest_part
        self._seen: tuple[int, int, int] | None = None  # the file as we left it
        self._tail = Tail()
        self._node: Node | None = None
        self._anew = False  # there was a ledger of this name, and nothing is left of it

    @property
    def node(self) -> Node:
        """This node's secrets. Raises `LedgerError`."""
        if self._node is None:
            self._node = node_of(self._places.folder)
        return self._node

    def write(self, wanted: Sequence[Fields]) -> list[int]:
        """Add rows, with those of the ledger's own that must come before them; their numbers."""
        node = self.node
        self._begin(node)
        handle = open_plain(self._places.current, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            signed = read_head(self._places.head)
            tail, own = self._caught_up(handle, signed, node)
            size = os.fstat(handle).st_size
            lines, numbers, last = _chained(tail, [*own, *wanted], node)
            torn = b"\n" if tail.torn and not tail.torn.endswith(b"\n") else b""
            with _whole_or_not(handle, size):
                if lines:
                    _append(handle, torn + lines)
                if lines or signed is None or signed.number < last.number:
                    self._sign(last, node)
            self._tail, self._seen, self._anew = last, _state(handle), False
        finally:
            os.close(handle)
        if self._seen[2] > self._largest_part:
            self.put_by()
        return numbers[len(own) :]

    def _begin(self, node: Node) -> None:
        """Before the first row: its head, so that a ledger is never without one."""
        places = self._places
        if os.path.lexists(places.head):
            return
        there = places.current.is_file() and not places.current.is_symlink()
        if there and is_unchained(places.current) and not places.unchained.exists():
            places.current.rename(places.unchained)
        if places.parts():
            return
        now = find_node(places.folder) or node
        self._anew = places.name in now.begun
        self._sign(Tail(), node)  # first: a crash in between is no ledger that was taken away
        note_begun(places.folder, places.name)

    def _caught_up(
        self, handle: int, signed: Head | None, node: Node
    ) -> tuple[Tail, list[dict[str, Value]]]:
        """The end to go on from, and what the ledger has to say of it first."""
        if self._seen is not None and self._seen == _state(handle):
            tail = self._tail
        else:
            tail = self._found_tail(handle)
        own: list[dict[str, Value]] = []
        if signed is None and tail.number:
            own.append({"kind": "head_lost"})
        if self._anew and tail.number == 0:
            own.append({"kind": "begun_again"})
        known = self._known(signed)
        last = max(known, key=lambda one: one.number)
        if last.number > tail.number:
            gone: dict[str, Value] = {"kind": "missing", "first": tail.number + 1}
            own.append(gone | {"last": last.number, "digest": last.hash})
            tail = Tail(last.number, last.hash, tail.torn)
        elif changed := [one for one in known if not self._stands(handle, tail, one)]:
            said: dict[str, Value] = {"kind": "rewritten", "row": changed[0].number}
            own.append(said | {"digest": changed[0].hash})
        if tail.torn:
            own.append(dict(tail.closing))
        if tail.number == 0 and self._places.unchained.is_file():
            own.append(_taken_over(self._places.unchained))
        if signed is not None and signed.key != node.public:
            own.append({"kind": "new_key", "before": signed.key, "now": node.public})
        for row in own:
            row["time"] = round(time.time(), 3)
        return tail, own

    def _known(self, signed: Head | None) -> tuple[Tail, ...]:
        """The rows that must be there: the one that was signed last, and the last of our own."""
        return (self._tail, *([Tail(signed.number, signed.hash)] if signed else []))

    def _stands(self, handle: int, tail: Tail, known: Tail) -> bool:
        """True if a row is there as it was. Our own may be too far back to be looked at: what came
        after it was signed by others then."""
        if known.number in {0, tail.number}:
            return known.number == 0 or known.hash == tail.hash
        digest = find_digest(handle, os.fstat(handle).st_size, known.number)
        if digest is None and (older := self._places.older()):
            with read_plain(older[-1]) as file:
                whole = os.fstat(file.fileno()).st_size
                digest = find_digest(file.fileno(), whole, known.number)
        return digest == known.hash or (digest is None and known is self._tail)

    def _found_tail(self, handle: int) -> Tail:
        """As the file has it; of one that is new, as the part before it has it."""
        size = os.fstat(handle).st_size
        tail = find_tail(handle, size, self._places.current.name)
        older = self._places.older()
        if tail.number or not older:
            return tail
        with read_plain(older[-1]) as file:
            whole = os.fstat(file.fileno()).st_size
            before = find_tail(file.fileno(), whole, older[-1].name)
        return Tail(before.number, before.hash, tail.torn)

    def _sign(self, tail: Tail, node: Node) -> None:
        head = Head.sign(self._places.name, tail.number, tail.hash, time.time(), node)
        fresh = self._places.head.with_name(f"{self._places.head.name}.new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{head}\n")
            file.flush()
            _sync(handle)  # an empty head after a power cut would look like somebody's work
        fresh.replace(self._places.head)

    def put_by(self) -> None:
        """The part that has grown enough gets its own name; the next row begins another. Where that
        fails, it goes on growing."""
        with contextlib.suppress(OSError, NotARow, LedgerError):
            with read_plain(self._places.current) as file:
                first = read(file.readline(2**16).rstrip(b"\n")).number
            there = self._places.older_part(first)
            if not there.exists():
                self._places.current.rename(there)
        self._seen = None


def _chained(tail: Tail, rows: Sequence[Fields], node: Node) -> tuple[bytes, list[int], Tail]:
    """The lines of rows that follow a tail, their numbers, and the tail after them."""
    lines, numbers = bytearray(), []
    number, digest = tail.number, tail.hash
    for fields in rows:
        number += 1
        line, digest = seal(number, digest, fields, node)
        lines += line
        numbers.append(number)
    return bytes(lines), numbers, Tail(number, digest, b"" if rows else tail.torn)


@contextlib.contextmanager
def _whole_or_not(handle: int, size: int) -> Iterator[None]:
    """Rows and their head are written, or the file is as it was: what was refused for want of a row
    has none. Raises `OSError`."""
    try:
        yield
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


def _append(handle: int, data: bytes) -> None:
    """Write all of it, and wait for the disk. Raises `OSError`."""
    written = 0
    while written < len(data):
        written += os.write(handle, data[written:])
    _sync(handle)


def _state(handle: int) -> tuple[int, int, int]:
    found = os.fstat(handle)
    return found.st_dev, found.st_ino, found.st_size


def _taken_over(path: Path) -> dict[str, Value]:
    """What is said of the rows that had no chain."""
    digest, size, rows = hashlib.sha256(), 0, 0
    with read_plain(path) as file:
        while piece := file.read(2**20):
            digest.update(piece)
            size += len(piece)
            rows += piece.count(b"\n")
    return {
        "kind": "taken_over",
        "file": path.name,
        "rows": rows,
        "bytes": size,
        "sha256": digest.hexdigest(),
    }
