"""An engine's answer in Ollama's shapes: tool calls, log-probabilities, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from noibo.errors import EngineError
from noibo.wire.body import UNREADABLE, Json
from noibo.wire.openai import MOST_TOOL_CALLS

_REASONS: Final = {"length": "length"}  # anything else is a stop
_TIMES: Final = {
    "prompt_ms": "prompt_eval_duration",
    "predicted_ms": "eval_duration",
}


@dataclass(slots=True)
class _Call:
    """One, in pieces."""

    id: str = ""
    name: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ToolCalls:
    """Puts tool calls together from their pieces."""

    _calls: dict[int, _Call] = field(default_factory=dict)

    def add(self, parts: Sequence[Json]) -> None:
        """Take the pieces of one chunk."""
        for place, part in enumerate(parts):
            index = part.get("index", place)
            if not isinstance(index, int) or not 0 <= index < MOST_TOOL_CALLS:
                raise EngineError(f"The engine sent a tool call with the index {index!r}.")
            call = self._calls.setdefault(index, _Call())
            function = part.get("function") or {}
            call.id = part.get("id") or call.id
            call.name.append(function.get("name") or "")
            call.arguments.append(function.get("arguments") or "")

    def take(self, *, cut_short: bool) -> list[Json]:
        """The calls, with their arguments as objects. One that was cut off is none."""
        found = []
        for index, call in sorted(self._calls.items()):
            name, arguments = "".join(call.name), _arguments("".join(call.arguments))
            if arguments is None and not cut_short:
                raise EngineError(f"The model called {name} with what is no JSON object.")
            if arguments is not None:
                function = {"index": index, "name": name, "arguments": arguments}
                found.append(({"id": call.id} if call.id else {}) | {"function": function})
        self._calls.clear()
        return found


def _arguments(text: str) -> Json | None:
    try:
        found = msgspec.json.decode(text or "{}")
    except UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


def logprobs(choice: Mapping[str, Any], tops: int) -> list[Json]:
    """The log-probabilities of a chunk; `tops`: how many others were asked for."""
    content = (choice.get("logprobs") or {}).get("content") or ()
    return [
        _token(one) | ({"top_logprobs": [_token(top) for top in others[:tops]]} if tops else {})
        for one in content
        for others in [one.get("top_logprobs") or []]
    ]


def _token(one: Mapping[str, Any]) -> Json:
    text = one.get("token", "")
    known = one.get("bytes")
    return {
        "token": text,
        "logprob": one.get("logprob", 0.0),
        "bytes": list(text.encode("utf-8", "replace")) if known is None else known,
    }


def done_reason(finish_reason: str | None) -> str:
    """Why it ended, in Ollama's words."""
    return _REASONS.get(finish_reason or "", "stop")


def counts(event: Mapping[str, Any]) -> Json:
    """How many tokens, and in what time, by the engine's own word; lengths in nanoseconds."""
    found: Json = {}
    if usage := event.get("usage"):
        found["prompt_eval_count"] = usage.get("prompt_tokens", 0)
        found["eval_count"] = usage.get("completion_tokens", 0)
    if timings := event.get("timings"):
        found["prompt_eval_count"] = timings.get("cache_n", 0) + timings.get("prompt_n", 0)
        found["eval_count"] = timings.get("predicted_n", 0)
        for theirs, ours in _TIMES.items():
            found[ours] = round(timings.get(theirs, 0.0) * 1e6)
    return found
