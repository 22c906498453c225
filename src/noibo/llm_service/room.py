"""The thread in which a program's model is run, whatever loops and threads the program has.

Its event loop outlives the program's: a notebook and a test have one after the other. It works
without the context of whoever asks, so that inside a server nothing is counted as a request's.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import logging
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from noibo.assembly import open_lookup, open_store
from noibo.errors import NoiboError, ShuttingDown, WorkerDied
from noibo.llm_service.answer import Answer
from noibo.llm_service.asking import Question, Tell
from noibo.llm_service.finding import Finder, Found
from noibo.llm_service.home import Home, sized
from noibo.llm_service.quantised import Wish
from noibo.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")


class Room:
    """Runs from when it is made until it is closed, or the program ends."""

    def __init__(self) -> None:
        self.home: Home | None = None
        self._homes: list[Home] = []  # that one, and those that are left and not closed yet
        self._work: set[asyncio.Task[Any]] = set()  # that was submitted and is under way
        self._again: asyncio.Task[None] | None = None  # loads what was cleared
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._left = False
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._turn = asyncio.Lock()
        self._thread = threading.Thread(target=self._live, name="noibo llm_service", daemon=True)
        self._thread.start()
        atexit.register(self._end)

    @property
    def usable(self) -> bool:
        """False once it is closed, and in a child process that was forked: no thread goes along."""
        return not self._left and self._pid == os.getpid()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have it done here, from any thread. Cancelling what is given cancels the work."""
        with self._guard:
            if self._left:
                work.close()
                raise _left()
            run = asyncio.run_coroutine_threadsafe
            return contextvars.Context().run(run, self._until_left(work), self._loop)

    def close(self) -> None:
        """Unload the model and end the thread; work under way fails with `ShuttingDown`."""
        self.leave()
        if self._pid == os.getpid():
            self._thread.join()

    def leave(self) -> None:
        """The same without waiting for it."""
        with self._guard:
            first, self._left = not self._left, True
        if first and self._pid == os.getpid():
            self._loop.call_soon_threadsafe(self._closing.set)

    # ── what is done in it ──────────────────────────────────────────────────

    async def find(self, tree: Settings) -> Found:
        """The model that the settings mean. Raises what `Finder.find` does."""
        finder = Finder(tree, open_store(tree), open_lookup(tree))
        return await finder.find(tree.llm.model_path, Wish.of(tree.llm))

    async def load(self, tree: Settings) -> Home:
        """Load what the settings mean, instead of what is loaded if that is another."""
        async with self._turn:
            found = await self.find(tree)
            own = sized(tree, found.model)
            home = self.home
            if home is None or not home.is_for(own, found.model):
                await self._leave_home()
                home = Home(own, found)
                self._homes.append(home)
                await home.__aenter__()
            home.found = found
            self.home = home
        await home.ready()
        return home

    async def answer(self, tree: Settings, question: Question, tell: Tell) -> Answer:
        """The answer, after the model was loaded where it is not: by what the settings say now, so
        that a smaller one can be chosen after a load that failed."""
        home = self.home if self.home and self.home.worker else await self.load(tree)
        return await home.ask(question, tell)

    async def clear(self) -> int:
        """As `Home.clear`; 0 for None. The model is loaded again, and only who asks it waits."""
        home = self.home
        freed = await home.clear() if home else None
        if home is None or freed is None:
            return 0
        if home is self.home:
            self._again = asyncio.create_task(self._load_again(home))
            self._work.add(self._again)
            self._again.add_done_callback(self._work.discard)
        return freed

    async def _load_again(self, home: Home) -> None:
        """Whoever asks next is told what keeps it from being loaded."""
        try:
            await home.ready()
        except NoiboError as error:
            if not self._left:
                log.warning("the model is not loaded again: %s", error.message)

    async def _leave_home(self) -> None:
        """Nobody is cut off: what is being answered ends first."""
        home, self.home = self.home, None
        if self._again is not None:
            self._again.cancel()
        if home is None:
            return
        try:
            await home.finished()
        except asyncio.CancelledError:
            self.home = home
            raise
        await self._close(home)

    async def _close(self, home: Home) -> None:
        await home.close()
        if home in self._homes:
            self._homes.remove(home)

    # ── the life of it ──────────────────────────────────────────────────────

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._stay())
        atexit.unregister(self._end)

    async def _stay(self) -> None:
        await self._closing.wait()
        for task in self._work:
            task.cancel()
        if self._work:  # first: a load that goes on would open a home that nobody closes
            await asyncio.wait(self._work)
        for home in tuple(self._homes):
            await self._close(home)

    async def _until_left(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        if task is not None:
            self._work.add(task)
            task.add_done_callback(self._work.discard)
        try:
            return await work
        except (asyncio.CancelledError, ShuttingDown, WorkerDied):
            if self._left:
                raise _left() from None
            raise

    def _end(self) -> None:
        """The program ends. No thread and no task can be started any more, so the loop is made to
        stand still, and the workers are ended from here."""
        if self._pid != os.getpid():
            return
        still = threading.Event()

        def stand() -> None:
            still.set()
            threading.Event().wait()

        with contextlib.suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(stand)
            still.wait(1.0)
        for home in tuple(self._homes):
            home.kill()


def _left() -> ShuttingDown:
    return ShuttingDown(
        "The model was unloaded (`cleanup`) while it was asked.",
        next_step="Ask again: it is loaded anew.",
    )
