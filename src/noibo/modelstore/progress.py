"""How far a pull is: small values handed to whoever wants to show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["find", "wait", "download", "unpack", "check", "done"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step seen: bytes `done` of `total` (None: not known), and perhaps a `note` to read."""

    stage: Stage
    done: int = 0
    total: int | None = None
    note: str = ""


Report = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """For callers that do not look."""


def size_text(count: float) -> str:
    """Bytes for people: `98.4 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
