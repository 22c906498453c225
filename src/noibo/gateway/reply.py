"""One HTTP response while it is being sent: its status once, then bytes, one after the other.

As long as nothing was sent an error is a status; afterwards it is the stream's last event.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from starlette.types import Send

from noibo.errors import NoiboError
from noibo.gateway.watching.record import current
from noibo.wire import openai
from noibo.wire.voice import Voice

Headers = list[tuple[bytes, bytes]]

_STREAM: Final = [
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def header(name: str, value: str) -> tuple[bytes, bytes]:
    """One header as ASGI has it."""
    return name.lower().encode(), value.encode()


class Reply:
    """What goes out to one caller. Several tasks may speak: each message goes out whole."""

    def __init__(self, send: Send, voice: Voice) -> None:
        self._send = send
        self._voice = voice
        self._turn = asyncio.Lock()
        self._clock = asyncio.get_running_loop().time
        self.begun = False
        self.quiet = False  # the last event is out, or about to be: no more remarks
        self.ended = False
        self.said_at = self._clock()
        self.headers: Headers = []  # for whatever answer it becomes

    async def begin_stream(self, *more: tuple[bytes, bytes]) -> None:
        """The status and the headers of a stream of events, unless they are out."""
        async with self._turn:
            if not self.begun:
                about = header("content-type", self._voice.stream_type)
                await self._start(200, [about, *_STREAM, *self.headers, *more])

    async def say(self, events: bytes) -> None:
        """Whole events. Not after the end."""
        async with self._turn:
            if events and not self.ended:
                await self._body(events, more=True)

    async def remark(self, words: str) -> None:
        """A comment, in APIs that have such a thing."""
        if not self.quiet:
            await self.say(self._voice.comment(words))

    async def end(self) -> None:
        """The end of a stream."""
        async with self._turn:
            self.ended = True
            await self._body(b"", more=False)

    async def whole(self, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
        """A whole answer in JSON. Nothing was sent before."""
        async with self._turn:
            if not self.ended:
                await self._whole(status, body, more)

    async def fail(self, error: NoiboError) -> None:
        """An error: the whole answer, or the last event of a stream that has begun."""
        current().failed(error)
        more = [header(*one) for one in openai.error_headers(error).items()]
        with contextlib.suppress(OSError):
            async with self._turn:
                if self.ended:
                    return
                if not self.begun:
                    await self._whole(error.status, self._voice.error(error), more)
                    return
                self.ended = True
                await self._body(self._voice.last_event(error), more=False)

    async def _whole(self, status: int, body: bytes, more: Iterable[tuple[bytes, bytes]]) -> None:
        current().keep()
        about = [header("content-type", "application/json")]
        about.append(header("content-length", str(len(body))))
        await self._start(status, [*about, *self.headers, *more])
        self.ended = True
        await self._body(body, more=False)

    async def _start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self.begun = True

    async def _body(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self.said_at = self._clock()
