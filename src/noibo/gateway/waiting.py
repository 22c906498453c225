"""What a caller is told while its request waits: its place, and how long it may take.

The status comes first: a request that is served soon, or refused soon, gets the right one. One
that is streamed and waits longer is told where it stands, in headers and then in comments. While
its model loads that begins later, since a load that fails should be a status and not an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, Self

from noibo.engines.supervision.claim import Standing, Why
from noibo.engines.supervision.ticket import Ticket
from noibo.gateway.reply import Reply, header
from noibo.wire.management import MODEL_HEADER, QUEUE_HEADER

LOADING_PATIENCE: Final = 5  # a load may take so many times longer before anything is said
LONGEST_SILENCE_S: Final = 5.0
_LOOK_AGAIN_S: Final = 1.0
_WORDS: Final[dict[Why, str]] = {
    "queue": "waiting",
    "loading": "loading the model",
    "memory": "waiting for another model's turn",
}


class Waiting:
    """One request's waits, from the first `told` until `over`. It may have to wait again, for what
    it has given back. Left early it falls silent at once."""

    def __init__(self, reply: Reply, say_after_s: float, *, streamed: bool) -> None:
        self._reply = reply
        self._say_after_s = say_after_s
        self._streamed = streamed
        self._tickets: list[Ticket] = []
        self._over = asyncio.Event()
        self._speaking: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._speaking is not None:
            self._speaking.cancel()

    def told(self, ticket: Ticket) -> None:
        """The request waits from now on."""
        self._tickets.append(ticket)
        if self._streamed and self._speaking is None:
            self._speaking = asyncio.create_task(self._speak())

    async def over(self) -> None:
        """It waits no more: what was being said is said to its end."""
        if not self._tickets:
            return
        self._over.set()
        waited_s = sum(ticket.waited_s for ticket in self._tickets)
        self._reply.headers.append(header(QUEUE_HEADER, f"waited={waited_s:.1f}"))
        if self._speaking is not None:
            await self._speaking

    async def _speak(self) -> None:
        """Of the last that it waits with."""
        pause = min(self._say_after_s, _LOOK_AGAIN_S)
        while not self._is_time(self._tickets[-1]):
            if await self._ends_within(min(pause, 0.25)):
                return
        standing = self._tickets[-1].standing()
        model = header(MODEL_HEADER, self._tickets[-1].claim.model.name)
        await self._reply.begin_stream(model, header(QUEUE_HEADER, as_header(standing)))
        place, said_at = 0, 0.0
        while not self._over.is_set():
            standing, now = self._tickets[-1].standing(), time.monotonic()
            if standing.place != place or now - said_at >= LONGEST_SILENCE_S:
                await self._reply.remark(in_words(standing))
                place, said_at = standing.place, now
            await self._ends_within(pause)

    def _is_time(self, ticket: Ticket) -> bool:
        patience = LOADING_PATIENCE if ticket.standing().why == "loading" else 1
        return ticket.waited_s >= patience * self._say_after_s

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        return self._over.is_set()


def as_header(standing: Standing) -> str:
    """`place=3; expected=12.5; why=queue`."""
    known = standing.expected_s is not None
    expected = f"expected={standing.expected_s:.1f}; " if known else ""
    return f"place={standing.place}; {expected}why={standing.why}"


def in_words(standing: Standing) -> str:
    """`waiting, place 3, about 12 s`."""
    words = f"{_WORDS[standing.why]}, place {standing.place}"
    if standing.expected_s is None:
        return words
    return f"{words}, about {max(1, round(standing.expected_s))} s"
