"""Signs of life in an answer that is silent: while a long prompt is read, while a model thinks.

Proxies and clients take a silent connection for a dead one. A comment keeps it, and readers of
events pass over comments. It costs a timer for each answer, and a task only where one is silent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

from noibo.gateway.reply import Reply


class Pulse:
    """Says something whenever nothing was said for `every_s`, from `with` to the end of it."""

    def __init__(self, reply: Reply, every_s: float, words: Callable[[], str]) -> None:
        self._reply = reply
        self._every_s = every_s
        self._words = words
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._saying: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._every_s, self._beat)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._saying is not None:
            self._saying.cancel()

    def _beat(self) -> None:
        silent = self._loop.time() - self._reply.said_at
        still_saying = self._saying is not None and not self._saying.done()
        if silent >= self._every_s and not still_saying:
            self._saying = self._loop.create_task(self._say())
            silent = 0.0
        self._timer = self._loop.call_later(max(self._every_s - silent, 0.01), self._beat)

    async def _say(self) -> None:
        with contextlib.suppress(OSError):  # the caller has left
            await self._reply.remark(self._words())
