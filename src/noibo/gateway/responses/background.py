"""Responses that are worked on whether anybody listens or not, and heard by whoever asks.

One runs in the server that took it. Its events are held while it runs, so that a stream can be
taken up again from any of them. Its end is written down with all of them, in one step, and only
then heard; if it was cancelled or deleted first, it is not. A server says every few seconds that it
is still at it: when it is gone, whoever asks learns that the response has failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from starlette.types import Message

from noibo.errors import NoiboError, ShuttingDown
from noibo.gateway.reply import Reply
from noibo.gateway.responses.teller import ResponseTeller, Voice, framed
from noibo.gateway.watching.record import current
from noibo.wire import sse
from noibo.wire.body import Json

if TYPE_CHECKING:
    from noibo.gateway.leaving.journey import Journey
    from noibo.gateway.responses.records import ResponseRecords

log = logging.getLogger(__name__)
SAYS_IT_LIVES_S: Final = 5.0
_ENDED_ELSEWHERE: Final = frozenset({"cancelled", "deleted"})
_WHOLE: Final = frozenset({"completed", "incomplete"})


class Work(Protocol):
    """What gives a response."""

    async def answer(self, reply: Reply) -> None:
        """Tell it. Raises `NoiboError`."""


class Running:
    """One response in the background. It keeps itself: see `end`."""

    def __init__(self, teller: ResponseTeller, records: ResponseRecords, owner: str) -> None:
        self.owner = owner
        self.id = teller.answer.id
        teller.keeping = self
        self._teller = teller
        self._records = records
        self._events: list[bytes] = []  # each at the place that is its number
        self._more = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._ended = False
        self._task: asyncio.Task[None] | None = None
        self._journey: Journey | None = None

    @property
    def ended(self) -> bool:
        """True if it is written down, and this is not needed any more."""
        return self._ended

    async def begin(self, relay: Work, voice: Voice, items: Sequence[Json]) -> Json:
        """Write down that it is queued, and go to work. What the caller is told."""
        self._add(framed(self._teller.answer.queue()))
        told = self._teller.answer.response()
        await self._records.add(self.owner, told, items)
        self._task = asyncio.create_task(self._work(relay, voice))
        record = current()
        record.goes_on, self._journey = True, record.journey
        return told

    async def response(self) -> Json | None:
        """It as it stands; None if it has ended, which the database says."""
        if self._teller.answer.ended and self._task is not None:
            await asyncio.wait({self._task})
        return None if self._ended else self._teller.answer.response()

    async def cancel(self, why: NoiboError | None = None) -> None:
        """End it, if it has not ended by itself; what it has is kept. `why`: as a failure."""
        if self._task is None:
            return
        self._teller.stopped_by = why
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._teller.cancel()  # of work that had not even begun
        if self._journey is not None and self._journey.pending:
            self._journey.end()
        await self._over()

    async def tail(self, after: int, alive_s: float) -> AsyncGenerator[bytes, None]:
        """Its events after the one with that number, as they come, to its end."""
        place = after + 1
        while True:
            self._more.clear()
            while place < len(self._events):
                place += 1
                yield self._events[place - 1]
            if self._ended:  # nothing is added afterwards
                return
            if not await self._is_more(alive_s):
                yield sse.ALIVE

    async def end(self, response: Json, last: bytes) -> None:
        """Write it down, and only then let it be heard: both or neither, whoever cancels."""
        if self._ending is None or self._ending.done():
            self._ending = asyncio.create_task(self._end(response, last))
        await asyncio.shield(self._ending)

    async def _end(self, response: Json, last: bytes) -> None:
        events = b"".join((*self._events, last))
        try:
            kept = await self._records.finish(response, events)
        except NoiboError as error:
            if response["status"] in _WHOLE:
                raise  # it is told as a failure instead
            log.error("the end of %s was not kept: %s", self.id, error)
            kept = True
        if kept:
            self._add(last)
        self._close()

    async def _work(self, relay: Work, voice: Voice) -> None:
        living = asyncio.create_task(self._live())
        reply = Reply(self.take, voice)
        with current().go_on():
            try:
                await reply.begin_stream()
                await relay.answer(reply)
            except NoiboError as error:
                await reply.fail(error)
            except Exception:
                log.exception("a response in the background failed")
                await reply.fail(NoiboError("noibo failed on this response; its log says why."))
            finally:
                living.cancel()
                await self._over()

    async def _over(self) -> None:
        """Also of work that was cancelled while its end was written down: nobody else hears then
        that it could not be."""
        if self._ending is not None:
            await asyncio.wait({self._ending})
            error = self._ending.exception()
            if isinstance(error, NoiboError):
                await self._teller.fail(error)
        self._close()

    def _close(self) -> None:
        self._ended = True
        self._more.set()

    def turn_to(self, teller: ResponseTeller) -> None:
        """It is this one that tells it from now on."""
        self._teller = teller

    async def fail(self, error: NoiboError) -> None:
        """Nobody gives it."""
        await self._teller.fail(error)

    async def take(self, message: Message) -> None:
        """What is told of it."""
        self._add(message.get("body", b""))

    def _add(self, said: bytes) -> None:
        if self._ended:
            return
        for event in sse.events(said):
            if sse.data(event):  # a comment is for who listened when it was said
                self._events.append(event)
        self._more.set()

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(SAYS_IT_LIVES_S)
            with contextlib.suppress(NoiboError):
                status = await self._records.seen(self.id, self._teller.answer.status)
                if status in _ENDED_ELSEWHERE and self._task is not None:
                    self._task.cancel()

    async def _is_more(self, within_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._more.wait(), within_s)
        return False


class Backgrounds:
    """Those of this server, by their ids."""

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}

    def add(self, running: Running) -> None:
        """One that has begun."""
        self._forget_ended()
        self._running[running.id] = running

    @property
    def running(self) -> int:
        """How many go on."""
        return sum(not one.ended for one in self._running.values())

    def find(self, owner: str, name: str) -> Running | None:
        """One that runs here."""
        self._forget_ended()
        running = self._running.get(name)
        return running if running is not None and running.owner == owner else None

    async def close(self) -> None:
        """The server stops: they have failed."""
        why = ShuttingDown("The server stopped before this response was finished.")
        await asyncio.gather(*(one.cancel(why) for one in self._running.values()))

    def _forget_ended(self) -> None:
        for name in [name for name, one in self._running.items() if one.ended]:
            del self._running[name]
