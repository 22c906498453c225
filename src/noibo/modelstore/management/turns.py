"""A line of those who want to work: the first few of it do, the others wait for their turn."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from noibo.modelstore.progress import Cancel, Progress, Report

LOOK_S: Final = 0.1  # between two looks at the line


class Turns:
    """Lets `most` work at once. For any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._line: list[object] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def one(self, note: str, report: Report, cancel: Cancel) -> Iterator[None]:
        """Work within this. Whoever must wait says so, with `note`; raises `Cancelled`."""
        mine = object()
        with self._lock:
            self._line.append(mine)
        try:
            if not self._is_turn_of(mine):
                report(Progress("wait", note=note))
            while not self._is_turn_of(mine):
                cancel.wait(LOOK_S)
            yield
        finally:
            with self._lock:
                self._line.remove(mine)

    def _is_turn_of(self, one: object) -> bool:
        with self._lock:
            return one in self._line[: self._most]
