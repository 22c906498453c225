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
END: Final = re.compile(rb'(?m)^data: ?(\[DONE\]|\{"error":)')


async def whole_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Blocks of whole events, as they come."""
    buffer = sse.EventBuffer()
    try:
        async for chunk in chunks:
            if whole := buffer.feed(chunk):
                yield whole
    except ValueError as exc:
        raise EngineError(f"The engine sent {exc}.") from exc
    if last := buffer.end():
        yield last


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
        raise EngineError(f"{worker.model.name} sent what is not an object.") from exc
    if error := found.get("error"):
        raise EngineError(str(error.get("message") if isinstance(error, dict) else error))
    return found
