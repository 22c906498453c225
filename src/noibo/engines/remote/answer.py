"""Answers of other servers: heard by the breaker of their address, and told in OpenAI's words where
the server has others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from noibo.engines import line
from noibo.engines.remote.breaker import Permit
from noibo.engines.remote.waits import OVERRUN
from noibo.errors import EngineError
from noibo.wire.body import UNREADABLE


class Answer(line.Response):
    """An answer as it comes. That its first byte comes, or does not, is told to who gave leave to
    ask: what breaks off after it says nothing of the next answer."""

    def __init__(self, inner: line.Response, permit: Permit) -> None:
        self.status, self.headers = inner.status, inner.headers
        self._inner, self._permit = inner, permit
        if inner.status in OVERRUN:
            permit.failed()
        elif inner.status >= 300:
            permit.answered()

    async def piece(self) -> bytes:
        try:
            said = await self._inner.piece()
        except ConnectionError:
            self._permit.failed()
            raise
        self._permit.answered()
        self.piece = self._inner.piece  # type: ignore[method-assign] # all is told
        return said

    async def read(self) -> bytes:
        said = await self.piece()
        return said + await self._inner.read() if said else said

    def close(self) -> None:
        self._permit.let_go()
        self._inner.close()


class Said(line.Response):
    """An answer that has been read."""

    def __init__(self, status: int, headers: Mapping[str, str], said: bytes) -> None:
        self.status, self.headers = status, dict(headers)
        self._said = said

    async def piece(self) -> bytes:
        said, self._said = self._said, b""
        return said

    async def read(self) -> bytes:
        return await self.piece()

    def close(self) -> None:
        """Nothing is open."""


class Translator(Protocol):
    """Tells the bytes of one answer in other words."""

    def feed(self, chunk: bytes) -> bytes:
        """What these bytes say, as far as it is whole."""

    def end(self) -> bytes:
        """What is left at the end."""


class Told(line.Response):
    """An answer in other words."""

    def __init__(self, inner: line.Response, translator: Translator) -> None:
        self.status, self.headers = inner.status, inner.headers
        self._inner, self._translator = inner, translator
        self._ended = False

    async def piece(self) -> bytes:
        while not self._ended:
            chunk = await self._inner.piece()
            self._ended = not chunk
            said = self._translator.feed(chunk) if chunk else self._translator.end()
            if said:
                return said
        return b""

    async def read(self) -> bytes:
        return await whole_of(self)

    def close(self) -> None:
        self._inner.close()


class Document:
    """A translator of one JSON document."""

    def __init__(self, tell: Callable[[Any], Any]) -> None:
        self._tell = tell
        self._said = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        self._said += chunk
        return b""

    def end(self) -> bytes:
        try:
            return msgspec.json.encode(self._tell(msgspec.json.decode(bytes(self._said))))
        except (*UNREADABLE, KeyError, TypeError, ValueError, AttributeError) as exc:
            raise EngineError(f"The server there sent what is not understood ({exc!r}).") from exc


async def whole_of(response: line.Response) -> bytes:
    """All of an answer."""
    said = bytearray()
    while piece := await response.piece():
        said += piece
    return bytes(said)


def itself(response: line.Response) -> line.Response:
    """An answer as it came."""
    return response


def refusal(status: int, message: str, kind: str = "") -> line.Response:
    """An answer that says no, in OpenAI's shape."""
    error = {"error": {"message": message, "type": kind}}
    return Said(status, {}, msgspec.json.encode(error))
