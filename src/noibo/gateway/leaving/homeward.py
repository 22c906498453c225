"""An answer on its way back: counted, and told in the caller's own words.

What it took is settled before its last bytes go to the caller: whoever has the whole answer can be
sure that it is written down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from noibo.engines import line
from noibo.privacy.answer_stream import AnswerStream
from noibo.usage.entry import Outcome
from noibo.wire import sse
from noibo.wire.body import UNREADABLE

if TYPE_CHECKING:
    from noibo.gateway.leaving.crossing import Crossing

_MOST_KEPT: Final = 64 * 2**20  # of a document that is told in other words
_WRITTEN: Final = re.compile(
    rb'"(?:content|text|reasoning|reasoning_content|refusal|arguments)"\s*:\s*"[^"]'
)


@dataclass(slots=True)
class Taken:
    """What an answer took, as far as it was said."""

    received: int = 0  # bytes
    usage: Any = None  # the provider's own words
    counted: bool = False  # they are its last ones
    wrote: bool = False  # something was written
    error: bool = False  # the stream says that it failed


class Homeward(line.Response):
    """A response that settles its crossing."""

    def __init__(self, inner: line.Response, crossing: Crossing, *, drops_count: bool) -> None:
        self.status, self.headers = inner.status, inner.headers
        self._inner = inner
        self._crossing = crossing
        self._drops_count = drops_count
        self._teller: _Teller | None = None
        self._ended = False
        self.taken = Taken()

    async def piece(self) -> bytes:
        while not self._ended:
            try:
                said = self._told(await self._inner.piece())
            except ConnectionError:
                self._crossing.broke()
                raise
            if self._ended or (self._teller is not None and self._teller.whole):
                await self._crossing.settle(self._outcome())
            if said:
                return said
        return b""

    async def read(self) -> bytes:
        found = bytearray()
        while said := await self.piece():
            found += said
        return bytes(found)

    def close(self) -> None:
        self._inner.close()
        self._crossing.closed()

    def _told(self, said: bytes) -> bytes:
        taken = self.taken
        if not said:
            self._ended = True
            return self._teller.end() if self._teller is not None else b""
        taken.received += len(said)
        if self._teller is None:
            if not (begin := said.lstrip()):
                return b""
            make = _Document if self.status != 200 or begin[:1] in b"{[" else _Stream
            self._teller = make(self._crossing.words(), taken, drops_count=self._drops_count)
        return self._teller.feed(said)

    def _outcome(self) -> Outcome:
        if self.status != 200 or (self.taken.error and isinstance(self._teller, _Document)):
            return "failed"
        whole = self._teller is not None and self._teller.whole and not self.taken.error
        return "ok" if whole else "cut"


class _Teller(Protocol):
    """Tells the bytes of one answer. `whole`: it has said its last word."""

    whole: bool

    def feed(self, said: bytes) -> bytes:
        """What these bytes say."""

    def end(self) -> bytes:
        """What is left."""


class _Stream:
    """Events. Where nothing was redacted they pass as they are."""

    def __init__(self, words: AnswerStream | None, taken: Taken, *, drops_count: bool) -> None:
        self.whole = False
        self._taken = taken
        self._drops_count = drops_count
        self._buffer = sse.EventBuffer()
        self._words = words

    def feed(self, said: bytes) -> bytes:
        return b"".join(map(self._event, sse.events(self._buffer.feed(said))))

    def end(self) -> bytes:
        last = b"".join(map(self._event, sse.events(self._buffer.end())))
        return last + (self._words.end() if self._words is not None else b"")

    def _event(self, event: bytes) -> bytes:
        data = sse.data(event)
        if not self._taken.wrote:
            self._taken.wrote = _WRITTEN.search(data) is not None
        if data == sse.DONE:
            self.whole = True
        elif b'"usage"' in data and self._counted(data):
            return b""
        elif data[:9] == b'{"error":':
            self._taken.error = True
        if not data or self._words is None:
            return event
        return self._words.data(data)

    def _counted(self, data: bytes) -> bool:
        """Take the count. True for an event that has nothing else, and that nobody asked for."""
        try:
            found = msgspec.json.decode(data)
        except UNREADABLE:
            return False
        if not isinstance(found, dict) or not isinstance(found.get("usage"), dict):
            return False
        # Some count on the way too: of a stream that breaks that says too little.
        self._taken.usage, self._taken.counted = found["usage"], not found.get("choices")
        return self._drops_count and self._taken.counted


class _Document:
    """One document, told when it is whole."""

    def __init__(self, words: AnswerStream | None, taken: Taken, *, drops_count: bool) -> None:
        self.whole = False
        self._taken = taken
        self._said = bytearray()
        self._words = words

    def feed(self, said: bytes) -> bytes:
        self._said += said
        return b""

    def end(self) -> bytes:
        said = bytes(self._said)
        self.whole = True
        self._taken.error = said.lstrip()[:8] == b'{"error"'
        self._taken.wrote = _WRITTEN.search(said) is not None
        if b'"usage"' in said:
            try:
                found = msgspec.json.decode(said)
                self._taken.usage = found.get("usage") if isinstance(found, dict) else None
            except UNREADABLE:
                self.whole = False
        return self._words.whole(said) if self._words is not None else said
