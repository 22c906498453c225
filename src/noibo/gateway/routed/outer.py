"""The one response that the caller gets, and the answers of attempts that are held back from it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.types import Message, Send

from noibo.errors import NoiboError
from noibo.gateway.reply import Headers, header
from noibo.gateway.routed.attempt import Attempt
from noibo.wire.voice import Voice

_EVERY_S: Final = 5.0  # a remark while nothing can be said
_COMMENT: Final = b":"
_OK: Final = 200


class Outer:
    """What has gone out of it. `headers` go with its beginning, whenever that is."""

    def __init__(self, send: Send, voice: Voice) -> None:
        self._send = send
        self._voice = voice
        self._turn = asyncio.Lock()
        self.headers: Headers = []
        self.early: Headers = []  # instead, where it begins before anybody has answered
        self.begun = False  # its headers are out
        self.spoken = False  # a word of an answer is
        self.words = ""  # what it is waited for

    async def say(self, messages: list[Message]) -> None:
        """Messages of an answer that is given."""
        async with self._turn:
            self.spoken = True
            for message in messages:
                await self._say(message)

    async def remark(self) -> None:
        """A comment; it begins the stream, if it has not begun."""
        async with self._turn:
            said = self._voice.comment(self.words)
            if self.spoken or not said:
                return
            if not self.begun:
                kind = header("content-type", self._voice.stream_type)
                about = [kind, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
                headers = [*about, *self.early]
                await self._send({"type": "http.response.start", "status": _OK, "headers": headers})
                self.begun = True
            await self._send({"type": "http.response.body", "body": said, "more_body": True})

    async def fail(self, error: NoiboError | None, messages: list[Message]) -> None:
        """Nobody has answered: the last error, as a status or as the end of the stream."""
        async with self._turn:
            self.spoken = True
            if not self.begun or (error is None and messages):  # it says itself what is wrong
                for message in messages:
                    await self._say(message)
                return
            said = self._voice.last_event(error or NoiboError("No model has answered."))
            await self._send({"type": "http.response.body", "body": said, "more_body": False})

    async def _say(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self.begun:
                return
            self.begun = True
            message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
        await self._send(message)


class Held:
    """Sends for one attempt: nothing, until it has begun, or is released."""

    def __init__(self, outer: Outer, attempt: Attempt, begins: Callable[[], None]) -> None:
        self._outer = outer
        self._attempt = attempt
        self._begins = begins  # called before the first word goes out
        self._messages: list[Message] = []
        self.model = attempt.model
        self.given = False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if self.given:
            await self._outer.say([message])
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message.get("body", b"").startswith(_COMMENT) and message.get("more_body"):
            return  # remarks are the outer's
        self._messages.append(message)
        ready = self.status == _OK and self._attempt.begun and not self._attempt.checks
        if ready and message["type"] != "http.response.start":
            await self.give()

    async def give(self) -> None:
        """Let the caller have it, all that has come and all that will."""
        self.given = True
        self._begins()
        messages, self._messages = self._messages, []
        await self._outer.say(messages)

    @property
    def messages(self) -> list[Message]:
        """What was held back."""
        return self._messages


@contextlib.asynccontextmanager
async def remarks(outer: Outer, after_s: float) -> AsyncIterator[None]:
    """Tells the caller from time to time that it is waited for, and for what."""

    async def tell() -> None:
        await asyncio.sleep(after_s)
        while not outer.spoken:
            await outer.remark()
            await asyncio.sleep(_EVERY_S)

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
