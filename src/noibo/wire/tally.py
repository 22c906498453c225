"""What a stream says of its tokens: how far the prompt has been read, and what it took in all.

Read out of bytes that are else passed on unread, so the search comes first and only an event that
has something to say is decoded. OpenAI's `usage`, llama.cpp's `timings` and `prompt_progress`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from noibo.wire import sse


class Progress(msgspec.Struct, frozen=True):
    """How far a prompt has been read, in tokens; `cache` of `processed` were kept state."""

    total: int = 0
    cache: int = 0
    processed: int = 0


class Tally(msgspec.Struct, frozen=True):
    """Tokens of one answer: of its prompt, of these taken from kept state, and written."""

    prompt: int = 0
    reused: int = 0
    written: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.prompt + other.prompt, self.reused + other.reused, self.written + other.written
        )


class _Details(msgspec.Struct):
    cached_tokens: int = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Timings(msgspec.Struct):
    prompt_n: int
    predicted_n: int
    cache_n: int = 0


class _Event(msgspec.Struct):
    usage: _Usage | None = None
    timings: _Timings | None = None
    prompt_progress: Progress | None = None


_decode: Final = msgspec.json.Decoder(_Event).decode
_NOTHING: Final = _Event()


def progress(block: bytes) -> Progress | None:
    """How far the prompt has been read, by the last of these events that says so."""
    if b'"prompt_progress"' not in block:
        return None
    return next((p for one in _said(block)[::-1] if (p := one.prompt_progress)), None)


def tally(block: bytes) -> Tally | None:
    """What the answer took, where one of these events says it."""
    if b'"completion_tokens"' not in block and b'"predicted_n"' not in block:
        return None
    return next((t for one in _said(block)[::-1] if (t := _tally(one))), None)


def tally_of(answer: bytes) -> Tally | None:
    """What an answer took that is one document, where it says so."""
    return _tally(_read(answer)) if b'"usage"' in answer else None


def _said(block: bytes) -> list[_Event]:
    return [_read(sse.data(event)) for event in sse.events(block)]


def _read(data: bytes) -> _Event:
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _NOTHING  # [DONE], or not as we know it: then nothing is counted


def _tally(event: _Event) -> Tally | None:
    if event.usage is not None:
        used = event.usage
        cached = used.prompt_tokens_details.cached_tokens if used.prompt_tokens_details else 0
        return Tally(used.prompt_tokens, cached, used.completion_tokens)
    if event.timings is not None:
        took = event.timings
        return Tally(took.cache_n + took.prompt_n, took.cache_n, took.predicted_n)
    return None
