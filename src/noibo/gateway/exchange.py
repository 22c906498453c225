"""One request and its answer over HTTP: worked on for as long as somebody is there to hear it.

What answers is a subclass: `Relay` for generations, `Once` for everything that is one JSON answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from noibo.errors import NoiboError, ShuttingDown
from noibo.gateway.reply import Reply
from noibo.gateway.watching.record import current
from noibo.wire.voice import Voice

log = logging.getLogger(__name__)
LISTENS_AFTER_S: Final = 0.05


class Exchange(Response):
    """A response that is worked out while it is being sent. A caller that leaves ends the work."""

    def __init__(self, voice: Voice) -> None:
        # Not Response's own __init__: there is no body yet. FastAPI looks at these two.
        self.background = None
        self.raw_headers = []
        self.voice = voice

    async def answer(self, reply: Reply) -> None:
        """Say the answer. Errors may be raised at any point."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = Reply(send, self.voice)
        with _Listening(receive) as listening:
            try:
                await self._answer(reply)
            except asyncio.CancelledError:
                if listening.gone:
                    current().left = True
                    return
                # the server stops and the deadline has passed
                await reply.fail(ShuttingDown("The server stopped before the answer ended."))

    async def _answer(self, reply: Reply) -> None:
        try:
            await self.answer(reply)
        except NoiboError as error:
            await reply.fail(error)
        except Exception:
            log.exception("a request failed")
            await reply.fail(NoiboError("noibo failed on this request; its log says why."))


class Once(Exchange):
    """An answer that is one JSON document."""

    def __init__(self, voice: Voice, work: Callable[[Reply], Awaitable[Any]]) -> None:
        super().__init__(voice)
        self._work = work

    async def answer(self, reply: Reply) -> None:
        """`work` may add headers to the reply; what it gives back is encoded."""
        found = await self._work(reply)
        body = found if isinstance(found, bytes) else msgspec.json.encode(found)
        await reply.whole(200, body)


class _Listening:
    """Cancels the present task when its caller leaves.

    It begins a moment later: to listen takes a task, and most short answers end before that (it
    took 4 % of a chat). Who left before is noticed then."""

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LISTENS_AFTER_S, self._begin)
        self._answering = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self.gone and self._answering is not None:
            self._answering.uncancel()

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._answering is not None:
            self._answering.cancel()
