"""llama-server's own shapes: errors, a stream put together into one answer, slots without words.

Its documentation: https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from noibo.errors import ContextExceeded, EngineRefused, NoiboError
from noibo.wire import sse
from noibo.wire.body import Json
from noibo.wire.openai import TOO_LONG

# What is asked in this shape, by how the path begins.
PATHS: Final = (
    "/completion",
    "/infill",
    "/embedding",
    "/tokenize",
    "/detokenize",
    "/apply-template",
    "/props",
    "/slots",
    "/lora-adapters",
)
_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


class Voice:
    """How llama-server says what is not an answer: as OpenAI, with the status as the code."""

    stream_type = "text/event-stream; charset=utf-8"

    def error(self, error: NoiboError) -> bytes:
        more: Json = {}
        kind = TOO_LONG if isinstance(error, ContextExceeded) else kind_of(error.status)
        if isinstance(error, EngineRefused | ContextExceeded):
            more = dict(error.details)
        if isinstance(error, EngineRefused):
            kind = error.kind or kind
        shape = {"code": error.status, "message": str(error), "type": kind}
        return msgspec.json.encode({"error": {**more, **shape}})

    def last_event(self, error: NoiboError) -> bytes:
        return sse.event(self.error(error))

    def comment(self, words: str) -> bytes:
        return sse.comment(words)


def kind_of(status: int) -> str:
    """llama-server's word for a status."""
    return _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")


class Assembler:
    """Puts the events of a native stream together into the answer of a request that is not
    streamed: one object, or for several prompts a list of them."""

    def __init__(self, *, with_tokens: bool, wanted: list[str] | None) -> None:
        self._with_tokens = with_tokens
        self._wanted = wanted
        self._answers: dict[int, Json] = {}

    def add(self, event: Json) -> None:
        """Take one decoded stream event."""
        index = event.get("index") or 0
        old = self._answers.setdefault(index, {})
        new = {**old, **event, "content": old.get("content", "") + (event.get("content") or "")}
        for name in ("tokens", "completion_probabilities"):
            joined = old.get(name) or []
            joined.extend(event.get(name) or ())  # in place: an answer may have many
            if joined:
                new[name] = joined
        self._answers[index] = new

    def answer(self) -> Any:
        """The whole answer."""
        found = [self._finished(self._answers[index]) for index in sorted(self._answers)]
        return found[0] if len(found) == 1 else found

    def _finished(self, answer: Json) -> Json:
        if not self._with_tokens:
            answer["tokens"] = []
        if isinstance(settings := answer.get("generation_settings"), dict):
            answer["generation_settings"] = {**settings, "stream": False}
        answer.pop("prompt_progress", None)
        return answer if self._wanted is None else picked(answer, self._wanted)


def picked(answer: Json, paths: list[str]) -> Json:
    """What `response_fields` asks for, each under its path; what is not there is left out."""
    found = {}
    for path in paths:
        part: Any = answer
        for name in path.split("/"):
            part = part.get(name, msgspec.UNSET) if isinstance(part, dict) else msgspec.UNSET
        if part is not msgspec.UNSET:
            found[path] = part
    return found


def wordless(found: Any) -> Any:
    """Slots without what callers have said: only numbers, truths and the order of samplers stay.

    A prompt, a grammar, a stop sequence are somebody's."""
    if isinstance(found, dict):
        kept = {name: wordless(value) for name, value in found.items() if name != "samplers"}
        kept = {name: value for name, value in kept.items() if value is not None}
        return kept | {name: found[name] for name in ("samplers",) if name in found}
    if isinstance(found, list):
        return [one for one in map(wordless, found) if isinstance(one, dict)] or None
    return found if isinstance(found, bool | int | float) else None
