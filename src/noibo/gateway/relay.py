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

from noibo.errors import EngineError, NoiboError, ShuttingDown, WorkerDied
from noibo.gateway.pipeline import Pipeline, Request, Stream
from noibo.wire import openai, sse

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]
_EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
_JSON = (b"content-type", b"application/json")
_NO_BUFFERING = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
_END = re.compile(rb'(?m)^data: ?(\[DONE\]|\{"error":)')


class Relay(Response):
    """A response that answers one request through the pipeline while it is being sent."""

    def __init__(self, pipeline: Pipeline, request: Request) -> None:
        # Not Response's own __init__: there is no body yet.
        self._pipeline = pipeline
        self._request = request
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = asyncio.ensure_future(self._answer(send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        except asyncio.CancelledError:  # the server stops and the deadline has passed
            await _cancel(answering)
            await self._tell(send, ShuttingDown("The server stopped before the answer ended."))
        finally:
            await _cancel(leaving)
            await _cancel(answering)

    async def _answer(self, send: Send) -> None:
        try:
            async with self._pipeline.open(self._request) as stream:
                if stream.response.status != 200:
                    await self._refuse(stream, send)
                elif self._request.streamed:
                    await self._stream(stream, send)
                else:
                    await self._assemble(stream, send)
        except NoiboError as error:
            await self._tell(send, error)
        except Exception:
            log.exception("a request for %s failed", self._request.model)
            await self._tell(send, NoiboError("noibo failed on this request; its log says why."))

    async def _stream(self, stream: Stream, send: Send) -> None:
        await self._begin(send, 200, [_EVENT_STREAM, *_NO_BUFFERING, _model_header(stream)])
        ended = False
        async for block in _whole_events(stream):
            ended = ended or _END.search(block) is not None
            if body := self._for_caller(stream, block):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        if not ended:
            raise WorkerDied(f"The answer of {stream.model.name} broke off in the middle.")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _for_caller(self, stream: Stream, block: bytes) -> bytes:
        if self._request.wants_progress or not stream.engine.is_progress(block):
            return block
        return b"".join(e for e in sse.events(block) if not stream.engine.is_progress(e))

    async def _assemble(self, stream: Stream, send: Send) -> None:
        assembler = openai.Assembler(chat=self._request.chat)
        ended = False
        async for block in _whole_events(stream):
            for event in sse.events(block):
                ended = _add(assembler, stream, event) or ended
        if not ended:
            raise WorkerDied(f"The answer of {stream.model.name} broke off in the middle.")
        body = msgspec.json.encode(assembler.answer())
        await self._whole(send, 200, body, [_model_header(stream)])

    async def _refuse(self, stream: Stream, send: Send) -> None:
        """The engine said no: its reason, in OpenAI's shape."""
        status = stream.response.status if stream.response.status >= 400 else 502
        body = openai.error_from_engine(status, await stream.response.read())
        await self._whole(send, status, msgspec.json.encode(body), [_model_header(stream)])

    async def _tell(self, send: Send, error: NoiboError) -> None:
        """An error: as the status where nothing was sent yet, else as the stream's last event."""
        body = msgspec.json.encode(openai.error_body(error))
        with contextlib.suppress(OSError):
            if not self._begun:
                await self._whole(send, error.status, body, [])
                return
            last = sse.event(body)
            await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _whole(self, send: Send, status: int, body: bytes, headers: Headers) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self._begin(send, status, [_JSON, length, *headers])
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _begin(self, send: Send, status: int, headers: Headers) -> None:
        self._begun = True
        await send({"type": "http.response.start", "status": status, "headers": headers})


async def _whole_events(stream: Stream) -> AsyncIterator[bytes]:
    """Blocks of whole events, as they come."""
    buffer = sse.EventBuffer()
    try:
        async for chunk in stream.response.content.iter_any():
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


def _model_header(stream: Stream) -> tuple[bytes, bytes]:
    return (b"x-noibo-model", stream.model.name.encode())


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: asyncio.Future[None]) -> None:
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
