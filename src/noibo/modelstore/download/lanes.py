"""The connections of a download: threads that ask, take what comes, and bear what passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import httpx2

from noibo.errors import FetchError
from noibo.modelstore.download.answer import Answer, Asking
from noibo.modelstore.download.claim import Claim
from noibo.modelstore.download.faults import AskAnew, Faults, FromTheStart, PassingFault, Patience
from noibo.modelstore.download.pieces_table import Cut
from noibo.modelstore.download.spans import Span, Spans
from noibo.modelstore.download.telling import Telling
from noibo.modelstore.progress import Cancel, size_text
from noibo.modelstore.web.faults import is_lasting, network_fault

TICK_S: Final = 0.05
LEAVE_S: Final = 0.5  # for threads to end; one that hangs before its answer is left behind


class Sink(Protocol):
    """Where the bytes go."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int | None: ...
    def put(self, at: int, data: bytes, /) -> None: ...
    def end_here(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """With what, and how, a download works."""

    telling: Telling
    faults: Faults
    patience: Patience
    cancel: Cancel
    connections: int
    cut: Cut


class Lanes:
    """Fetches the planned stretches over several connections at once.

    Until the first answer nothing is known: `begin` makes the sink from its claim, and the rest
    of the file is planned then."""

    def __init__(
        self,
        asking: Asking,
        means: Means,
        begin: Callable[[Claim], Sink],
        sink: Sink | None = None,
    ) -> None:
        self._asking = asking
        self._means = means
        self._begin = begin
        self._sink = sink
        self._spans = Spans(means.cut.chunk, means.patience)
        self._threads: list[threading.Thread] = []
        self._tick = threading.Event()
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._hold_until = 0.0

    def plan_one(self, first: int, end: int | None) -> None:
        """Fetch from `first` to before `end`, or to wherever the file ends, by one request."""
        self._spans.plan([(first, end)])

    def plan(self, stretches: list[tuple[int, int]]) -> None:
        """Fetch all these, in this order."""
        self._spans.plan(stretches, self._longest(sum(end - first for first, end in stretches)))

    def _longest(self, size: int) -> int:
        """Bytes of one request: few enough for all connections, many enough to be worth it."""
        cut = self._means.cut
        share = size // (4 * self._means.connections) // cut.chunk * cut.chunk
        return min(max(share, 4 * cut.chunk), 4 * cut.piece)

    def run(self, watch: Callable[[], bool]) -> None:
        """Until everything planned is here; `watch` is called in this thread all the while.

        It does a step of work of its own, and returns whether there is more. Raises what stopped
        a connection for good, `Cancelled`, or KeyboardInterrupt; no thread writes after that."""
        try:
            while self._failure is None and self._spans.count:
                self._means.cancel.check()
                self._open_lanes()
                if not watch():
                    self._tick.wait(TICK_S)
                    self._tick.clear()
                self._spans.hang_up_dead()
        finally:
            self._stop()
        watch()
        if self._failure is not None:
            raise self._failure

    def _open_lanes(self) -> None:
        while len(self._threads) < min(self._means.connections, self._spans.count):
            number = len(self._threads)
            lane = threading.Thread(
                target=self._work, args=(number,), name=f"noibo-lane-{number}", daemon=True
            )
            self._threads.append(lane)
            lane.start()

    def _stop(self) -> None:
        self._spans.stop()
        until = time.monotonic() + LEAVE_S
        for lane in self._threads:
            lane.join(max(0.0, until - time.monotonic()))

    def _work(self, lane: int) -> None:
        rate = 0.0
        try:
            while (span := self._spans.take(rate)) is not None:
                if not self._bring(lane, span):
                    return
                rate = span.rate
        except BaseException as exc:  # noqa: BLE001 - the thread that waits for us raises it
            if not self._spans.is_stopped:
                self._failure = self._failure or exc
        finally:
            self._tick.set()

    def _bring(self, lane: int, span: Span) -> bool:
        """Fetch a stretch, whatever passes on the way. False if this connection is one too many."""
        while not self._is_done_with(span):
            try:
                self._attempt(span)
            except AskAnew:
                continue
            except (PassingFault, httpx2.TransportError) as exc:
                if self._is_done_with(span):
                    break
                if not self._bear(lane, span, exc):
                    self._spans.finish(span, give_back=True)
                    return False
        self._spans.finish(span)
        self._tick.set()
        return True

    def _is_done_with(self, span: Span) -> bool:
        return span.is_over or self._spans.is_stopped

    def _attempt(self, span: Span) -> None:
        self._spans.pause(self._hold_until - time.monotonic())
        with self._asking.ask(span.at, span.end) as answer:
            sink = self._admit(answer, span)
            if answer.is_empty:
                span.end = span.at
            elif self._spans.attach(span, answer.response):
                try:
                    self._take(span, answer, sink)
                finally:
                    self._spans.detach(span)
            if span.end is None and not self._spans.is_stopped:  # its end is that of the file
                span.end = span.at
        if sink.total is None and span.is_over:
            sink.end_here()
        if not self._is_done_with(span):
            raise PassingFault("the connection ended early")

    def _admit(self, answer: Answer, span: Span) -> Sink:
        with self._lock:
            asking, total = self._asking, answer.claim.total
            if self._sink is not None and asking.known is not None:
                if span.end is None:
                    span.end = total
                return self._sink
            self._sink = self._sink or self._begin(answer.claim)
            asking.known = answer.claim
            if answer.is_whole:
                span.at, span.end = 0, asking.wanted.size if total is None else total
            elif total is not None:
                span.end = min(total, span.end or total)
                if span.end < total:
                    self.plan([(span.end, total)])
            self._tick.set()
            return self._sink

    def _take(self, span: Span, answer: Answer, sink: Sink) -> None:
        asked_end = span.end
        for data in answer.response.iter_raw():  # as it comes: what is held back is lost at a kill
            self._means.cancel.check()
            room = self._spans.room(span, len(data))
            if room:
                sink.put(span.at, data[:room])
                self._spans.advance(span, room)
            if room < len(data):
                if answer.is_whole and not self._spans.is_stopped:
                    shown = self._asking.wanted.shown
                    raise FetchError(f"{shown} sends more bytes than it said.")
                return
            if span.is_over and (span.end != asked_end or not answer.ends_by_itself):
                return  # what it may still say is not for us

    def _bear(self, lane: int, span: Span, exc: PassingFault | httpx2.TransportError) -> bool:
        """Wait after a fault; False if others should go on without this connection."""
        done = self._sink.done if self._sink is not None else 0
        asked = exc.wait if isinstance(exc, PassingFault) else None
        fault = str(exc) if isinstance(exc, PassingFault) else network_fault(exc)
        lasts = isinstance(exc, httpx2.TransportError) and is_lasting(exc)
        pause = None if lasts else self._means.faults.pause_after(lane, done, asked)
        if pause is None:
            raise self._failed(fault, done) from exc
        if asked is not None:
            self._hold_until = time.monotonic() + pause
        self._means.telling.note(f"{fault[:1].upper()}{fault[1:]}; trying again.")
        self._tick.set()
        if isinstance(exc, PassingFault) and exc.is_busy and self._spans.has_others(span):
            return False
        self._spans.pause(pause)
        if self._asking.plainly and self._sink is not None:
            raise FromTheStart("the server sends it only whole")
        return True

    def _failed(self, fault: str, done: int) -> FetchError:
        return FetchError(
            f"{self._asking.wanted.shown} could not be fetched: {fault}. "
            f"{size_text(done)} are here and kept.",
            next_step="The same command goes on where it stopped.",
        )
