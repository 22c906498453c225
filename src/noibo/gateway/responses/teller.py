"""Tells a response while it is given, and keeps it before its caller hears that it is whole.

Whoever reads `response.completed` can build on it in the next moment; a response that cannot be
kept fails, and says why.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from noibo.errors import EngineError, NoiboError
from noibo.gateway.engine_events import NONSENSE
from noibo.gateway.pipeline import Pipeline, Stream
from noibo.gateway.relay import Relay
from noibo.gateway.reply import Reply
from noibo.gateway.responses.request import in_its_words
from noibo.gateway.teller import Teller
from noibo.wire import openai, sse
from noibo.wire.body import Json
from noibo.wire.responses.answer import Answer

if TYPE_CHECKING:
    from noibo.gateway.responses.records import ResponseRecords


class Keeping(Protocol):
    """Where a response is kept when it has ended. `last`: its last events."""

    async def end(self, response: Json, last: bytes) -> None:
        """Write it down. Raises `DatabaseError` or `DiskFull`."""


class Kept:
    """Keeps a response whose caller waits for it: written once, at its end."""

    def __init__(self, records: ResponseRecords, owner: str, items: Sequence[Json]) -> None:
        self._records = records
        self._owner = owner
        self._items = items

    async def end(self, response: Json, last: bytes) -> None:
        await self._records.add(self._owner, response, self._items)


class ResponseTeller(Teller):
    """One response. `keeping` is None for one that is not stored."""

    def __init__(self, answer: Answer, pipeline: Pipeline, keeping: Keeping | None) -> None:
        self.answer = answer
        self.keeping = keeping
        self.stopped_by: NoiboError | None = None  # why it is cancelled, if nobody asked for that
        self._pipeline = pipeline
        self._stream: Stream | None = None
        self._last: list[Json] = []
        self._kept = False

    def begin(self, stream: Stream) -> bytes:
        self._stream = stream
        more: Json = {}
        if stream.cut is not None:
            more = {"truncation": "auto", **stream.cut.member()}
        return framed(self.answer.begin(stream.name, more))

    def chunk(self, event: Json) -> bytes:
        return framed(self.answer.chunk(event))

    async def settle(self, answer: Json | None) -> None:
        if answer is not None:
            try:
                self.answer.whole(answer)
            except NONSENSE as exc:
                raise EngineError("The engine's answer is not understood.") from exc
        await self._count_reasoning()
        self._last = self.answer.end()
        await self._keep()

    def end(self) -> bytes:
        return framed(self._last)

    def whole(self, answer: Json) -> bytes:
        return msgspec.json.encode(self.answer.response())

    async def fail(self, error: NoiboError) -> bytes:
        """It breaks off, or cannot be kept. What it had is kept, if that can be. One that is kept
        as whole stays so, whether its caller hears of it or not."""
        if self._kept:
            return b""
        self._last = [*self._last[:-1], *self.answer.fail(error)]
        with contextlib.suppress(NoiboError):
            await self._keep()
        return framed(self._last)

    async def cancel(self) -> None:
        """Its caller left, or wants it no more. What it had is kept."""
        if self.answer.begun and not self.answer.ended:
            why = self.stopped_by
            self._last = self.answer.fail(why) if why else self.answer.cancel()
            await self._keep()

    async def _keep(self) -> None:
        if self.keeping is not None:
            await self.keeping.end(self.answer.response(), framed(self._last))
            self._kept = True

    async def _count_reasoning(self) -> None:
        """Engines do not say which of the tokens were thoughts: the worker counts them again."""
        text = self.answer.reasoning
        if not text or self._stream is None:
            return
        upstream = self._pipeline.upstream(self._stream.worker)
        try:
            self.answer.reasoning_tokens = len(await upstream.tokenise(text, special=False))
        except EngineError:
            return  # the answer is there, and is not lost for a number


class Voice(openai.Voice):
    """OpenAI's, but for a stream that breaks off: that is an event of the response."""

    def __init__(self) -> None:
        self.last = b""

    def last_event(self, error: NoiboError) -> bytes:
        return self.last or super().last_event(error)


class ResponseRelay(Relay):
    """Serves a response. Its end is kept, however it comes."""

    voice: Voice
    _teller: ResponseTeller

    async def answer(self, reply: Reply) -> None:
        try:
            with in_its_words():
                await super().answer(reply)
        except asyncio.CancelledError:
            await self._teller.cancel()
            raise
        except Exception as error:
            if self._teller.answer.begun and self._request.streamed:
                self.voice.last = await self._told(error)
            raise

    async def _told(self, error: Exception) -> bytes:
        unknown = NoiboError("noibo failed on this request; its log says why.")
        return await self._teller.fail(error if isinstance(error, NoiboError) else unknown)


def framed(events: Sequence[Json]) -> bytes:
    """Events as they are sent."""
    return b"".join(sse.event(msgspec.json.encode(one), one["type"]) for one in events)
