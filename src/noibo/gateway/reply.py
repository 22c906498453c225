"""One HTTP response while it is being sent: its status once, then bytes, one after the other.

As long as nothing was sent an error is a status; afterwards it is the stream's last event.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
from starlette.types import Send

from noibo.errors import NoiboError
from noibo.wire import openai, sse

Headers = list[tuple[bytes, bytes]]

_EVENT_STREAM: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def header(name: str, value: str) -> tuple[bytes, bytes]:
    """One header as ASGI has it."""
    return name.lower().encode(), value.encode()


class Reply:
    """What goes out to one caller. Several tasks may speak: each message goes out whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self._clock = asyncio.get_running_loop().time
        self.begun = False
        self.ended = False
        self.said_at = self._clock()
        self.headers: Headers = []  # for whatever answer it becomes

    async def begin_stream(self, *more: tuple[bytes, bytes]) -> None:
        """The status and the headers of a stream of events, unless they are out."""
        async with self._turn:
            if not self.begun:
                await self._start(200, [*_EVENT_STREAM, *self.headers, *more])

    async def say(self, events: bytes) -> None:
        """Whole events, or a comment. Not after the end."""
        async with self._turn:
            if not self.ended:
                await self._body(events, more=True)

    async def end(self) -> None:
        """The end of a stream."""
        async with self._turn:
            self.ended = True
            await self._body(b"", more=False)

    async def whole(self, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
        """A whole answer in JSON; of a stream that has begun, the last event."""
        async with self._turn:
            if self.ended:
                return
            if self.begun:
                body = sse.event(body)
            else:
                about = [header("content-type", "application/json")]
                about.append(header("content-length", str(len(body))))
                await self._start(status, [*about, *self.headers, *more])
            self.ended = True
            await self._body(body, more=False)

    async def fail(self, error: NoiboError) -> None:
        """An error, in OpenAI's shape."""
        body = msgspec.json.encode(openai.error_body(error))
        more = [header(*one) for one in openai.error_headers(error).items()]
        with contextlib.suppress(OSError):
            await self.whole(error.status, body, *more)

    async def _start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self.begun = True

    async def _body(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self.said_at = self._clock()
