"""The events of a stream in OpenAI's shape."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec

from noibo.engines.hosted.speech import Turn
from noibo.engines.hosted.writing import End, Event, Progress, Written
from noibo.wire import sse

Json = dict[str, Any]


class Chunks:
    """Tells one answer. `turn`: how a chat's answer is parted; None: it is a text."""

    def __init__(self, model: str, engine: str, turn: Turn | None, *, usage: bool) -> None:
        kind = "cmpl" if turn is None else "chatcmpl"
        self._turn = turn
        self._usage = usage
        self._calls = 0
        self._head: Json = {
            "id": f"{kind}-{secrets.token_hex(12)}",
            "object": "text_completion" if turn is None else "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": engine,
        }

    def begin(self) -> bytes:
        """What a chat begins with; nothing for a text."""
        if self._turn is None:
            return b""
        return self._event({"delta": {"role": "assistant", "content": None}})

    def tell(self, event: Event) -> bytes:
        """What an event of the writing says."""
        if isinstance(event, Progress):
            said = {
                "total": event.total,
                "cache": event.cache,
                "processed": event.processed,
            }
            return self._event({self._place: self._nothing}, prompt_progress=said)
        if isinstance(event, Written):
            return self._written(event)
        return self._end(event)

    @property
    def _place(self) -> str:
        return "text" if self._turn is None else "delta"

    @property
    def _nothing(self) -> Any:
        return "" if self._turn is None else {}

    def _written(self, event: Written) -> bytes:
        logprobs: Json = {"logprobs": {"content": event.rows}} if event.rows else {}
        if self._turn is None:
            return self._event({"text": event.text} | logprobs) if event.text or logprobs else b""
        deltas = [self._delta(*part) for part in self._turn.tell(event.text)]
        if logprobs and not deltas:
            deltas = [{}]
        first, rest = deltas[:1], deltas[1:]
        events = [self._event({"delta": delta} | logprobs) for delta in first]
        return b"".join([*events, *(self._event({"delta": delta}) for delta in rest)])

    def _delta(self, part: str, text: str) -> Json:
        if part == "call":
            return self._call(text)
        return {"reasoning_content" if part == "think" else "content": text}

    def _call(self, text: str) -> Json:
        """A call of a tool; the text it is, where it is none."""
        try:
            said = msgspec.json.decode(text.encode(), type=Json)
            name, arguments = str(said["name"]), said.get("arguments", said.get("parameters", {}))
        except (msgspec.MsgspecError, KeyError, RecursionError):
            return {"content": f"<tool_call>{text}</tool_call>"}
        given = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        call = {
            "index": self._calls,
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": name, "arguments": given},
        }
        self._calls += 1
        return {"tool_calls": [call]}

    def _end(self, event: End) -> bytes:
        said = b""
        reason = event.reason
        if self._turn is not None:
            parts = [self._delta(*part) for part in self._turn.tell("", last=True)]
            said = b"".join(self._event({"delta": delta}) for delta in parts)
            reason = "tool_calls" if self._calls and reason == "stop" else reason
        ending = {self._place: self._nothing, "finish_reason": reason}
        if event.word:  # as vLLM names it
            ending["stop_reason"] = event.word
        said += self._event(ending, timings=event.timings)
        if self._usage:
            said += sse.event(
                msgspec.json.encode(self._head | {"choices": [], "usage": event.usage})
            )
        return said + sse.event(sse.DONE)

    def _event(self, choice: Json, **more: Any) -> bytes:
        choices = [{"index": 0, "finish_reason": None} | choice]
        return sse.event(msgspec.json.encode(self._head | {"choices": choices} | more))


def failed(message: str, status: int = 500) -> bytes:
    """The last event of a stream that breaks off."""
    error = {"message": message, "type": "server_error", "code": status}
    return sse.event(msgspec.json.encode({"error": error}))
