"""Ollama's shapes: lines of JSON, errors that are one sentence, moments and numbers as Go has them.

After ollama/ollama: `api/types.go`, `server/routes.go`, `format/format.go`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from noibo.errors import ModelNotFound, NoiboError

# What our side of this API was written after. Clients compare it with what they need.
VERSION: Final = "0.13.3"
NEVER: Final = "2318-01-01T00:00:00Z"  # when a model expires that stays for ever
_THOUSANDS: Final = ((10**12, "T", 1), (10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0))


class Voice:
    """How Ollama's API says what is not an answer."""

    stream_type = "application/x-ndjson"

    def error(self, error: NoiboError) -> bytes:
        return msgspec.json.encode({"error": str(error)})

    def last_event(self, error: NoiboError) -> bytes:
        return self.error(error) + b"\n"

    def comment(self, words: str) -> bytes:
        return b""  # a line of it is an answer


def line(value: Any) -> bytes:
    """One event of a stream."""
    return msgspec.json.encode(value) + b"\n"


def not_found(name: str, error: ModelNotFound) -> ModelNotFound:
    """The error in the words that Ollama's clients look for."""
    return ModelNotFound(f"model '{name}' not found.", next_step=error.next_step)


def moment(seconds: float) -> str:
    """A moment, in seconds since 1970, as RFC 3339 with nine digits after the point."""
    try:
        whole = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (OverflowError, OSError, ValueError):
        return NEVER
    return f"{whole.isoformat(timespec='microseconds')}000Z"


def now() -> str:
    """This moment."""
    nanoseconds = time.time_ns()
    whole = datetime.fromtimestamp(nanoseconds // 10**9, UTC).replace(tzinfo=None)
    return f"{whole.isoformat(timespec='seconds')}.{nanoseconds % 10**9:09}Z"


def nanoseconds(seconds: float) -> int:
    """A length of time as Go counts it."""
    return round(seconds * 1e9)


def count_text(count: int) -> str:
    """How many parameters, for people: 134.52M, 8.0B; a round number without its point."""
    for unit, letter, digits in _THOUSANDS:
        if count >= unit:
            number = count / unit
            return f"{number:.{0 if number == int(number) else digits}f}{letter}"
    return str(count)
