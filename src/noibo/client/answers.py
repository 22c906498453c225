"""What a server says, read: an answer whole or in pieces, progress step by step, an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from noibo.errors import RequestFailed
from noibo.wire import sse
from noibo.wire.models import ProgressRow

T = TypeVar("T")


@dataclass(slots=True)
class Answer:
    """What a model said. `usage` and `timings` are as the engine reported them."""

    text: str = ""
    model: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)

    def add(self, event: dict[str, Any]) -> str:
        """Take one stream event (or a whole answer); returns the text that it added."""
        if "error" in event:
            raise _error_in_stream(event["error"])
        self.model = event.get("model") or self.model
        self.usage = event.get("usage") or self.usage
        self.timings = event.get("timings") or self.timings
        added = ""
        for choice in (event.get("choices") or [])[:1]:
            part = choice.get("delta") or choice.get("message") or choice
            added = part.get("content") or part.get("text") or ""
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        self.text += added
        return added


class Pieces:
    """The text of an answer, out of the bytes of its stream. `told` is given the comments in it:
    where the request stands while it waits, how far its prompt has been read."""

    def __init__(self, answer: Answer, told: Callable[[str], None] | None = None) -> None:
        self._answer = answer
        self._told = told
        self._buffer = sse.EventBuffer()
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        for event in sse.events(self._buffer.feed(chunk)):
            data = sse.data(event)
            self._ended = self._ended or data == sse.DONE
            if self._told is not None and (remark := sse.remark(event)):
                self._told(remark)
            if data and data != sse.DONE:
                try:
                    added = self._answer.add(msgspec.json.decode(data))
                except (ValueError, TypeError, AttributeError, RecursionError) as exc:
                    raise _broken("An event of the answer cannot be read.") from exc
                if added:
                    yield added

    def end(self) -> None:
        """Raise unless the stream said that it was whole."""
        if not self._ended:
            raise _broken("The answer broke off.")


class Steps(Generic[T]):
    """Progress and, last, what came of it, out of bytes; an error is raised."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._buffer = sse.EventBuffer()
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[ProgressRow | T]:
        for event in sse.events(self._buffer.feed(chunk)):
            name, data = sse.name(event), sse.data(event)
            try:
                if name == "error":
                    raise failure(502, data)
                if name == "progress":
                    yield msgspec.json.decode(data, type=ProgressRow)
                if name == "done":
                    self._ended = True
                    yield msgspec.json.decode(data, type=self._kind)
            except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
                raise _broken("An event of the answer cannot be read.") from exc

    def end(self) -> None:
        """Raise unless the stream said that it was whole."""
        if not self._ended:
            raise _broken("The answer broke off.")


def failure(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> RequestFailed:
    """The error that a server answered with; `headers` may say when to try again."""
    try:
        found = msgspec.json.decode(body)
        said = found.get("error") or {"message": found.get("reason") or found.get("status")}
        message, code = str(said.get("message")), str(said.get("code") or "")
        next_step = str(said.get("next_step") or "")
    except (ValueError, AttributeError, RecursionError):
        message, code = body[:120].decode(errors="replace") or "no reason given", ""
        next_step = ""
    message = message.removesuffix(next_step).rstrip() or message
    error = RequestFailed(message, http_status=status, server_code=code, next_step=next_step)
    retry_after = (headers or {}).get("Retry-After", "")
    error.retry_after_s = float(retry_after) if retry_after.isdecimal() else None
    return error


def _broken(message: str) -> RequestFailed:
    return RequestFailed(message, http_status=502, server_code="broken_stream")


def _error_in_stream(error: Any) -> RequestFailed:
    message = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    return RequestFailed(message, http_status=502, server_code=code)
