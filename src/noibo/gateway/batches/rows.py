"""The input of a batch, read as its lines are wanted: a file is never whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator

from noibo.gateway.files.files import Content
from noibo.wire import batches as wire
from noibo.wire.batches import Line


class Rows:
    """The lines of an input that are still to be asked."""

    def __init__(self, content: Content, endpoint: str, done: Collection[int]) -> None:
        self._lines = _left(content, endpoint, done)
        self._turn = asyncio.Lock()

    async def next(self) -> Line | None:
        """The next one; None at the end."""
        async with self._turn:
            return await asyncio.to_thread(next, self._lines, None)


def check(content: Content, endpoint: str, unwanted: Callable[[], bool]) -> wire.Checked:
    """Look at a whole input. Not on the event loop. Ends early once nobody wants to know."""

    def wanted() -> Iterator[bytes]:
        with content.open() as file:
            for row in wire.rows(file):
                if unwanted():
                    return
                yield row

    try:
        return wire.check(wanted(), endpoint)
    except OSError as exc:
        found = wire.Checked()
        found.lost(f"The input file cannot be read: {exc.strerror}.")
        return found


class Rest:
    """Lines without an answer, each of which is told why there is none. Not on the event loop."""

    def __init__(
        self, content: Content | None, done: Collection[int], why: tuple[str, str]
    ) -> None:
        self.told = 0
        self._why = why
        self._lines = iter(()) if content is None else _named(content, done)
        self._next = next(self._lines, None)

    def before(self, number: float) -> Iterator[bytes]:
        """Those before a line."""
        while self._next is not None and self._next.number < number:
            yield self._next.unanswered(*self._why)
            self.told += 1
            self._next = next(self._lines, None)


def _left(content: Content, endpoint: str, done: Collection[int]) -> Iterator[Line]:
    with content.open() as file:
        for line in wire.lines(wire.rows(file), endpoint):
            if line.number not in done:
                yield line


def _named(content: Content, done: Collection[int]) -> Iterator[Line]:
    with content.open() as file:
        for line in wire.names(wire.rows(file)):
            if line.number not in done:
                yield line
