"""The lines of a long input, looked through by several processes: in order, some batches at a time.

A short input, and one whose lines come one by one, is answered by this process itself, line by line
as it comes. What is read ahead is bounded, and nothing is held back while the input pauses: who
waits for the answers before it goes on writing gets them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import BinaryIO, Final, NamedTuple

BATCH: Final = 1 << 18  # bytes that are read at once; a longer line is one batch
WORTH_IT: Final = 1 << 19  # bytes after which other processes are begun
_SENT: Final = 1 << 13  # a smaller batch is answered here, unless others are on their way
_MOST_PROCESSES: Final = 8


class Batch(NamedTuple):
    """Whole lines, and the number of the first."""

    first: int
    lines: list[bytes]
    size: int


class Answer(NamedTuple):
    """What to print, and what was wrong with the line after it, if one could not be read: what the
    error says, and the next step."""

    text: str
    wrong: tuple[str, str] | None = None


Look = Callable[[Batch], Answer]


def batches(source: BinaryIO) -> Iterator[Batch]:
    """What is there to read, as it comes, in whole lines."""
    number = 1
    begun: list[bytes] = []
    read = getattr(source, "read1", source.read)
    while chunk := read(BATCH):
        head, broken, rest = chunk.rpartition(b"\n")
        if not broken:
            begun.append(rest)
            continue
        lines = b"".join([*begun, head]).split(b"\n")
        begun = [rest] if rest else []
        yield Batch(number, lines, sum(map(len, lines)))
        number += len(lines)
    if begun:
        last = b"".join(begun)
        yield Batch(number, [last], len(last))


def answered(source: BinaryIO, look: Look, processes: int) -> Generator[Answer, None, None]:
    """The answers to all of `source`, in order. `look` must be a function of a module, so that
    other processes find it."""
    seen = _length(source)
    with contextlib.ExitStack() as stack:
        pool: ProcessPoolExecutor | None = None
        waiting: deque[tuple[Batch, Future[Answer]]] = deque()
        for batch in batches(source):
            seen += batch.size
            if pool is None and processes > 1 and seen > WORTH_IT:
                pool = stack.enter_context(_pool(processes))
            if pool is None or (batch.size < _SENT and not waiting):
                yield look(batch)
                continue
            try:
                waiting.append((batch, pool.submit(look, batch)))
            except BrokenProcessPool:
                pool, processes = None, 1
                yield from (_result(*one, look) for one in waiting)
                waiting.clear()
                yield look(batch)
            while waiting and (len(waiting) > 2 * processes or not _more(source)):
                yield _result(*waiting.popleft(), look)
        while waiting:
            yield _result(*waiting.popleft(), look)


def _result(batch: Batch, future: Future[Answer], look: Look) -> Answer:
    """What another process says; if one was killed, this one looks itself."""
    try:
        return future.result()
    except BrokenProcessPool:
        return look(batch)


@contextlib.contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    # What this process has read of the lists of words is there in a fork at once.
    forks = sys.platform == "linux" and threading.active_count() == 1
    method = "fork" if forks else "spawn"
    pool = ProcessPoolExecutor(processes, get_context(method), _begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In each process: Ctrl-C is for the first one, and nobody stays when that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def processes() -> int:
    """How many can run at the same time."""
    from noibo.hardware import cgroup
    from noibo.hardware.cpu import allowed_threads
    from noibo.hardware.system import System

    quota = cgroup.processors(System())
    threads = allowed_threads()
    return max(1, min(threads, int(quota) if quota else threads, _MOST_PROCESSES))


def is_file(source: BinaryIO) -> bool:
    """Whether all of it is there already, so that nobody waits for the answer to one line."""
    try:
        return stat.S_ISREG(os.fstat(source.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _length(source: BinaryIO) -> int:
    return os.fstat(source.fileno()).st_size if is_file(source) else 0


def _more(source: BinaryIO) -> bool:
    """Whether more of it can be read without waiting."""
    try:
        return is_file(source) or bool(select.select([source], [], [], 0)[0])
    except (OSError, ValueError):
        return False  # pipes of Windows cannot be asked
