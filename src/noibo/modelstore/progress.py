"""How far a pull is: small values handed to whoever wants to show them, and the way to stop one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from noibo.errors import Cancelled

Stage = Literal["find", "licence", "wait", "download", "repair", "unpack", "check", "done"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step seen: bytes `done` of `total` (None: not known), and perhaps a `note` to read.

    `file` names what is fetched where there are several, `number` of `count`, `sha256` is its
    digest where one was promised; `rate` is in bytes a second, measured over the last seconds,
    where that is known.
    """

    stage: Stage
    done: int = 0
    total: int | None = None
    note: str = ""
    file: str = ""
    number: int = 1
    count: int = 1
    rate: float | None = None
    sha256: str = ""

    @property
    def seconds_left(self) -> float | None:
        """At this speed, until the total is there."""
        if self.total is None or not self.rate:
            return None
        return (self.total - self.done) / self.rate


Report = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """For callers that do not look."""


class Cancel:
    """Asks the work that holds it to stop: what is here is kept, and `Cancelled` is raised."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """Stop soon; from any thread."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if it was asked for."""
        if self._asked.is_set():
            raise Cancelled(
                "It was cancelled; what is here is kept.",
                next_step="The same command goes on where it stopped.",
            )

    def wait(self, seconds: float) -> None:
        """A pause that a cancel ends at once."""
        self._asked.wait(seconds)
        self.check()


def size_text(count: float) -> str:
    """Bytes for people: `98.4 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
