"""Tells one answer of an engine in another API's shapes.

An engine answers in OpenAI's chunks. A teller is given each of them, decoded, and says what this
API says then; or, of an answer that is not streamed, the whole of it. One teller for one answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from noibo.wire.body import Json

if TYPE_CHECKING:
    from noibo.gateway.pipeline import Stream


class Teller:
    """What every teller has; by itself it changes nothing."""

    def begin(self, stream: Stream) -> bytes:
        """The answer comes: who gives it, and after what wait."""
        return b""

    def chunk(self, event: Json) -> bytes:
        """One of the engine's chunks: the events to send for it, framed."""
        return b""

    async def settle(self, answer: Json | None) -> None:
        """Before the last events, or the whole `answer`: whatever has to be asked for first, while
        the worker is held."""

    def end(self) -> bytes:
        """The engine has ended its answer: the last events, framed."""
        return b""

    def whole(self, answer: Json) -> bytes:
        """The body of an answer that is not streamed, put together in OpenAI's shape."""
        return msgspec.json.encode(answer)

    async def close(self) -> None:
        """Nothing more will come; called in any case, after a failure or a hang-up too."""
