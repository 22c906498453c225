"""Work in a thread of its own that others watch, from threads and from event loops.

A watcher is told every note, and how far the work is at most ten times a second; the work never
waits for one, and one that goes away harms nothing. What there is to see is one frozen value that
the work replaces: to look takes no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from noibo.errors import Cancelled, NoiboError
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.wire.models import PullState

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Report, Cancel], T]

PAUSE_S: Final = 0.1  # between two looks of one watcher
NOTES: Final = 200  # kept; of more, the last


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What there is to see at one moment. `changes` counts them, `noted` the notes until now."""

    changes: int = 0
    latest: Progress = Progress("find")
    notes: tuple[Progress, ...] = ()
    noted: int = 0
    state: PullState = "running"
    result: T | None = None
    error: NoiboError | None = None

    @property
    def ended(self) -> bool:
        return self.state != "running"

    def since(self, before: Seen[T] | None) -> Iterator[Progress]:
        """What a watcher that saw `before` has not been told."""
        told = before.noted if before else 0
        fresh = self.noted - told
        if fresh > 0:
            yield from self.notes[-fresh:]
        if before is None or self.changes > before.changes:
            yield self.latest


class _Watcher:
    """Somebody to be woken, once, at the next change."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self.waits = True

    def wake(self) -> None:
        if self.waits:
            self.waits = False
            with contextlib.suppress(RuntimeError):  # its loop is closed: it has gone away
                self._wake()


class Errand(Generic[T]):
    """One piece of work, begun at once."""

    def __init__(self, work: Work[T], name: str) -> None:
        self._work = work
        self._seen: Seen[T] = Seen()
        self._writing = threading.Lock()  # parts of one file report from several threads
        self._watchers: list[_Watcher] = []
        self._cancel = Cancel()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def seen(self) -> Seen[T]:
        """How it stands now."""
        return self._seen

    @property
    def watchers(self) -> int:
        """How many follow it now."""
        return len(self._watchers)

    @property
    def cancelling(self) -> bool:
        """True once it was asked to stop."""
        return self._cancel.asked

    def cancel(self) -> None:
        """Ask it to stop soon; what it has is kept."""
        self._cancel.ask()

    def wait(self, patience_s: float | None = None) -> bool:
        """Wait in this thread until it has ended; True if it has."""
        self._thread.join(patience_s)
        return self._seen.ended

    def outcome(self) -> T:
        """What came of it; raises what it failed with. Only for one that has ended."""
        if self._seen.error is not None:
            raise self._seen.error
        assert self._seen.result is not None  # noqa: S101 - it has ended
        return self._seen.result

    def watch(self) -> Iterator[Progress]:
        """Follow it in this thread, to its end."""
        changed = threading.Event()
        with self._watched(changed.set) as watcher:
            before = None
            while True:
                watcher.waits = True
                changed.clear()
                now = self._seen
                yield from now.since(before)
                if now.ended:
                    return
                before, looked = now, time.monotonic()
                changed.wait()
                time.sleep(max(0.0, looked + PAUSE_S - time.monotonic()))

    async def follow(self, silence_s: float = 10.0) -> AsyncGenerator[Progress | None, None]:
        """Follow it on this event loop, to its end; None after each `silence_s` without news."""
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._watched(lambda: loop.call_soon_threadsafe(changed.set)) as watcher:
            before = None
            while True:
                watcher.waits = True
                changed.clear()
                now = self._seen
                for progress in now.since(before):
                    yield progress
                if now.ended:
                    return
                before, looked = now, loop.time()
                while not await _within(changed, silence_s):
                    yield None
                await asyncio.sleep(looked + PAUSE_S - loop.time())

    async def settle(self, first_s: float = 5.0, moment_s: float = 0.3) -> None:
        """Give it time to say the first word, or to fail instead; then a moment more, unless it
        has begun what takes long."""
        loop = asyncio.get_running_loop()
        until, spoken = loop.time() + first_s, False
        while not self._seen.ended and loop.time() < until:
            if self._seen.latest.stage not in {"find", "licence"}:
                return
            if self._seen.changes and not spoken:
                until, spoken = loop.time() + moment_s, True
            await asyncio.sleep(0.01)

    @contextlib.contextmanager
    def _watched(self, wake: Callable[[], object]) -> Iterator[_Watcher]:
        watcher = _Watcher(wake)
        self._watchers.append(watcher)
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)

    def _run(self) -> None:
        try:
            result = self._work(self._report, self._cancel)
        except Cancelled as exc:
            self._change(state="cancelled", error=exc)
        except NoiboError as exc:
            self._change(state="failed", error=exc)
        except BaseException:
            log.exception("%s failed", self._thread.name)
            broken = NoiboError(
                "noibo failed on this; its log says why.",
                next_step="What is here is kept: try again, and report it if it stays.",
            )
            self._change(state="failed", error=broken)
        else:
            self._change(state="done", result=result)
        finally:
            self._work = _nothing  # what it held may go

    def _report(self, progress: Progress) -> None:
        with self._writing:
            notes, noted = self._seen.notes, self._seen.noted
            if progress.note:
                notes, noted = (*notes, progress)[-NOTES:], noted + 1
                progress = replace(progress, note="")
            self._seen = replace(
                self._seen,
                changes=self._seen.changes + 1,
                latest=progress,
                notes=notes,
                noted=noted,
            )
        self._tell()

    def _change(self, **changes: Any) -> None:
        with self._writing:
            self._seen = replace(self._seen, **changes)
        self._tell()

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            watcher.wake()


async def _within(changed: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(changed.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _nothing(report: Report, cancel: Cancel) -> Any:
    raise AssertionError("it has run")
