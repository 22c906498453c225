"""An event loop with a thread of its own: what it does holds nobody up who waits on another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class OwnLoop:
    """Runs from when it is made until it is closed."""

    def __init__(self, name: str) -> None:
        # By a factory: else it would be taken for the loop of the thread that makes it.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives, there. Whoever leaves cancels it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def close(self) -> None:
        """What is left of its work is cancelled."""
        self._loop.call_soon_threadsafe(self._closed.set)
        await asyncio.to_thread(self._thread.join)

    def _live(self) -> None:
        with self._runner as runner:
            runner.run(self._wait())

    async def _wait(self) -> None:
        await self._closed.wait()
