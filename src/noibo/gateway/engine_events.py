"""The events of an engine's answer: whole ones as they come, and what each says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from noibo.engines.worker import Worker
from noibo.errors import EngineError, WorkerDied
from noibo.gateway.tokens import Tokens
from noibo.wire import sse
from noibo.wire.body import UNREADABLE, Json

NONSENSE: Final = (TypeError, KeyError, AttributeError, ValueError, IndexError)  # reading it raises
_DOCUMENTS: Final = (b"<", b"{", b"[")  # no line of an event begins so
_LARGEST_ERROR: Final = 2**16
_NOT_THAT_API: Final = (
    "Of a server elsewhere: see that base_url in noibo.toml is that of its OpenAI-compatible API "
    "(it mostly ends in /v1), and that it can stream."
)
END: Final = re.compile(rb'(?m)^data: ?(\[DONE\]|\{"error":)')


async def whole_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Blocks of whole events, as they come. Raises for what is no stream of events."""
    buffer = sse.EventBuffer()
    begun = False
    try:
        async for chunk in chunks:
            if not begun and (start := chunk.lstrip()):
                begun = True
                if start[:1] in _DOCUMENTS:
                    raise await _no_events(start, chunks)
            if whole := buffer.feed(chunk):
                yield whole
    except ValueError as exc:
        raise EngineError(f"The engine sent {exc}.") from exc
    if last := buffer.end():
        yield last


async def _no_events(start: bytes, chunks: AsyncIterator[bytes]) -> EngineError:
    """Of a document that came where a stream was asked for: the error that stands in it, or what it
    is."""
    said = bytearray(start)
    async for chunk in chunks:
        if len(said) > _LARGEST_ERROR:
            break
        said += chunk
    try:
        found = object_in(bytes(said))
    except UNREADABLE:
        found = {}
    if error := found.get("error"):
        return EngineError(_words(error))
    kind = "a web page" if start[:1] == b"<" else "one whole document"
    return EngineError(
        f"A stream of events was asked for, and {kind} came.", next_step=_NOT_THAT_API
    )


async def counted(
    worker: Worker, chunks: AsyncIterator[bytes], tokens: Tokens
) -> AsyncIterator[bytes]:
    """Blocks of whole events up to the answer's end, counted. Raises where it breaks off."""
    ended = False
    async for block in whole_events(chunks):
        ended = ended or END.search(block) is not None
        tokens.count(block, reads=worker.engine.is_progress(block))
        yield block
    if not ended:
        raise broke_off(worker)


def decoded(worker: Worker, block: bytes) -> list[Json]:
    """The engine's chunks in a block of events. Raises what it says went wrong."""
    found = []
    for event in sse.events(block):
        data = sse.data(event)
        if data and data != sse.DONE and not worker.engine.is_progress(event):
            found.append(_chunk(worker, data))
    return found


def progress_events(worker: Worker, block: bytes) -> bytes:
    """Those of a block of events that tell how far the prompt is read."""
    return b"".join(event for event in sse.events(block) if worker.engine.is_progress(event))


def broke_off(worker: Worker) -> WorkerDied:
    """An answer that ended before its end."""
    return WorkerDied(f"The answer of {worker.model.name} broke off in the middle.")


def require_answer(worker: Worker, said: bytes) -> None:
    """Some services say 200 to an error, or to nonsense: that is no answer."""
    if not said.startswith(b"{") or said.startswith(b'{"error"'):
        _chunk(worker, said)


def object_in(data: bytes) -> Json:
    """What one event says."""
    return msgspec.json.decode(data, type=dict[str, Any])


def _chunk(worker: Worker, data: bytes) -> Json:
    try:
        found = object_in(data)
    except UNREADABLE as exc:
        kind = "a web page" if data.lstrip()[:1] == b"<" else "what is not an object"
        step = "" if worker.reach is None else _NOT_THAT_API
        raise EngineError(f"{worker.model.name} sent {kind}.", next_step=step) from exc
    if error := found.get("error"):
        raise EngineError(_words(error))
    return found


def _words(error: Any) -> str:
    """What an error of an engine says."""
    return str(error.get("message") if isinstance(error, dict) else error)
