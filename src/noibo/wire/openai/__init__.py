"""OpenAI's shapes: request bodies, errors, and a stream put together into one answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from noibo.errors import ContextExceeded, EngineError, EngineRefused, NoiboError, Unauthorized
from noibo.wire import sse
from noibo.wire.body import UNREADABLE, Json

_ERROR_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
MOST_TOOL_CALLS: Final = 256
_HEAD: Final = ("id", "created", "model", "system_fingerprint", "object")
TOO_LONG: Final = "exceed_context_size_error"  # llama.cpp's word for ContextExceeded


def error_body(error: NoiboError) -> Json:
    """An error in OpenAI's shape."""
    if isinstance(error, EngineRefused):
        kind = error.kind or _error_type(error.status)
        shape = {"message": error.message, "type": kind, "param": error.details.get("param")}
        return {"error": {**error.details, **shape, "code": kind}}
    body = error_shape(str(error), error.status, error.code, getattr(error, "param", None))
    if isinstance(error, ContextExceeded):
        body["error"] |= error.details
    return body


def error_headers(error: NoiboError) -> dict[str, str]:
    """The headers that go with an error: when to try again, where that is known; how to say who
    one is."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if error.retry_after_s is None:
        return {}
    return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}


def error_shape(message: str, status: int, code: str, param: str | None = None) -> Json:
    """OpenAI's shape for an error of any HTTP status."""
    error = {"message": message, "type": _error_type(status), "param": param, "code": code}
    return {"error": error}


def refusal(status: int, body: bytes) -> EngineRefused | ContextExceeded:
    """An engine's error answer as an error of ours; what else it said stays in it."""
    status = status if status >= 400 else 502
    try:
        found = msgspec.json.decode(body)["error"]
        message = str(found["message"])
    except (*UNREADABLE, KeyError, TypeError, IndexError):
        found, message = {}, body[:500].decode(errors="replace") or "the engine gave no reason"
    kind = str(found.get("type") or "")
    if kind == TOO_LONG and {"n_prompt_tokens", "n_ctx"} <= found.keys():
        param = str(found.get("param") or "messages")
        return ContextExceeded(found["n_prompt_tokens"], found["n_ctx"], param=param)
    return EngineRefused(message, status=status, kind=kind, details=found)


class Voice:
    """How OpenAI's API says what is not an answer."""

    stream_type = "text/event-stream; charset=utf-8"

    def error(self, error: NoiboError) -> bytes:
        return msgspec.json.encode(error_body(error))

    def last_event(self, error: NoiboError) -> bytes:
        return sse.event(self.error(error))

    def comment(self, words: str) -> bytes:
        return sse.comment(words)


def _error_type(status: int) -> str:
    return _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def model_card(name: str, created: float) -> Json:
    """One row of `/v1/models`."""
    return {"id": name, "object": "model", "created": int(created), "owned_by": "noibo"}


class Assembler:
    """Puts the events of a stream together into the answer an unstreamed request gets."""

    def __init__(self, *, chat: bool) -> None:
        self.chat = chat
        self._head: Json = {}
        self._choices: dict[int, Json] = {}
        self._last: Json = {}

    def add(self, event: Json) -> None:
        """Take one decoded stream event."""
        if not self._head:
            self._head = {k: event[k] for k in _HEAD if k in event}
        self._last |= {k: v for k, v in event.items() if k not in _HEAD and k != "choices"}
        for choice in event.get("choices") or ():
            self._add_choice(choice)

    def _add_choice(self, new: Json) -> None:
        choice = self._choices.setdefault(new.get("index", 0), self._empty(new.get("index", 0)))
        if reason := new.get("finish_reason"):
            choice["finish_reason"] = reason
        if (why := new.get("stop_reason")) is not None:  # vLLM's: which text or token ended it
            choice["stop_reason"] = why
        if new.get("logprobs"):
            choice["logprobs"] = _joined(choice.get("logprobs"), new["logprobs"])
        if self.chat:
            _add_delta(choice["message"], new.get("delta") or {})
        else:
            choice["text"] += new.get("text") or ""

    def _empty(self, index: int) -> Json:
        if self.chat:
            message = {"role": "assistant", "content": None}
            return {"index": index, "message": message, "finish_reason": None}
        return {"index": index, "text": "", "logprobs": None, "finish_reason": None}

    def answer(self) -> Json:
        """The whole answer."""
        choices = [self._finished(self._choices[i]) for i in sorted(self._choices)]
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self._head, "object": kind, "choices": choices, **self._last}

    def _finished(self, choice: Json) -> Json:
        message = choice.get("message")
        if message is not None and message["content"] is None and "tool_calls" not in message:
            message["content"] = ""
        return choice


def _add_delta(message: Json, delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for place, call in enumerate(value or ()):
                index = call.get("index")
                _add_tool_call(calls, index if isinstance(index, int) else place, call)
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = value


def _add_tool_call(calls: list[Json], index: int, part: Json) -> None:
    if not 0 <= index < MOST_TOOL_CALLS:
        raise EngineError(f"The engine sent a tool call with the index {index}.")
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[index]
    call["id"] = part.get("id") or call["id"]
    call["type"] = part.get("type") or call["type"]
    for name, text in (part.get("function") or {}).items():
        call["function"][name] = call["function"].get(name, "") + (text or "")


def _joined(old: Json | None, new: Json) -> Json:
    joined = old or {}
    for name, value in new.items():
        if isinstance(value, list):
            joined.setdefault(name, [])
            joined[name] = joined[name] or []
            joined[name] += value
        elif value is not None or name not in joined:
            joined[name] = value
    return joined
