"""What left, as the ledger has it: departures with what they came to, and sums of them.

A departure that was written down and not settled counts as having left, all of it: the process may
have died at any moment after its row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from noibo.egress import DEPARTURE, SETTLED, UNREACHED, Digest
from noibo.ledger.node import Node
from noibo.ledger.places import Places, read_plain
from noibo.ledger.row import LONGEST, Row
from noibo.ledger.walk import rows

FILE_NAME: Final = "egress.jsonl"
Grouping = Literal["day", "destination", "purpose", "user", "label"]


@dataclass(frozen=True, slots=True)
class Departed:
    """One departure. `bytes`: of its content, None for a request without one of the user's (a
    model that is fetched); `sent` and `received`: None while it is open. `user` is a pseudonym."""

    number: int
    time: float
    purpose: str
    destination: str
    method: str
    bytes: int | None = None
    label: str = ""
    request: str = ""
    policy: str = ""
    user: str = ""
    salt: str = ""
    digest: str = ""
    sent: int | None = None
    received: int | None = None
    outcome: str = ""

    @property
    def is_open(self) -> bool:
        """True if it is not known what became of its content."""
        return self.bytes is not None and self.sent is None

    @property
    def stayed(self) -> bool:
        """True if nobody was reached: nothing of its content went."""
        return self.outcome == UNREACHED or (self.sent == 0 and bool(self.bytes))

    def carried(self, content: Digest, node: Node) -> bool:
        """True if that is the content that left."""
        return bool(self.digest) and node.digest(self.salt, content.sha256) == self.digest


@dataclass(slots=True)
class Sum:
    """Departures of one day, destination, purpose, user or label together. `bytes`: of contents as
    they were about to leave; `sent`: as was settled, and all of what is still open."""

    key: str
    departures: int = 0
    with_content: int = 0
    bytes: int = 0
    sent: int = 0
    received: int = 0
    open: int = 0
    first: float = float("inf")
    last: float = 0.0

    def add(self, one: Departed) -> None:
        """Count one more."""
        self.departures += 1
        self.first, self.last = min(self.first, one.time), max(self.last, one.time)
        if one.bytes is None:
            return
        self.with_content += 1
        self.bytes += one.bytes
        self.sent += one.bytes if one.sent is None else one.sent
        self.received += one.received or 0
        self.open += one.is_open


@dataclass(frozen=True, slots=True)
class Span:
    """The days of a report, both included; None: from the beginning, to now. By this machine's
    clock."""

    since: date | None = None
    until: date | None = None

    def has(self, time: float) -> bool:
        """True if a time is in it."""
        day = datetime.fromtimestamp(time).date()
        return (self.since is None or day >= self.since) and (
            self.until is None or day <= self.until
        )


def departures(record: Path, span: Span = Span()) -> Iterator[Departed]:
    """All departures, those that are still open last. Memory is for the open ones alone. Raises
    `LedgerError`."""
    for one in _unchained(Places(record).unchained):
        if span.has(one.time):
            yield one
    waiting: dict[int, Departed] = {}
    for row in rows(record):
        if row.kind == DEPARTURE:
            one = _departed(row)
            if not span.has(one.time):
                continue
            if one.bytes is None:
                yield one
            else:
                waiting[one.number] = one
        elif row.kind == SETTLED:
            begun = waiting.pop(_whole(row.fields.get("of")) or 0, None)
            if begun is not None:
                yield _settled(begun, row)
    yield from waiting.values()


def summed(found: Iterator[Departed], by: Grouping, named: Callable[[str], str] = str) -> list[Sum]:
    """Sums, by the first of each group's departures. `named`: whose a pseudonym is."""
    sums: dict[str, Sum] = {}
    for one in found:
        key = _key(one, by)
        key = named(key) if by == "user" and key else key
        sums.setdefault(key, Sum(key)).add(one)
    return sorted(sums.values(), key=lambda each: each.first)


def digest_of(path: Path) -> Digest:
    """What a file's content is to the ledger, without holding it. Raises `OSError`."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
            size += len(piece)
    return Digest(digest.digest(), size)


def _key(one: Departed, by: Grouping) -> str:
    if by == "day":
        return datetime.fromtimestamp(one.time).date().isoformat()
    return str(getattr(one, by))


def _departed(row: Row) -> Departed:
    said = row.fields
    return replace(
        _plain(row.number, said),
        bytes=_whole(said.get("bytes")),
        label=_word(said, "label"),
        request=_word(said, "request"),
        policy=_word(said, "policy"),
        user=_word(said, "user"),
        salt=_word(said, "salt"),
        digest=_word(said, "digest"),
    )


def _settled(begun: Departed, row: Row) -> Departed:
    said = row.fields
    return replace(
        begun,
        sent=_whole(said.get("sent")),
        received=_whole(said.get("received")),
        outcome=_word(said, "outcome"),
    )


def _unchained(path: Path) -> Iterator[Departed]:
    """Those of versions without a chain; lines that cannot be read are none."""
    if not path.is_file():
        return
    with read_plain(path) as file:
        while line := file.readline(LONGEST):
            try:
                said = msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            yield _plain(0, said)


def _plain(number: int, said: Any) -> Departed:
    time = said.get("time")
    seconds = float(time) if isinstance(time, int | float) and 0 <= time < 1e11 else 0.0
    purpose, destination, method = (_word(said, k) for k in ("purpose", "destination", "method"))
    return Departed(number, seconds, purpose, destination, method)


def _word(said: Any, name: str) -> str:
    found = said.get(name)
    return found if isinstance(found, str) else ""


def _whole(found: object) -> int | None:
    return found if type(found) is int and found >= 0 else None
