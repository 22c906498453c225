"""A signed head: one line that says how far a ledger went, and with which last row.

Kept elsewhere (another machine, a printout, a colleague's mail), it proves later that all rows up
to it still stand. Its signature can be checked with any Ed25519 tool: it is of the line before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from noibo.errors import UsageError
from noibo.ledger.node import Node, proves
from noibo.ledger.places import read_plain

_SHAPE: Final = re.compile(
    r"noibo-head 1 (?P<ledger>[a-z]{1,32}) (?P<number>\d{1,15}) (?P<hash>[0-9a-f]{64})"
    r" (?P<time>[0-9T:.Z+-]{1,40}) (?P<key>[\w-]{43}) (?P<signature>[\w-]{86})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of a ledger at some time, and whose word that is: `key`, a node's public key."""

    ledger: str
    number: int
    hash: str
    time: str
    key: str
    signature: str

    @classmethod
    def sign(cls, ledger: str, number: int, digest: str, now: float, node: Node) -> Head:
        """Sign where a ledger stands."""
        time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        said = _said(ledger, number, digest, time, node.public)
        return cls(ledger, number, digest, time, node.public, node.sign(said))

    @classmethod
    def read(cls, text: str) -> Head:
        """The head that stands in a text, and is signed by who it says. Raises `UsageError`."""
        found = _SHAPE.search(text)
        if found is None:
            raise UsageError(
                "That is no head of a ledger.",
                next_step="It is the one line that `noibo privacy head` printed: noibo-head 1 …",
            )
        parts = found.groupdict()
        number = int(parts.pop("number"))
        head = cls(number=number, **parts)
        if not head.is_signed():
            raise UsageError(
                f"The head of row {head.number} does not bear the signature of the key it names: "
                "it was changed, or is not whole.",
                next_step="Copy it again from where it was kept.",
            )
        return head

    def is_signed(self) -> bool:
        """True if the signature is of that key."""
        said = _said(self.ledger, self.number, self.hash, self.time, self.key)
        return proves(self.key, said, self.signature)

    def __str__(self) -> str:
        return f"{_said(self.ledger, self.number, self.hash, self.time, self.key)} {self.signature}"


def read_head(path: Path) -> Head | None:
    """The head that lies in a file; None where there is none, or none that can be believed. Raises
    `OSError`, and `LedgerError` for a link."""
    try:
        with read_plain(path) as file:
            return Head.read(file.read(1024).decode("ascii", "replace"))
    except (FileNotFoundError, UsageError):
        return None


def _said(ledger: str, number: int, digest: str, time: str, key: str) -> str:
    return f"noibo-head 1 {ledger} {number} {digest} {time} {key}"
