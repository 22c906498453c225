"""Tells an engine's answer as Ollama does: a line for each piece, and one with counts and times."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from noibo.gateway.ollama.asked import Asked
from noibo.gateway.pipeline import Stream
from noibo.gateway.teller import Teller
from noibo.wire import ollama
from noibo.wire.body import Json
from noibo.wire.ollama.answer import ToolCalls, counts, done_reason, logprobs
from noibo.wire.ollama.thinking import Thought


@dataclass(frozen=True, slots=True)
class Said:
    """One piece of an answer, or all of it."""

    content: str = ""
    thinking: str = ""
    calls: list[Json] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.content or self.thinking or self.calls)


# How a piece is said: as a message of a chat, or as the response of a completion.
Shape = Callable[[Said], Json]
# The conversation as token ids, once the worker has answered with this text.
Tokens = Callable[[Stream, Said], Awaitable[list[int] | None]]


def as_message(said: Said) -> Json:
    """A piece of a chat."""
    message: Json = {"role": "assistant", "content": said.content}
    if said.thinking:
        message["thinking"] = said.thinking
    if said.calls:
        message["tool_calls"] = said.calls
    return {"message": message}


def as_response(said: Said) -> Json:
    """A piece of a completion."""
    return {"response": said.content} | ({"thinking": said.thinking} if said.thinking else {})


@dataclass(slots=True)
class OllamaTeller(Teller):
    """One answer. `began` is of the monotonic clock, when the request came; `thought` parts an
    answer where the engine has not parted it itself."""

    asked: Asked
    shape: Shape
    began: float
    thought: Thought | None = None
    tokens: Tokens | None = None
    _stream: Stream | None = None
    _load_s: float = 0.0
    _said: list[Said] = field(default_factory=list)
    _calls: ToolCalls = field(default_factory=ToolCalls)
    _counts: Json = field(default_factory=dict)
    _reason: str | None = None
    _context: list[int] | None = None

    def begin(self, stream: Stream) -> bytes:
        self._stream = stream
        self._load_s = stream.waited_s
        return b""

    def chunk(self, event: Json) -> bytes:
        self._counts |= counts(event)
        return b"".join(self._choice(choice) for choice in event.get("choices") or ())

    def _choice(self, choice: Mapping[str, Any]) -> bytes:
        self._reason = choice.get("finish_reason") or self._reason
        delta = choice.get("delta") or {}
        self._calls.add(delta.get("tool_calls") or ())
        said = self._parted(
            delta.get("content") or choice.get("text") or "", delta.get("reasoning_content") or ""
        )
        probable = [] if self.asked.tops is None else logprobs(choice, self.asked.tops)
        return self._line(said, probable) if said or probable else b""

    def _parted(self, text: str, thinking: str) -> Said:
        if self.thought is None:
            return Said(text, thinking)
        found, text = self.thought.add(text)
        return Said(text, thinking + found)

    def _line(self, said: Said, probable: list[Json]) -> bytes:
        if self.tokens is not None:
            self._said.append(said)
        more = {"logprobs": probable} if probable else {}
        return ollama.line(self._head() | self.shape(said) | {"done": False} | more)

    async def settle(self, answer: Json | None) -> None:
        """Ask for the tokens of the conversation while the worker is still ours."""
        said = self._all_said() if answer is None else self._whole(answer)
        if self.tokens is not None and self._stream is not None:
            self._context = await self.tokens(self._stream, said)

    def _all_said(self) -> Said:
        return Said(
            "".join(one.content for one in self._said), "".join(one.thinking for one in self._said)
        )

    def end(self) -> bytes:
        thinking, rest = self.thought.end() if self.thought else ("", "")
        last = Said(rest, thinking, self._calls.take(cut_short=self._reason == "length"))
        said = self._line(last, []) if last else b""
        return said + ollama.line(self._head() | self.shape(Said()) | self._end())

    def whole(self, answer: Json) -> bytes:
        self._counts |= counts(answer)
        choice = answer["choices"][0] if answer.get("choices") else {}
        self._reason = choice.get("finish_reason")
        said = self._head() | self.shape(self._whole(answer)) | self._end()
        if self.asked.tops is not None:
            said["logprobs"] = logprobs(choice, self.asked.tops)
        return ollama.line(said)[:-1]

    def _whole(self, answer: Json) -> Said:
        choice = answer["choices"][0] if answer.get("choices") else {}
        message = choice.get("message") or {"content": choice.get("text") or ""}
        content, thinking = message.get("content") or "", message.get("reasoning_content") or ""
        if self.thought is not None:
            parts = Thought(self.thought.inside)
            begun, ended = parts.add(content), parts.end()
            thinking, content = thinking + begun[0] + ended[0], begun[1] + ended[1]
        calls = ToolCalls()
        calls.add(message.get("tool_calls") or ())
        cut_short = choice.get("finish_reason") == "length"
        return Said(content, thinking, calls.take(cut_short=cut_short))

    def _head(self) -> Json:
        return {"model": self.asked.model, "created_at": ollama.now()}

    def _end(self) -> Json:
        ending: Json = {"done": True, "done_reason": done_reason(self._reason)}
        if self._context is not None:
            ending["context"] = self._context
        if self._stream is not None and self._stream.cut is not None:
            ending |= self._stream.cut.member()
        return ending | {
            "total_duration": ollama.nanoseconds(time.monotonic() - self.began),
            "load_duration": ollama.nanoseconds(self._load_s),
            **self._counts,
        }
