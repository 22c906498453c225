"""Responses that are worked on whether anybody listens or not, and heard by whoever asks.

One runs in the server that took it. Its events are held while it runs, so that a stream can be
taken up again from any of them, and written down when it has ended. A server says every few seconds
that it is still at it: when it is gone, whoever asks learns that the response has failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from starlette.types import Message

from noibo.errors import NoiboError, ShuttingDown
from noibo.gateway.reply import Reply
from noibo.gateway.responses.teller import ResponseRelay, ResponseTeller, Voice, framed
from noibo.wire import sse
from noibo.wire.body import Json

if TYPE_CHECKING:
    from noibo.gateway.responses.records import ResponseRecords

log = logging.getLogger(__name__)
SAYS_IT_LIVES_S: Final = 5.0
_ENDED_ELSEWHERE: Final = frozenset({"cancelled", "deleted"})


class Running:
    """One response in the background."""

    def __init__(self, teller: ResponseTeller, records: ResponseRecords, owner: str) -> None:
        self.owner = owner
        self.answer = teller.answer
        self._teller = teller
        self._records = records
        self._events: list[bytes] = []  # each at the place that is its number
        self._more = asyncio.Event()
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """True if it is written down, and this is not needed any more."""
        return self._ended

    async def begin(self, relay: ResponseRelay, voice: Voice) -> Json:
        """Write down that it is queued, and go to work. What the caller is told."""
        self._add(framed(self.answer.queue()))
        await self._teller.keep()
        told = self.answer.response()
        self._task = asyncio.create_task(self._work(relay, voice))
        return told

    async def cancel(self, why: NoiboError | None = None) -> None:
        """End it; what it has is kept. `why`: as a failure."""
        if self._task is not None and not self._ended:
            if why is not None and not self.answer.ended:
                self._add(await self._teller.fail(why))
            self._task.cancel()
            await asyncio.wait({self._task})

    async def drop(self) -> None:
        """End it and keep nothing."""
        self._teller.keeping = None
        await self.cancel()

    async def tail(self, after: int) -> AsyncGenerator[bytes, None]:
        """Its events after the one with that number, as they come, to its end."""
        place = after + 1
        while True:
            self._more.clear()
            for event in self._events[place:]:
                place += 1
                yield event
            if self._ended:
                return
            if place >= len(self._events):
                await self._more.wait()

    async def _work(self, relay: ResponseRelay, voice: Voice) -> None:
        living = asyncio.create_task(self._live())
        reply = Reply(self._take, voice)
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
            await self._end()

    async def _end(self) -> None:
        try:
            if self._teller.keeping is not None:
                await self._records.keep_events(self.answer.id, b"".join(self._events))
        except NoiboError as error:
            log.error("the events of %s were not kept: %s", self.answer.id, error)
        finally:
            self._ended = True
            self._more.set()

    async def _take(self, message: Message) -> None:
        self._add(message.get("body", b""))

    def _add(self, said: bytes) -> None:
        for event in sse.events(said):
            if sse.data(event):  # a comment is for who listened when it was said
                self._events.append(event)
        self._more.set()

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(SAYS_IT_LIVES_S)
            with contextlib.suppress(NoiboError):
                status = await self._records.seen(self.answer.id)
                if status in _ENDED_ELSEWHERE and self._task is not None:
                    self._teller.keeping = None
                    self._task.cancel()


class Backgrounds:
    """Those of this server, by their ids."""

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}

    async def begin(self, running: Running, relay: ResponseRelay, voice: Voice) -> Json:
        """Take a response on."""
        told = await running.begin(relay, voice)
        self._running[running.answer.id] = running
        self._forget_ended()
        return told

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
