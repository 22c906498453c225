"""One connection: uvicorn's, with bounds on what the other side may send, keep open, and leave.

Nothing here has a timer of its own. The census looks at each connection once a second, asks what
the other side owes, and tells it when that is overdue (`give_up`).
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from noibo.connections import head
from noibo.connections.cork import Cork
from noibo.errors import InvalidRequest, NoiboError, TooSlow
from noibo.wire import openai

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from noibo.connections.census import Census

MOST_AHEAD: Final = 16  # requests sent ahead, before the one before them is answered
FEW_CHUNKS: Final = 10_000  # of which nobody asks how small they are
LEAST_CHUNK: Final = 16  # bytes in each of more, on average
_A_PAUSE: Final = 2**40


class Duty(Enum):
    """What the other side owes."""

    HEAD = "the rest of its headers"
    BODY = "the rest of its request"
    END = "the end of a request that was answered before it"
    READING = "reading its answer"
    CLOSING = "closing the connection"


class Connection(HttpToolsProtocol):
    """Lives from accept to close. `answering` is the request that is being answered, or was."""

    def __init__(self, census: Census, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.answering: RequestResponseCycle | None = None
        self.asked = 0
        self.url = b""
        self._census = census
        self._deaf = False  # whatever comes is not read any more
        self._fruitless = 0  # bytes since the last that a request gained by
        self._in_head = False
        self._in_body = False
        self._received = 0  # of the body
        self._chunks = 0
        self._pauses = 0
        self._plain: bytes | None = None  # the head without its wish for another protocol
        self._why: NoiboError | None = None

    # ── what happens to it ──────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if refusal := self._census.enter(self):
            self.refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        self._census.leave(self)
        for cycle in (self.answering, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:  # uvicorn tells the last alone
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._pauses += 1
        super().pause_writing()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        while data and not self._deaf:
            data = self._feed(data)

    def _feed(self, data: bytes) -> bytes:
        """Have it parsed; what is to be parsed after it."""
        self._fruitless += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            plain, self._plain = self._plain or b"", None
            self._fruitless = 0
            self.parser = httptools.HttpRequestParser(self)
            return plain + data[upgrade.args[0] :]
        except httptools.HttpParserError as exc:
            self.refuse(self._why or InvalidRequest(f"That is no HTTP/1.1 request: {exc}."))
        else:
            if self._fruitless > head.MOST_BYTES:
                self.refuse(self._too_much())
        return b""

    def _too_much(self) -> NoiboError:
        if self._in_body:
            return InvalidRequest("Between the chunks of the body is too much that is no body.")
        return head.too_large(self.url)

    # ── what the parser finds ───────────────────────────────────────────────

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self._why = head.fault(method, self.url, version, self.headers, self._fruitless)
        if len(self.pipeline) >= MOST_AHEAD:
            self._why = InvalidRequest(f"More than {MOST_AHEAD} requests were sent ahead.")
        if self._why:
            raise self._why
        if self.parser.should_upgrade():
            self._plain = head.without_upgrade(method, self.url, version, self.headers)
            return
        super().on_headers_complete()
        self.headers = []  # what follows the last chunk is none of the request's headers
        self._fruitless = self._received = self._chunks = 0
        self._in_head, self._in_body = False, True

    def on_chunk_header(self) -> None:
        """uvicorn does not ask; httptools tells who has such a method."""
        self._chunks += 1
        if self._chunks > FEW_CHUNKS and self._received < LEAST_CHUNK * self._chunks:
            self._why = InvalidRequest("The chunks of the body are too small.")
            raise self._why

    def on_body(self, body: bytes) -> None:
        self._fruitless = 0
        self._received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._plain is None:
            self._in_body = False
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.answering = cycle
        self.asked += 1
        if cycle.scope["method"] != "HEAD":
            cycle.transport = cast("asyncio.Transport", Cork(self.transport))
        super()._start_asgi_task(cycle, app)

    # ── what it says by itself ──────────────────────────────────────────────

    def refuse(self, error: NoiboError) -> None:
        """Read no more. What is being answered is answered to its end; then it is closed. Where
        nothing is, the error is the last word."""
        self._deaf = True
        self._census.count(error.code)
        self.flow.resume_reading()  # to hear that it is closed
        if self._in_body and self.cycle.response_complete:  # it has been answered
            self.transport.close()
            return
        if self._in_body and not self.cycle.response_started:  # it will never be whole
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.pipeline:
                self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self.answering
        if last is not None and not (last.response_complete or last.disconnected):
            last.keep_alive = False
        else:
            self._say(error)

    def _say(self, error: NoiboError) -> None:
        body = msgspec.json.encode(openai.error_body(error))
        about = {"content-type": "application/json", "content-length": str(len(body))}
        about |= openai.error_headers(error) | {"connection": "close"}
        lines = [f"{name}: {value}\r\n".encode() for name, value in about.items()]
        self.transport.write(b"".join([STATUS_LINE[error.status], *lines, b"\r\n", body]))
        if self.transport.can_write_eof():  # closed at once, what is unread would take it back
            self.transport.write_eof()
        else:
            self.transport.close()

    # ── what the census asks and says ───────────────────────────────────────

    @property
    def busy(self) -> bool:
        """A request is being answered."""
        cycle = self.answering
        return cycle is not None and not (cycle.response_complete or cycle.disconnected)

    @property
    def idle(self) -> bool:
        """Nobody misses it: it is between two requests, or before the first."""
        return not (self.busy or self._in_body or self._deaf)

    def owes(self) -> tuple[Duty | None, int]:
        """What the other side owes, and a measure of it that rises as it is done."""
        busy, left = self.busy, self.transport.get_write_buffer_size()
        if left and (self.flow.write_paused or not busy):
            return Duty.READING, self._pauses * _A_PAUSE - left
        if not busy and (self._deaf or self.transport.is_closing()):
            return Duty.CLOSING, 0
        if busy:
            return (Duty.BODY, self._received) if self._awaits_body() else (None, self.asked)
        if self._in_body:
            return Duty.END, 0
        waits = self._began or not self.asked
        return (Duty.HEAD, 0) if waits else (None, self.asked)

    @property
    def _began(self) -> bool:
        """Some of a request's head is there, or of what stands before it."""
        return self._in_head or self._fruitless > 0

    def _awaits_body(self) -> bool:
        cycle = self.cycle
        held_up = self.flow.read_paused or cycle.waiting_for_100_continue or cycle.response_started
        return self._in_body and not held_up

    def give_up(self, duty: Duty, seconds: float) -> None:
        """It has owed that for so long."""
        if duty is Duty.BODY or (duty is Duty.HEAD and self._began):
            self.refuse(
                TooSlow(
                    f"For {seconds:.0f} s too little came of {duty.value}.",
                    next_step="Send it again; server.stall_s says how long it may stand still.",
                )
            )
        elif duty is Duty.READING:
            self._census.count("slow_reader")
            self.transport.abort()
        else:
            self.transport.abort() if duty is Duty.CLOSING else self.transport.close()
