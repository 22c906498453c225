"""A response of lines of JSON that ends when its reader has left."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from noibo.errors import NoiboError
from noibo.gateway.event_stream import EventStream
from noibo.wire import ollama
from noibo.wire.body import Json


class Lines(EventStream):
    """Sends each value as a line, at once; an error is the last line."""

    media_type = ollama.Voice.stream_type

    def __init__(self, values: AsyncIterator[Json]) -> None:
        super().__init__(_lines(values))


async def _lines(values: AsyncIterator[Json]) -> AsyncGenerator[bytes, None]:
    try:
        async for value in values:
            yield ollama.line(value)
    except NoiboError as error:
        yield ollama.Voice().last_event(error)
