"""One model that is asked for a request to a virtual one. The pipeline tells it what comes.

It is carried by the request's task: whatever route answers, and however many questions it asks of
the engine, they are this attempt's.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from noibo.engines.engine import Fields
from noibo.routing.judging import Answer
from noibo.wire import openai, sse
from noibo.wire.body import UNREADABLE, Json, raw

# What a model writes, in the events of any engine: the part of it that is not empty.
_WRITTEN: Final = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|name|arguments|refusal|embedding)": ?"[^"]'
)
# What some servers write instead, with status 200.
_ERROR: Final = re.compile(rb'"error": ?\{')
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "n_predict")
_CONFIDENCE: Final = "logprobs"
_TOPS: Final = 5


@dataclass(slots=True)
class Attempt:
    """`model` is asked; `side`: fields where the request says nothing; `checks`: its answer is to
    be judged, so that it is put together here too. `begun`: it has written something; `failed`:
    before that it said that it cannot."""

    model: str
    side: Mapping[str, Any]
    checks: bool
    begun: bool = False
    failed: bool = False
    answered: str = ""  # the model's own name
    _assembler: openai.Assembler | None = None
    _whole: Json | None = None
    _strips: bool = False
    _heard: int = field(default=0)

    def ask(self, fields: Fields, *, chat: bool) -> None:
        """Put into `fields`, in place, what this side is asked with; and, of an answer that is to
        be judged, how sure its model was of each token."""
        for name, value in self.side.items():
            same = _LIMITS if name == "max_tokens" else (name,)
            if not any(one in fields for one in same):
                fields[name] = raw(value)
        # llama.cpp streams no log-probabilities beside calls of tools.
        if self.checks and chat and _CONFIDENCE not in fields and "tools" not in fields:
            fields[_CONFIDENCE] = raw(True)
            fields["top_logprobs"] = raw(_TOPS)
            self._strips = True

    async def heard(
        self, chunks: AsyncIterator[bytes], *, chat: bool, streamed: bool
    ) -> AsyncIterator[bytes]:
        """The engine's answer, as it passes."""
        self._heard += 1
        if not self.checks or self._heard > 1:
            async for chunk in chunks:
                self.begun = self.begun or _WRITTEN.search(chunk) is not None
                self.failed = self.failed or (not self.begun and _ERROR.search(chunk) is not None)
                yield chunk
            return
        if not streamed:
            said = b"".join([chunk async for chunk in chunks])
            yield self.whole(said)
            return
        self._assembler = openai.Assembler(chat=chat)
        buffer = sse.EventBuffer()
        async for chunk in chunks:
            yield b"".join(map(self._event, sse.events(buffer.feed(chunk))))
        yield b"".join(map(self._event, sse.events(buffer.end())))

    def whole(self, said: bytes) -> bytes:
        """The same of an answer that is one document."""
        self.begun = True
        try:
            found = msgspec.json.decode(said)
        except UNREADABLE:
            return said
        if not isinstance(found, dict):
            return said
        self._whole = msgspec.json.decode(said)
        return msgspec.json.encode(_stripped(found)) if self._strips else said

    def answer(self) -> Answer:
        """What there is to be judged."""
        told = self._whole or (self._assembler.answer() if self._assembler else {})
        for choice in told.get("choices") or ():
            if isinstance(choice, dict) and "message" not in choice:
                choice["message"] = {"content": choice.get("text") or ""}
        return Answer.of_chat(told)

    def _event(self, event: bytes) -> bytes:
        data = sse.data(event)
        if not data or data == sse.DONE:
            return event
        self.begun = self.begun or _WRITTEN.search(data) is not None
        try:
            found = msgspec.json.decode(data)
            if not isinstance(found, dict) or "choices" not in found:
                return event
            assert self._assembler is not None  # noqa: S101 - who comes here has one
            self._assembler.add(found)
        except (*UNREADABLE, TypeError, AttributeError, KeyError):
            return event  # who reads it next says what is wrong with it
        return sse.event(msgspec.json.encode(_stripped(found))) if self._strips else event


def _stripped(answer: Json) -> Json:
    """Without the log-probabilities, which the caller has not asked for."""
    for choice in answer.get("choices") or ():
        if isinstance(choice, dict):
            choice.pop(_CONFIDENCE, None)
    return answer


ATTEMPT: ContextVar[Attempt | None] = ContextVar("noibo.attempt", default=None)
