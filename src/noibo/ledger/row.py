"""One row of a ledger: a line of JSON that ends with the digest of all that stands before it.

`{"n": 7, "previous": "…", …, "mark": "…", "hash": "…"}`. The digest is of the line's own bytes
before `, "hash"`, so that nothing depends on how JSON is written; with `previous` in them it stands
for all rows before, too. Anybody can make a digest; the mark, of the bytes before `, "mark"`, only
who has the node's secret: a row that somebody else adds shows.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.ledger.node import Node

LONGEST: Final = 2**16  # bytes of a line; what is longer is no row
_SEAL: Final = re.compile(rb', "hash": "([0-9a-f]{64})"}')
_SEAL_LENGTH: Final = len(', "hash": ""}') + 64
_MARK: Final = re.compile(rb', "mark": "([0-9a-f]{32})"')
_MARK_LENGTH: Final = len(', "mark": ""') + 32
_LATEST: Final = 1e11  # seconds; dates end before
_KEYS: Final = frozenset({"n", "previous", "mark", "hash"})
_decoder: Final = msgspec.json.Decoder(dict[str, Any])

Value = str | int | float | bool | None
Fields = Mapping[str, Value]


class NotARow(ValueError):
    """A line is no sound row; the message says why. `number` and `hash`: what it says it is."""

    def __init__(self, why: str, number: int | None = None, digest: str = "") -> None:
        super().__init__(why)
        self.number = number
        self.hash = digest


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it stands. `fields` has what was written, without number and digests; `marked` is
    what its `mark` is of."""

    number: int
    previous: str
    hash: str
    fields: Mapping[str, Any]
    mark: str = ""
    marked: bytes = b""

    @property
    def kind(self) -> str:
        """What the row says: a departure, or something of the ledger's own."""
        return str(self.fields.get("kind", ""))

    @property
    def time(self) -> float | None:
        """When it was written, by its own word; None where it says nothing that is a time."""
        said = self.fields.get("time")
        if not isinstance(said, int | float) or not 0 <= said < _LATEST:
            return None
        return float(said)

    def is_by(self, node: Node) -> bool:
        """True if that node wrote it."""
        return hmac.compare_digest(self.mark, node.mark(self.marked))

    def whole(self, name: str) -> int:
        """A number of another row that it names; 0 where it names none."""
        said = self.fields.get(name)
        return said if type(said) is int and said > 0 else 0


def seal(number: int, previous: str, fields: Mapping[str, Value], node: Node) -> tuple[bytes, str]:
    """The line of a row with its end, and its digest. Raises `ValueError` for one too long."""
    if _KEYS & fields.keys():
        raise ValueError("n, previous, mark and hash are the ledger's own")
    row = {"n": number, "previous": previous, **fields}
    body = json.dumps(row, ensure_ascii=False, allow_nan=False).encode()[:-1]
    body += f', "mark": "{node.mark(body)}"'.encode()
    digest = hashlib.sha256(body).hexdigest()
    line = body + f', "hash": "{digest}"}}\n'.encode()
    if len(line) > LONGEST:
        raise ValueError("a row has 64 KiB at most")
    return line, digest


def read(line: bytes) -> Row:
    """The row of a line without its end. Raises `NotARow`."""
    sealed = _SEAL.fullmatch(line, max(0, len(line) - _SEAL_LENGTH))
    try:
        fields = _decoder.decode(line)
        number, previous = fields.pop("n"), fields.pop("previous")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        raise NotARow("it is no row of this ledger") from None
    if type(number) is not int or not isinstance(previous, str):
        raise NotARow("it is no row of this ledger")
    if sealed is None:
        raise NotARow("it has no digest at its end", number)
    digest = sealed[1].decode()
    body = line[:-_SEAL_LENGTH]
    if hashlib.sha256(body).hexdigest() != digest:
        raise NotARow("it was changed: its digest is of other bytes", number, digest)
    mark = _MARK.fullmatch(body, max(0, len(body) - _MARK_LENGTH))
    fields.pop("hash", None)
    fields.pop("mark", None)
    if mark is None:
        return Row(number, previous, digest, fields)
    return Row(number, previous, digest, fields, mark[1].decode(), body[:-_MARK_LENGTH])
