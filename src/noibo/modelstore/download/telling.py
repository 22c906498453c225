"""What a download tells on its way: how far, how fast, and what went wrong."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from noibo.modelstore.progress import Progress, Report, Stage

EVERY_S: Final = 0.1
WINDOW_S: Final = 5.0


class Telling:
    """Reports at most ten times a second, but the first and last state of a stage always.

    Notes may come from any thread and are never dropped; `report` is called only in the thread
    that calls `show`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._notes: deque[str] = deque()
        self._last: Progress | None = None
        self._is_told = True
        self._told_at = 0.0
        self._samples: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        """Something to read; from any thread. It goes out with the next `show`."""
        with self._lock:
            self._notes.append(text)

    def show(self, stage: Stage, done: int, total: int | None) -> None:
        """This is how far it is now."""
        now = time.monotonic()
        state = Progress(stage, done, total, rate=self._rate(stage, done, now))
        if self._last is not None and self._last.stage != stage:
            self.flush()
            self._told_at = 0.0
        self._last, self._is_told = state, self._is_told and self._is_same(state)
        while note := self._next_note():
            self._tell(Progress(stage, done, total, note, rate=state.rate))
        if not self._is_told and now - self._told_at >= EVERY_S:
            self._tell(state)

    def flush(self) -> None:
        """Tell the last state, if it was held back."""
        while note := self._next_note():
            at = self._last or Progress("download")
            self._tell(Progress(at.stage, at.done, at.total, note, rate=at.rate))
        if self._last is not None and not self._is_told:
            self._tell(self._last)

    def _tell(self, progress: Progress) -> None:
        self._told_at, self._is_told = time.monotonic(), True
        self._report(progress)

    def _is_same(self, state: Progress) -> bool:
        last = self._last
        return last is not None and (last.stage, last.done, last.total) == (
            state.stage,
            state.done,
            state.total,
        )

    def _next_note(self) -> str:
        with self._lock:
            return self._notes.popleft() if self._notes else ""

    def _rate(self, stage: Stage, done: int, now: float) -> float | None:
        """Bytes a second over the last seconds of this stage."""
        samples = self._samples
        if self._last is not None and (self._last.stage != stage or done < self._last.done):
            samples.clear()
        if not samples or now - samples[-1][0] >= EVERY_S:
            samples.append((now, done))
        while now - samples[0][0] > WINDOW_S and len(samples) > 1:
            samples.popleft()
        then, before = samples[0]
        return (done - before) / (now - then) if now - then > EVERY_S else None
