"""Reads a ledger from its beginning, in bounded memory: rows, and what stands between them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final

from noibo.errors import LedgerError
from noibo.ledger.places import Places, read_plain
from noibo.ledger.row import LONGEST, NotARow, Row, read

_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a part of the ledger, and a line of it."""

    part: str
    line: int

    def __str__(self) -> str:
        return f"{self.part}, line {self.line}"


class Foreign:
    """Bytes between two rows that are no row. `numbers`: those that all its lines say they have,
    one after the other, where they were rows once; `hash`: what the last of them says."""

    def __init__(self, place: Place, why: NotARow) -> None:
        self.place = place
        self.why = why
        self.hash = ""
        self.numbers: tuple[int, int] | None = None
        self._size = 0
        self._digest = hashlib.sha256()
        self._last = b""

    def add(self, data: bytes, why: NotARow) -> None:
        """More of it."""
        if why.number is None:
            self.numbers = None
        elif self._size == 0:
            self.numbers = (why.number, why.number)
        elif self.numbers is not None and why.number == self.numbers[1] + 1:
            self.numbers = (self.numbers[0], why.number)
        else:
            self.numbers = None
        self.hash = why.hash
        self._digest.update(self._last)
        self._size += len(data)
        self._digest.update(data[:-1])
        self._last = data[-1:]

    def is_what(self, closing: Row) -> bool:
        """True if a row closes exactly this off, with the end of its last line or without: who
        closed it off may have ended the line."""
        whole = self._digest.copy()
        whole.update(self._last)
        known = {(self._size, whole.hexdigest())}
        if self._last == b"\n":
            known.add((self._size - 1, self._digest.hexdigest()))
        return (closing.fields.get("bytes"), closing.fields.get("sha256")) in known

    @property
    def ends_a_line(self) -> bool:
        """False for what the file ends with, in the middle of a line."""
        return self._last == b"\n"


def opened(places: Places) -> tuple[contextlib.ExitStack, list[tuple[str, BufferedReader]]]:
    """All parts as they are now, open, whatever happens to their names. Raises `LedgerError`."""
    for _ in range(_TRIES):
        stack = contextlib.ExitStack()
        try:
            parts = places.parts()
            files = [(path.name, stack.enter_context(read_plain(path))) for path in parts]
            if parts == places.parts():
                return stack, files
        except FileNotFoundError:
            pass  # a part got its other name at this moment
        except OSError as exc:
            stack.close()
            raise LedgerError(
                f"{places.current} cannot be read: {exc}.",
                next_step="Mend its permissions: only its own user reads a ledger.",
            ) from exc
        stack.close()
    raise LedgerError(f"{places.current} changes while it is read.", next_step="Try again.")


def walk(files: Sequence[tuple[str, BinaryIO]]) -> Iterator[tuple[Place, Row | Foreign]]:
    """The rows of open parts in order, and what stands between them. What is added meanwhile may
    be there or not."""
    for name, file in files:
        foreign: Foreign | None = None
        line = 0
        within = False  # a line longer than any row
        while data := file.readline(LONGEST + 1):
            line += not within
            place = Place(name, line)
            found = _row(data, within)
            within = not data.endswith(b"\n")
            if isinstance(found, Row):
                if foreign is not None:
                    yield foreign.place, foreign
                    foreign = None
                yield place, found
            else:
                foreign = foreign or Foreign(place, found)
                foreign.add(data, found)
        if foreign is not None:
            yield foreign.place, foreign


def rows(current: Path) -> Iterator[Row]:
    """All sound rows of a ledger, in order, whether their chain holds or not. Raises
    `LedgerError`."""
    stack, files = opened(Places(current))
    with stack:
        for _, found in walk(files):
            if isinstance(found, Row):
                yield found


def _row(data: bytes, within: bool) -> Row | NotARow:
    if within or not data.endswith(b"\n"):
        return NotARow("it is not whole")
    try:
        return read(data[:-1])
    except NotARow as exc:
        return exc
