"""One request and its answer over HTTP: worked on for as long as somebody is there to hear it.

What answers is a subclass: `Relay` for generations, `Once` for everything that is one JSON answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from noibo.errors import NoiboError, ShuttingDown
from noibo.gateway.reply import Reply
from noibo.gateway.watching.record import current
from noibo.wire.voice import Voice

log = logging.getLogger(__name__)


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
        answering = asyncio.ensure_future(self._answer(reply))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
            else:
                current().left = True
        except asyncio.CancelledError:  # the server stops and the deadline has passed
            await _cancel(answering)
            await reply.fail(ShuttingDown("The server stopped before the answer ended."))
        finally:
            await _cancel(leaving)
            await _cancel(answering)

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


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: asyncio.Future[None]) -> None:
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
