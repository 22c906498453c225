"""A ledger: rows are added at its end, one after the other, by as many processes as like.

A row is on the disk (`fdatasync`) before `add` returns, and the head is signed. Who adds at the
same moment is written together, with one wait for the disk: some 4 ms on a plain one, however many
they are. Between processes a lock file says whose turn it is. What is written is `writer`'s.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from noibo.errors import LedgerError
from noibo.ledger.node import Node
from noibo.ledger.places import NOTHING, Places
from noibo.ledger.row import Fields, Row, Value, seal
from noibo.ledger.tail import parts_before
from noibo.ledger.walk import rows
from noibo.ledger.writer import LARGEST_PART, Writer

PATIENCE_S: Final = 10.0
_TURN_S: Final = 0.005  # how often another process' lock is tried


class Ledger:
    """One ledger of this node. `current` is the file that grows; used by several threads at once,
    and never on the event loop."""

    def __init__(self, current: Path, largest_part: int = LARGEST_PART) -> None:
        self.places = Places(current)
        self._writer = Writer(self.places, largest_part)
        self._turn = threading.Lock()  # one writes
        self._queued = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._lock = FileLock(self.places.lock, timeout=PATIENCE_S, mode=0o600)

    @property
    def node(self) -> Node:
        """This node's secrets. Raises `LedgerError`."""
        return self._writer.node

    def add(self, fields: Fields) -> int:
        """Write a row down; its number. Raises `LedgerError`: then it does not count as written."""
        _require_writable(fields, self.node)
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
                self._writer.put_by()
            parts = self.places.older()
            first = next((row.number for row in rows(self.places.current)), 1)
            gone, last = parts_before(parts, before)
            if last is None:
                return 0
            said: dict[str, Value] = {"kind": "pruned", "time": round(time.time(), 3)}
            self._writer.write([said | {"last": last.number, "digest": last.hash}])
            for path in gone:
                path.unlink()
            return last.number - first + 1

    def _write_for(self, everybody: Sequence[_Waiting]) -> None:
        try:
            with self._alone():
                numbers = self._writer.write([one.fields for one in everybody])
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


def _time(row: Row) -> float:
    """When a row was written; of one that does not say, now."""
    return time.time() if row.time is None else row.time


def _require_writable(fields: Fields, node: Node) -> None:
    """A row that cannot be written must not keep others from it. Raises `LedgerError`."""
    try:
        seal(0, NOTHING, fields, node)
    except (ValueError, TypeError) as exc:
        raise LedgerError(f"A row cannot be written: {exc}.") from exc
