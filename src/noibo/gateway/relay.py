"""Moves an answer from a worker to the caller, and stops when either side leaves.

A streamed answer in the engine's own shape passes through as whole events, unread; in another
API's shape a teller says it. An unstreamed one is put together from the same stream, since that is
the only kind an engine can be called back from.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from noibo import settings
from noibo.errors import EngineError
from noibo.gateway.engine_events import (
    END,
    NONSENSE,
    broke_off,
    decoded,
    object_in,
    require_answer,
    whole_events,
)
from noibo.gateway.exchange import Exchange
from noibo.gateway.pipeline import Pipeline, Request, Stream
from noibo.gateway.pulse import Pulse
from noibo.gateway.reply import Reply, header
from noibo.gateway.routed.attempt import ATTEMPT
from noibo.gateway.teller import Teller
from noibo.gateway.waiting import Waiting
from noibo.gateway.watching.record import current
from noibo.gateway.window.cut import Cut
from noibo.wire import openai, sse
from noibo.wire.body import Json
from noibo.wire.management import CUT_HEADER, MODEL_HEADER
from noibo.wire.voice import Voice

log = logging.getLogger(__name__)
# An event with the reason why an answer ends, or one after it with what it took.
_ENDING: Final = re.compile(rb'"finish_reason": ?"|"choices": ?\[\]')
_COUNT: Final = re.compile(rb'"choices": ?\[\]')


class Assembler(Protocol):
    """Puts the events of a stream together into one answer."""

    def add(self, event: Json) -> None:
        """Take one decoded event."""

    def answer(self) -> Any:
        """The whole answer."""


class Relay(Exchange):
    """A response that answers one request through the pipeline while it is being sent."""

    ending = _ENDING  # what is in the last events of a stream that passes through

    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        queue: settings.Queue,
        voice: Voice | None = None,
        teller: Teller | None = None,
    ) -> None:
        super().__init__(voice or openai.Voice())
        self._pipeline = pipeline
        self._request = request
        self._queue = queue
        self._teller = teller

    def is_end(self, block: bytes) -> bool:
        """Whether the engine says in these events that its answer is whole."""
        return END.search(block) is not None

    def new_assembler(self) -> Assembler:
        """What an unstreamed answer is put together by."""
        return openai.Assembler(chat=self._request.chat)

    async def answer(self, reply: Reply) -> None:
        """Wait, open the stream, tell it."""
        try:
            await self._wait_and_answer(reply)
        finally:
            if self._teller is not None:
                await self._teller.close()

    async def _wait_and_answer(self, reply: Reply) -> None:
        streamed = self._request.streamed
        with Waiting(reply, self._queue.say_after_s, streamed=streamed) as waiting:
            async with self._pipeline.open(self._request, waiting.told) as stream:
                await waiting.over()
                reply.headers.append(header(MODEL_HEADER, stream.name))
                if stream.cut is not None:
                    reply.headers.append(header(CUT_HEADER, stream.cut.header()))
                if stream.response.status != 200:
                    raise stream.upstream.refusal(stream.response, await stream.beginning())
                if streamed:
                    await self._stream(stream, reply)
                elif self._request.foreign is not None:
                    await self._hand_on(stream, reply)
                else:
                    await self._assemble(stream, reply)

    async def _stream(self, stream: Stream, reply: Reply) -> None:
        await reply.begin_stream()
        if self._teller is not None:
            await reply.say(self._teller.begin(stream))
        tokens = stream.tokens
        ended = False
        with Pulse(reply, self._queue.alive_s, tokens.words):
            async for block in whole_events(stream.chunks):
                reply.quiet = ended = ended or self.is_end(block)
                reads = stream.engine.is_progress(block)
                tokens.count(block, reads=reads)
                if ended:
                    current().keep()
                await reply.say(self._for_caller(stream, block, reads=reads))
        if not ended:
            raise broke_off(stream.worker)
        if self._teller is not None:
            await self._teller.settle(None)
            await reply.say(self._teller.end())
        await reply.end()

    async def _hand_on(self, stream: Stream, reply: Reply) -> None:
        """A foreign engine's whole answer, unread."""
        attempt = ATTEMPT.get()
        said = await stream.upstream.whole(stream.response)
        require_answer(stream.worker, said)
        said = said if attempt is None else attempt.whole(said)
        stream.tokens.told(said)
        await reply.whole(200, said)

    def _for_caller(self, stream: Stream, block: bytes, *, reads: bool) -> bytes:
        if self._teller is not None:
            teller = self._teller
            with _understood(stream):
                return b"".join(teller.chunk(event) for event in decoded(stream.worker, block))
        if reads and not self._request.wants_progress:
            block = b"".join(e for e in sse.events(block) if not stream.engine.is_progress(e))
        if stream.counts:
            block = _without_count(block)
        return block if stream.cut is None else self._with_cut(block, stream.cut)

    def _with_cut(self, block: bytes, cut: Cut) -> bytes:
        """What was cut, in the event that ends an answer, and in those after it."""
        return b"".join(
            _with(event, cut) if self.ending.search(event) else event for event in sse.events(block)
        )

    async def _assemble(self, stream: Stream, reply: Reply) -> None:
        assembler = self.new_assembler()
        tokens = stream.tokens
        ended = False
        async for block in whole_events(stream.chunks):
            tokens.count(block, reads=stream.engine.is_progress(block))
            ended = ended or self.is_end(block)
            with _understood(stream):
                for event in decoded(stream.worker, block):
                    assembler.add(event)
        if not ended:
            raise broke_off(stream.worker)
        answer = assembler.answer()
        if self._teller is None:
            more = stream.cut.member() if stream.cut and isinstance(answer, dict) else {}
            await reply.whole(200, msgspec.json.encode({**answer, **more} if more else answer))
        else:
            self._teller.begin(stream)
            await self._teller.settle(answer)
            with _understood(stream):
                whole = self._teller.whole(answer)
            await reply.whole(200, whole)


@contextlib.contextmanager
def _understood(stream: Stream) -> Iterator[None]:
    """What an engine sends in no shape that anybody knows is its failure, and not the server's."""
    try:
        yield
    except NONSENSE as exc:
        log.warning("%s sent what is not understood", stream.model.name, exc_info=True)
        raise EngineError(f"{stream.model.name} sent what is not understood.") from exc


def _without_count(block: bytes) -> bytes:
    """Events, but for the one that only tells what the answer took."""
    if _COUNT.search(block) is None:
        return block
    return b"".join(one for one in sse.events(block) if _COUNT.search(one) is None)


def _with(event: bytes, cut: Cut) -> bytes:
    return sse.event(msgspec.json.encode(object_in(sse.data(event)) | cut.member()))
