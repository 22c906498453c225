"""Logging: one line an event, on standard error, as text or as JSON.

Prompts and secrets never reach it. Code logs names, counts and durations; nothing that a caller or
a document wrote is ever an argument of a log call. What libraries and exceptions say may repeat
such words, so of an exception its kind and its way through the code are told and never its
message, and of what another library says the first line. `tests/gateway/test_request_log.py` sends
a canary through every field of every API, and greps.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

OURS: Final = "noibo"
WITHIN_S: Final = 0.01
# Of the request that this task works for; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")


class Event:
    """A message that is more than a sentence: `str` is for people, `facts` for programs."""

    __slots__ = ()

    def facts(self) -> dict[str, Any]:
        """Names and values; `message` is one of them."""
        raise NotImplementedError


class Text(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__()
        self._second, self._shown = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        when = f"{self._to_the_second(int(record.created))},{int(record.msecs):03d}"
        said = f"{when} {record.levelname:<7} {record.name}: {_sentence(record)}"
        if not isinstance(record.msg, Event) and (name := request_id.get()):
            said += f" ({name})"
        if record.exc_info and record.exc_info[1] is not None:
            said += "\n" + told(record.exc_info[1])
        return said

    def _to_the_second(self, second: int) -> str:
        if second != self._second:
            shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second, self._shown = second, shown
        return self._shown


class Json(logging.Formatter):
    """For programs: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if isinstance(record.msg, Event):
            row |= record.msg.facts()
        else:
            row["message"] = _sentence(record)
            if name := request_id.get():
                row["request_id"] = name
        if record.exc_info and record.exc_info[1] is not None:
            row["exception"] = told(record.exc_info[1])
        return msgspec.json.encode(row).decode()


class Soon(logging.StreamHandler[TextIO]):
    """Writes what is no warning together with what else is said within a moment: there is a line
    for each request, and to write it took as long as to check a key. A warning goes out at once,
    after all that was said before it; so does what is said outside of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # that will write them in a moment

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record) + self.terminator)
            if record.levelno >= logging.WARNING or not self._waits():
                self.flush()
        except Exception:  # noqa: BLE001 - as every handler: what cannot be said stops nothing
            self.handleError(record)

    def flush(self) -> None:
        """Write what there is. From any thread: the timer is the loop's alone, and stays."""
        with self.lock or contextlib.nullcontext():
            fresh: list[str] = []
            lines, self._lines = self._lines, fresh
            if lines:
                self.stream.write("".join(lines))
                super().flush()

    def _waits(self) -> bool:
        """Whether it will be written by itself: this loop will do it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._loop is None:
            self._loop = loop
            loop.call_later(WITHIN_S, self._in_time, loop)
        elif self._loop is not loop:  # it has ended, and left this to us
            self._loop = None
            return False
        return True

    def _in_time(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is loop:
            self._loop = None
        with contextlib.suppress(Exception):  # nobody reads it any more
            self.flush()


_FORMATTERS: Final = {"text": Text, "json": Json}


def setup(level: str, form: str = "text") -> None:
    """Set up the `noibo` loggers; other libraries speak from warning upward."""
    handler = Soon()
    handler.setFormatter(_FORMATTERS[form]())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    logging.captureWarnings(capture=True)
    _look_up_no_more_than_is_told()
    threading.excepthook = lambda args: _uncaught("a thread", args.exc_value)
    sys.unraisablehook = lambda args: _uncaught("an object's end", args.exc_value)


def told(error: BaseException | None) -> str:
    """An exception without its message: kinds, and the way through the code. With what caused it,
    the first first."""
    found: list[str] = []
    while error is not None and len(found) < 8:
        way = traceback.extract_tb(error.__traceback__)
        steps = [f"  {step.filename}:{step.lineno} in {step.name}" for step in way]
        kind = type(error)
        found.append("\n".join([f"{kind.__module__}.{kind.__qualname__}", *steps]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nthen\n".join(reversed(found))


def _look_up_no_more_than_is_told() -> None:
    """As `logging` describes it under "Optimization": there is a line for each request."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _sentence(record: logging.LogRecord) -> str:
    """What is said. Libraries add what they hold to the lines below the first."""
    said = record.getMessage()
    ours = record.name == OURS or record.name.startswith(OURS + ".")
    return said if ours else said.partition("\n")[0]


def _uncaught(where: str, error: BaseException | None) -> None:
    logging.getLogger(OURS).error("%s failed", where, exc_info=error)
