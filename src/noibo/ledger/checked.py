"""What a check of a ledger found, in words that name rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from noibo.ledger.places import NOTHING
from noibo.ledger.row import Row

MOST_FAULTS: Final = 50  # that are told; more are counted


@dataclass(slots=True)
class Checked:
    """What a check found. `rows`: how many there are; `last`: the number of the last."""

    ledger: str
    rows: int = 0
    last: int = 0
    first: int = 1
    hash: str = NOTHING
    key: str = ""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    untold: int = 0
    contains: list[int] = field(default_factory=list)  # of the heads asked about: those that hold

    @property
    def sound(self) -> bool:
        """True if nothing is wrong."""
        return not self.faults

    def fault(self, words: str) -> None:
        """Something is wrong."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(words)
        else:
            self.untold += 1


def said(first: int, last: int) -> str:
    """Rows as people say them: `row 3`, `rows 3 to 5`."""
    return f"row {first}" if first == last else f"rows {first} to {last}"


def are(first: int, last: int) -> str:
    """The rows of which something is said: `row 3 is`, `rows 3 to 5 are`."""
    return f"{said(first, last)} {'is' if first == last else 'are'}"


def named_are(row: Row) -> str:
    """The same of rows that a row names."""
    first, last = row.fields.get("first"), row.fields.get("last")
    return f"row {first} is" if first == last else f"rows {first} to {last} are"


def moment(row: Row) -> str:
    """When a row was written, by its own word."""
    if row.time is None:
        return "an unknown day"
    return datetime.fromtimestamp(row.time, UTC).isoformat(timespec="seconds")
