"""What a download bears: faults that pass, for as long as now and then a new byte comes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

LONGEST_PAUSE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How many faults in a row, without a new byte, are borne; pauses double from the first.

    `longest_pause_s` also caps what a server asks for in Retry-After. Idle connections share the
    work of one that would need more than `help_s`, and take over that of one silent for `silent_s`;
    one silent for `dead_s` is hung up.
    """

    retries: int = 5
    first_pause_s: float = 0.25
    longest_pause_s: float = LONGEST_PAUSE_S
    help_s: float = 1.0
    silent_s: float = 2.0
    dead_s: float = 60.0

    def pause(self, fault: int) -> float:
        """Seconds to wait after so many faults in a row."""
        return min(self.longest_pause_s, self.first_pause_s * 2.0 ** (fault - 1))


class PassingFault(Exception):
    """The attempt ended, and another may do better. `wait` is what the server asked for."""

    def __init__(self, what: str, wait: float | None = None, is_busy: bool = False) -> None:
        super().__init__(what)
        self.wait = wait
        self.is_busy = is_busy


class AskAnew(Exception):
    """The same request without what the server did not understand; no fault."""


class FileChanged(Exception):
    """The server has another file than the one whose bytes are here."""


class FromTheStart(Exception):
    """Only the whole file can be had, from its first byte on."""


class Faults:
    """Counts faults, connection by connection. A byte that was never here before forgives."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._counts: dict[int, tuple[int, int]] = {}
        self._furthest = 0

    def start(self, done: int) -> None:
        """So many bytes were here before."""
        self._furthest = done

    def pause_after(self, lane: int, done: int, asked: float | None) -> float | None:
        """How long this connection waits now; None when patience is at its end."""
        with self._lock:
            count, furthest = self._counts.get(lane, (0, self._furthest))
            self._furthest = max(self._furthest, done)
            count = 1 if self._furthest > furthest else count + 1
            self._counts[lane] = count, self._furthest
        if count > self._patience.retries:
            return None
        pause = self._patience.pause(count)
        return pause if asked is None else min(max(pause, asked), self._patience.longest_pause_s)


def retry_after(response: httpx2.Response) -> float | None:
    """The seconds a server asks to be left alone, if it does."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
