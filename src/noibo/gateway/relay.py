"""Moves an answer's bytes from a worker to the caller, and stops when either side leaves.

A streamed answer passes through as whole events, unread. An unstreamed one is put together from
the same stream, since that is the only kind an engine can be called back from.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from noibo import settings
from noibo.errors import EngineError, NoiboError, ShuttingDown, WorkerDied
from noibo.gateway.pipeline import Pipeline, Request, Stream
from noibo.gateway.pulse import Pulse
from noibo.gateway.reply import Reply, header
from noibo.gateway.tokens import Tokens
from noibo.gateway.waiting import Waiting
from noibo.wire import openai, sse
from noibo.wire.management import MODEL_HEADER

log = logging.getLogger(__name__)

_END = re.compile(rb'(?m)^data: ?(\[DONE\]|\{"error":)')


class Relay(Response):
    """A response that answers one request through the pipeline while it is being sent."""

    def __init__(self, pipeline: Pipeline, request: Request, queue: settings.Queue) -> None:
        # Not Response's own __init__: there is no body yet.
        self._pipeline = pipeline
        self._request = request
        self._queue = queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = Reply(send)
        answering = asyncio.ensure_future(self._answer(reply))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        except asyncio.CancelledError:  # the server stops and the deadline has passed
            await _cancel(answering)
            await reply.fail(ShuttingDown("The server stopped before the answer ended."))
        finally:
            await _cancel(leaving)
            await _cancel(answering)

    async def _answer(self, reply: Reply) -> None:
        try:
            await self._wait_and_answer(reply)
        except NoiboError as error:
            await reply.fail(error)
        except Exception:
            log.exception("a request for %s failed", self._request.model)
            await reply.fail(NoiboError("noibo failed on this request; its log says why."))

    async def _wait_and_answer(self, reply: Reply) -> None:
        streamed = self._request.streamed
        with Waiting(reply, self._queue.say_after_s, streamed=streamed) as waiting:
            async with self._pipeline.open(self._request, waiting.told) as stream:
                await waiting.over()
                reply.headers.append(header(MODEL_HEADER, stream.model.name))
                if stream.response.status != 200:
                    await _refuse(stream, reply)
                elif streamed:
                    await self._stream(stream, reply)
                else:
                    await self._assemble(stream, reply)

    async def _stream(self, stream: Stream, reply: Reply) -> None:
        await reply.begin_stream()
        tokens = Tokens(stream.worker)
        ended = False
        with Pulse(reply, self._queue.alive_s, tokens.words):
            async for block in _whole_events(stream):
                ended = ended or _END.search(block) is not None
                reads = stream.engine.is_progress(block)
                tokens.count(block, reads=reads)
                if body := self._for_caller(stream, block) if reads else block:
                    await reply.say(body)
        if not ended:
            raise _broke_off(stream)
        await reply.end()

    def _for_caller(self, stream: Stream, block: bytes) -> bytes:
        if self._request.wants_progress:
            return block
        return b"".join(e for e in sse.events(block) if not stream.engine.is_progress(e))

    async def _assemble(self, stream: Stream, reply: Reply) -> None:
        assembler = openai.Assembler(chat=self._request.chat)
        tokens = Tokens(stream.worker)
        ended = False
        async for block in _whole_events(stream):
            tokens.count(block, reads=stream.engine.is_progress(block))
            for event in sse.events(block):
                ended = _add(assembler, stream, event) or ended
        if not ended:
            raise _broke_off(stream)
        await reply.whole(200, msgspec.json.encode(assembler.answer()))


async def _refuse(stream: Stream, reply: Reply) -> None:
    """The engine said no: its reason, in OpenAI's shape."""
    status = stream.response.status if stream.response.status >= 400 else 502
    said = await stream.beginning()
    body = openai.error_from_engine(status, said)
    await reply.whole(status, msgspec.json.encode(body))


def _broke_off(stream: Stream) -> WorkerDied:
    return WorkerDied(f"The answer of {stream.model.name} broke off in the middle.")


async def _whole_events(stream: Stream) -> AsyncIterator[bytes]:
    """Blocks of whole events, as they come."""
    buffer = sse.EventBuffer()
    try:
        async for chunk in stream.chunks:
            if whole := buffer.feed(chunk):
                yield whole
    except ValueError as exc:
        raise EngineError(f"The engine sent {exc}.") from exc
    if last := buffer.end():
        yield last


def _add(assembler: openai.Assembler, stream: Stream, event: bytes) -> bool:
    """Give one event to the assembler; True when it was the last."""
    data = sse.data(event)
    if data == sse.DONE:
        return True
    if data and not stream.engine.is_progress(event):
        try:
            found = msgspec.json.decode(data)
        except openai.UNREADABLE as exc:
            raise EngineError(f"{stream.model.name} sent an event that is not JSON.") from exc
        if not isinstance(found, dict):
            raise EngineError(f"{stream.model.name} sent an event that is not an object.")
        if error := found.get("error"):
            raise EngineError(str(error.get("message") if isinstance(error, dict) else error))
        assembler.add(found)
    return False


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: asyncio.Future[None]) -> None:
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
