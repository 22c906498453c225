"""Who fetches what: the stretches of a file that are still to come, and who is at which.

Idle connections help the slow: of a stretch that is far behind they take the second half, and of
one whose connection is silent, or much slower than their own, all that is left.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import httpx2

from noibo.modelstore.download.faults import Patience

SLOWER: Final = 4.0  # so many times slower than oneself: it is taken over whole


@dataclass(slots=True, eq=False)
class Span:
    """From byte `at`, which moves on, to before `end` (None: wherever the file ends)."""

    at: int
    end: int | None
    start: int = -1
    began: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)
    is_lost: bool = False  # another connection has it now
    response: httpx2.Response | None = None

    def begin(self) -> None:
        """Somebody is at it from now on."""
        self.start, self.began = self.at, time.monotonic()
        self.moved = self.began

    @property
    def is_over(self) -> bool:
        return self.is_lost or (self.end is not None and self.at >= self.end)

    @property
    def rate(self) -> float:
        """Bytes a second since somebody is at it."""
        return (self.at - self.start) / max(1e-6, self.moved - self.began)

    def seconds_left(self, now: float, silent_s: float) -> float:
        """Infinite for a connection that is silent; 0 while that cannot be told."""
        if now - self.moved > silent_s:
            return math.inf
        if self.end is None or self.at == self.start:
            return 0.0
        return (self.end - self.at) * (now - self.began) / (self.at - self.start)

    def hang_up(self) -> None:
        """End its connection from outside, so that a read that hangs returns at once."""
        stream = self.response.extensions.get("network_stream") if self.response else None
        connection = stream.get_extra_info("socket") if stream else None
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Spans:
    """All stretches of one file. Every method may be called from any thread."""

    def __init__(self, chunk: int, patience: Patience) -> None:
        self._chunk = chunk
        self._patience = patience
        self._waiting: deque[Span] = deque()
        self._active: list[Span] = []
        self._changed = threading.Condition()
        self._stopped = threading.Event()

    def plan(self, stretches: Iterable[tuple[int, int | None]], longest: int | None = None) -> None:
        """These are to be fetched, in this order, at most so many bytes by one request."""
        with self._changed:
            for at, stretch_end in stretches:
                while longest and stretch_end is not None and stretch_end - at > longest:
                    end = (at + longest) // self._chunk * self._chunk
                    self._waiting.append(Span(at, end))
                    at = end  # noqa: PLW2901 - what is left of it
                self._waiting.append(Span(at, stretch_end))
            self._changed.notify_all()

    @property
    def count(self) -> int:
        """How many stretches are not over."""
        with self._changed:
            return len(self._waiting) + len(self._active)

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def take(self, my_rate: float) -> Span | None:
        """The next stretch, or a share in a slow one; None when there will be no more."""
        with self._changed:
            while not self.is_stopped and (self._waiting or self._active):
                span = self._waiting.popleft() if self._waiting else self._share(my_rate)
                if span is not None:
                    span.begin()
                    self._active.append(span)
                    return span
                self._changed.wait(0.1)
        return None

    def _share(self, my_rate: float) -> Span | None:
        now = time.monotonic()
        silent_s = self._patience.silent_s
        slowest = max(self._active, key=lambda span: span.seconds_left(now, silent_s))
        left = slowest.seconds_left(now, silent_s)
        if left < self._patience.help_s or slowest.end is None:
            return None
        if left == math.inf or slowest.rate * SLOWER < my_rate:
            slowest.is_lost = True
            self._active.remove(slowest)
            slowest.hang_up()
            return Span(slowest.at, slowest.end)
        middle = -(-(slowest.at + slowest.end) // 2 // self._chunk) * self._chunk
        if not slowest.at < middle < slowest.end:
            return None
        end, slowest.end = slowest.end, middle
        return Span(middle, end)

    def attach(self, span: Span, response: httpx2.Response) -> bool:
        """This answer brings it. False if it is not wanted any more."""
        with self._changed:
            span.response = response
            return not (self.is_stopped or span.is_over)

    def detach(self, span: Span) -> None:
        """The answer is over; its connection may serve somebody else."""
        with self._changed:
            span.response = None

    def room(self, span: Span, size: int) -> int:
        """How many of the next `size` bytes belong to it."""
        with self._changed:
            if self.is_stopped or span.is_lost:
                return 0
            return size if span.end is None else min(size, span.end - span.at)

    def advance(self, span: Span, size: int) -> None:
        """So many bytes more are kept."""
        with self._changed:
            span.at += size
            span.moved = time.monotonic()

    def finish(self, span: Span, give_back: bool = False) -> None:
        """It is over; or somebody else is to bring the rest."""
        with self._changed:
            if span in self._active:
                self._active.remove(span)
                if give_back:
                    self._waiting.appendleft(Span(span.at, span.end))
            self._changed.notify_all()

    def has_others(self, span: Span) -> bool:
        """True while another connection is at work too."""
        with self._changed:
            return any(other is not span for other in self._active)

    def hang_up_dead(self) -> None:
        """End connections that brought nothing for too long."""
        now = time.monotonic()
        with self._changed:
            for span in self._active:
                if now - span.moved > self._patience.dead_s:
                    span.hang_up()

    def stop(self) -> None:
        """Nobody fetches anything any more, now."""
        with self._changed:
            self._stopped.set()
            for span in self._active:
                span.hang_up()
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait, unless it is stopped."""
        self._stopped.wait(seconds)
