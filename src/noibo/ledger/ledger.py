"""A ledger: rows are added at its end, one after the other, by as many processes as like.

A row is on the disk (`fdatasync`) before `add` returns, and the head is signed. Who adds at the
same moment is written together, with one wait for the disk: some 4 ms on a plain one, however many
they are. Between processes a lock file says whose turn it is.

What went wrong before is never passed over in silence: a line whose writer died is closed off by a
row that counts its bytes; rows that were signed and are gone are named by a row; so are a key that
was replaced, and the rows of earlier versions, which had no chain.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from noibo.errors import LedgerError
from noibo.ledger.head import Head, read_head
from noibo.ledger.node import Node, node_of
from noibo.ledger.places import NOTHING, Places, open_plain, read_plain
from noibo.ledger.row import NotARow, Row, Value, read, seal
from noibo.ledger.tail import Tail, find_digest, find_tail, is_unchained, parts_before
from noibo.ledger.walk import rows

LARGEST_PART: Final = 64 * 2**20
PATIENCE_S: Final = 10.0
_TURN_S: Final = 0.005  # how often another process' lock is tried
_sync: Final = getattr(os, "fdatasync", os.fsync)

Fields = Mapping[str, Value]


class Ledger:
    """One ledger of this node. `current` is the file that grows; used by several threads at once,
    and never on the event loop."""

    def __init__(self, current: Path, largest_part: int = LARGEST_PART) -> None:
        self.places = Places(current)
        self._largest_part = largest_part
        self._turn = threading.Lock()  # one writes
        self._queued = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._lock = FileLock(self.places.lock, timeout=PATIENCE_S, mode=0o600)
        self._seen: tuple[int, int, int] | None = None  # the file as we left it
        self._tail = Tail()
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """This node's secrets. Raises `LedgerError`."""
        if self._node is None:
            self._node = node_of(self.places.folder)
        return self._node

    def add(self, fields: Fields) -> int:
        """Write a row down; its number. Raises `LedgerError`: then it does not count as written."""
        _require_writable(fields)
        mine = _Waiting(fields)
        with self._queued:
            self._waiting.append(mine)
        with self._turn:
            if not mine.done:
                with self._queued:
                    everybody, self._waiting = self._waiting, []
                self._write_for(everybody)
        if mine.error is not None:
            raise mine.error
        if not mine.done:  # who wrote for everybody was interrupted
            raise LedgerError("A row was not written: writing was interrupted.")
        return mine.number

    def older_than(self, before: float) -> int:
        """How many rows are from before a time. Raises `LedgerError`."""
        return sum(1 for row in rows(self.places.current) if _time(row) < before)

    def prune(self, before: float) -> int:
        """Take away the older parts whose rows are all from before a time; how many rows that
        were. A row says so first. The part that grows stays, but begins anew when all that is in
        it is old enough. Raises `LedgerError`."""
        with self._turn, self._alone():
            if parts_before(self.places.parts()[-1:], before)[0]:
                self._put_by()
            parts = self.places.older()
            first = next((row.number for row in rows(self.places.current)), 1)
            gone, last = parts_before(parts, before)
            if last is None:
                return 0
            said: dict[str, Value] = {"kind": "pruned", "time": round(time.time(), 3)}
            self._write([said | {"last": last.number, "digest": last.hash}])
            for path in gone:
                path.unlink()
            return last.number - first + 1

    def _write_for(self, everybody: Sequence[_Waiting]) -> None:
        try:
            with self._alone():
                numbers = self._write([one.fields for one in everybody])
        except LedgerError as error:
            for one in everybody:
                one.end(error)
            return
        for one, number in zip(everybody, numbers, strict=True):
            one.end(None, number)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process writes. What the system refuses is a `LedgerError`."""
        try:
            self.places.folder.mkdir(parents=True, exist_ok=True)
            with self._lock.acquire(poll_interval=_TURN_S):
                yield
        except Timeout:
            raise LedgerError(
                f"Another process has held {self.places.lock} for {PATIENCE_S:g} seconds.",
                next_step="Find out which; it lets go when it ends.",
            ) from None
        except (OSError, ValueError) as exc:
            raise LedgerError(
                f"{self.places.current} cannot be written: {exc}.",
                next_step="Make room on its disk, or mend its permissions.",
            ) from exc

    def _write(self, wanted: Sequence[Fields]) -> list[int]:
        """Add rows, with those of the ledger's own that must come before them; their numbers."""
        node = self.node
        self._begin(node)
        handle = open_plain(self.places.current, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            signed = read_head(self.places.head)
            tail, own = self._caught_up(handle, signed, node)
            size = os.fstat(handle).st_size
            lines, numbers, last = _chained(tail, [*own, *wanted])
            torn = b"\n" if tail.torn and not tail.torn.endswith(b"\n") else b""
            if lines:
                _append(handle, torn + lines, size)
            if lines or signed is None or signed.number < last.number:
                self._sign(last, node)
            self._tail, self._seen = last, _state(handle)
        finally:
            os.close(handle)
        if self._seen[2] > self._largest_part:
            self._put_by()
        return numbers[len(own) :]

    def _begin(self, node: Node) -> None:
        """Before the first row: its head, so that a ledger is never without one."""
        places = self.places
        if os.path.lexists(places.head):
            return
        there = places.current.is_file() and not places.current.is_symlink()
        if there and is_unchained(places.current) and not places.unchained.exists():
            places.current.rename(places.unchained)
        if not places.parts():
            self._sign(Tail(), node)

    def _caught_up(
        self, handle: int, signed: Head | None, node: Node
    ) -> tuple[Tail, list[dict[str, Value]]]:
        """The end to go on from, and what the ledger has to say of it first."""
        if self._seen is not None and self._seen == _state(handle):
            tail = self._tail
        else:
            tail = self._found_tail(handle)
        own: list[dict[str, Value]] = []
        if signed is None:
            if tail.number:
                own.append({"kind": "head_lost"})
        elif signed.number > tail.number:
            gone: dict[str, Value] = {"kind": "missing", "first": tail.number + 1}
            own.append(gone | {"last": signed.number, "digest": signed.hash})
            tail = Tail(signed.number, signed.hash, tail.torn)
        elif signed.number and not self._stands(handle, tail, signed):
            own.append({"kind": "rewritten", "row": signed.number, "digest": signed.hash})
        if tail.torn:
            own.append(dict(tail.closing))
        if tail.number == 0 and self.places.unchained.is_file():
            own.append(_taken_over(self.places.unchained))
        if signed is not None and signed.key != node.public:
            own.append({"kind": "new_key", "before": signed.key, "now": node.public})
        for row in own:
            row["time"] = round(time.time(), 3)
        return tail, own

    def _stands(self, handle: int, tail: Tail, signed: Head) -> bool:
        """True if the row that was signed last is there as it was."""
        if signed.number == tail.number:
            return signed.hash == tail.hash
        digest = find_digest(handle, os.fstat(handle).st_size, signed.number)
        if digest is None and (older := self.places.older()):
            with read_plain(older[-1]) as file:
                whole = os.fstat(file.fileno()).st_size
                digest = find_digest(file.fileno(), whole, signed.number)
        return digest == signed.hash

    def _found_tail(self, handle: int) -> Tail:
        """As the file has it; of one that is new, as the part before it has it."""
        size = os.fstat(handle).st_size
        tail = find_tail(handle, size, self.places.current.name)
        older = self.places.older()
        if tail.number or not older:
            return tail
        with read_plain(older[-1]) as file:
            whole = os.fstat(file.fileno()).st_size
            before = find_tail(file.fileno(), whole, older[-1].name)
        return Tail(before.number, before.hash, tail.torn)

    def _sign(self, tail: Tail, node: Node) -> None:
        head = Head.sign(self.places.name, tail.number, tail.hash, time.time(), node)
        fresh = self.places.head.with_name(f"{self.places.head.name}.new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{head}\n")
        fresh.replace(self.places.head)

    def _put_by(self) -> None:
        """The part that has grown enough gets its own name; the next row begins another. Where that
        fails, it goes on growing."""
        with contextlib.suppress(OSError, NotARow, LedgerError):
            with read_plain(self.places.current) as file:
                first = read(file.readline(2**16).rstrip(b"\n")).number
            there = self.places.older_part(first)
            if not there.exists():
                self.places.current.rename(there)
        self._seen = None


class _Waiting:
    """A row on its way."""

    __slots__ = ("done", "error", "fields", "number")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.done = False
        self.error: LedgerError | None = None
        self.number = 0

    def end(self, error: LedgerError | None, number: int = 0) -> None:
        self.error, self.number, self.done = error, number, True


def _chained(tail: Tail, rows: Sequence[Fields]) -> tuple[bytes, list[int], Tail]:
    """The lines of rows that follow a tail, their numbers, and the tail after them."""
    lines, numbers = bytearray(), []
    number, digest = tail.number, tail.hash
    for fields in rows:
        number += 1
        line, digest = seal(number, digest, fields)
        lines += line
        numbers.append(number)
    return bytes(lines), numbers, Tail(number, digest, b"" if rows else tail.torn)


def _time(row: Row) -> float:
    """When a row was written; of one that does not say, now."""
    return time.time() if row.time is None else row.time


def _require_writable(fields: Fields) -> None:
    """A row that cannot be written must not keep others from it. Raises `LedgerError`."""
    try:
        seal(0, NOTHING, fields)
    except (ValueError, TypeError) as exc:
        raise LedgerError(f"A row cannot be written: {exc}.") from exc


def _append(handle: int, data: bytes, size: int) -> None:
    """Write all of it, and wait for the disk; or leave the file as it was. Raises `OSError`."""
    try:
        written = 0
        while written < len(data):
            written += os.write(handle, data[written:])
        _sync(handle)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


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
