"""An answer of Ollama's, told in OpenAI's words: lines of JSON as events, documents as documents.
Pure.

After ollama/ollama: `docs/api.md`, `api/types.go`. A tool call comes whole, its arguments as an
object; `done_reason` is `stop` also where tools were called; an error in the middle of a stream is
a line of its own.
"""

from __future__ import annotations

import base64
import secrets
import sys
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from noibo.engines.ollama.asked import Asked
from noibo.errors import ContextExceeded, EngineError
from noibo.wire import openai, sse
from noibo.wire.body import UNREADABLE, Json
from noibo.wire.openai import logprobs

MOST_LINE: Final = 64 * 2**20  # bytes
_TIMES: Final = {"prompt_eval_duration": "prompt_ms", "eval_duration": "predicted_ms"}


@dataclass(slots=True)
class Teller:
    """What one answer says, line by line. `num_ctx`: the window that it was asked for with."""

    asked: Asked
    model: str
    num_ctx: int
    _head: Json = field(default_factory=dict)
    _calls: int = 0
    _offset: int = 0

    def __post_init__(self) -> None:
        kind = "chat.completion" if self.asked.chat else "text_completion"
        start = "chatcmpl" if self.asked.chat else "cmpl"
        self._head = {
            "id": f"{start}-{secrets.token_hex(12)}",
            "object": kind,
            "created": int(time.time()),
            "model": self.model,
        }

    def chunk(self, said: Json) -> list[Json]:
        """The chunks for one line. Raises `EngineError`, and `ContextExceeded` for a prompt that
        was cut."""
        self._check(said)
        found = []
        if (delta := self._said(said)) or said.get("logprobs"):
            found.append(self._choice(self._shaped(delta), None, said))
        if said.get("done"):
            ending = self._choice(self._shaped({}), self._reason(said), {}) | _timings(said)
            found.append(ending)
            if self.asked.with_usage:
                found.append(self._with_head({"choices": [], "usage": _usage(said)}))
        return found

    def whole(self, said: Json) -> Json:
        """An answer that was not streamed."""
        self._check(said)
        delta = self._said(said)
        if self.asked.chat:
            message = {"role": "assistant", "content": delta.pop("content", "") or None, **delta}
            for call in message.get("tool_calls", ()):
                call.pop("index")
            if message["content"] is None and "tool_calls" not in message:
                message["content"] = ""
            choice: Json = {"index": 0, "message": message}
        else:
            choice = {"index": 0, "text": delta.get("content", "")}
        choice |= {"logprobs": self._scores(said), "finish_reason": self._reason(said)}
        return {**self._head, "choices": [choice], "usage": _usage(said), **_timings(said)}

    def _check(self, said: Json) -> None:
        if error := said.get("error"):
            raise EngineError(str(error))
        read = said.get("prompt_eval_count")
        if isinstance(read, int) and self.num_ctx and read >= self.num_ctx:
            raise ContextExceeded(  # a prompt that fills all of it was longer
                read, self.num_ctx, next_step="Ollama has cut it. Send less, or update Ollama."
            )

    def _said(self, said: Json) -> Json:
        """What is new, as OpenAI's delta has it."""
        if not self.asked.chat:
            found = {"content": said.get("response"), "reasoning_content": said.get("thinking")}
            return {name: value for name, value in found.items() if value}
        message = said.get("message") or {}
        found = {
            "content": message.get("content"),
            "reasoning_content": message.get("thinking"),
            "tool_calls": self._tools(message.get("tool_calls") or ()),
        }
        return {name: value for name, value in found.items() if value}

    def _tools(self, calls: Any) -> list[Json]:
        found = []
        for call in calls:
            if self._calls and self.asked.one_call:
                break
            function = call["function"]
            arguments = msgspec.json.encode(function.get("arguments") or {}).decode()
            found.append(
                {
                    "index": self._calls,
                    "id": call.get("id") or f"call_{secrets.token_hex(4)}",
                    "type": "function",
                    "function": {"name": function["name"], "arguments": arguments},
                }
            )
            self._calls += 1
        return found

    def _shaped(self, delta: Json) -> Json:
        if self.asked.chat:
            return {"delta": {"role": "assistant", **delta} if delta else {}}
        return {"text": delta.get("content", "")}

    def _choice(self, shape: Json, reason: str | None, said: Json) -> Json:
        scores = {"logprobs": self._scores(said)} if said.get("logprobs") else {}
        choice = {"index": 0, **shape, **scores, "finish_reason": reason}
        return self._with_head({"choices": [choice]})

    def _with_head(self, more: Json) -> Json:
        streamed = {"object": "chat.completion.chunk"} if self.asked.chat else {}
        return {**self._head, **streamed, **more}

    def _scores(self, said: Json) -> Json | None:
        if self.asked.tops is None or not (rows := said.get("logprobs")):
            return None
        found = [_score(row) | {"top_logprobs": list(map(_score, row.get("top_logprobs") or ()))}
                 for row in rows]  # fmt: skip
        if self.asked.chat:
            return logprobs.as_chat(found, self.asked.tops)
        told = logprobs.as_text(found, self.asked.tops, self._offset)
        self._offset += sum(map(len, told["tokens"]))
        return told

    def _reason(self, said: Json) -> str:
        if said.get("done_reason") == "length":
            return "length"
        return "tool_calls" if self._calls else "stop"


class Lines:
    """Lines of JSON as events of a stream. A line may come in pieces, or several at once."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._rest = bytearray()
        self._ended = False
        self._error: EngineError | None = None  # to be raised

    def feed(self, chunk: bytes) -> bytes:
        if self._error is not None:
            raise self._error
        self._rest += chunk
        if len(self._rest) > MOST_LINE:
            raise EngineError(f"Ollama sent a line of more than {MOST_LINE >> 20} MiB.")
        if b"\n" not in chunk:
            return b""
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> bytes:
        """Those of whole lines. An error waits for the next call where some were before it."""
        told = []
        for line in lines:
            try:
                told.append(self._event(line))
            except EngineError as error:
                if not any(told):
                    raise
                self._error = error
                break
        return b"".join(told)

    def end(self) -> bytes:
        if self._error is not None:
            raise self._error
        line, self._rest = bytes(self._rest), bytearray()
        return self._event(line)

    def _event(self, line: bytes) -> bytes:
        if self._ended or not line.strip():
            return b""
        try:
            said = msgspec.json.decode(line, type=dict[str, Any])
            events = [sse.event(msgspec.json.encode(one)) for one in self._teller.chunk(said)]
        except (EngineError, ContextExceeded) as error:
            self._ended = True
            return openai.Voice().last_event(error)
        except (*UNREADABLE, KeyError, TypeError, AttributeError) as exc:
            raise EngineError(f"Ollama sent a line that is not understood ({exc!r}).") from exc
        if said.get("done"):
            self._ended = True
            events.append(sse.event(sse.DONE))
        return b"".join(events)


def vectors(said: Mapping[str, Any], model: str, *, packed: bool) -> Json:
    """OpenAI's answer with vectors; `packed`: in base64."""
    shape = _packed if packed else list
    data = [
        {"object": "embedding", "index": number, "embedding": shape(one)}
        for number, one in enumerate(said["embeddings"])
    ]
    tokens = int(said.get("prompt_eval_count") or 0)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def error_of(status: int, said: bytes) -> Json:
    """What an error answer says, in OpenAI's shape. Newer ones hand on llama-server's own, as a
    text in the text."""
    try:
        found = msgspec.json.decode(said)["error"]
    except (*UNREADABLE, KeyError, TypeError):
        return {"error": {"message": said[:500].decode(errors="replace") or f"status {status}"}}
    if isinstance(found, str) and found.lstrip().startswith("{"):
        try:
            inner = msgspec.json.decode(found)
        except UNREADABLE:
            inner = None
        found = inner.get("error", found) if isinstance(inner, dict) else found
    return {"error": found if isinstance(found, dict) else {"message": str(found)}}


def is_too_long(error: Json) -> bool:
    """Whether an error says that the prompt is longer than the window."""
    said = error["error"]
    message = str(said.get("message", ""))
    return said.get("type") == openai.TOO_LONG or "input length exceeds" in message


def _score(row: Mapping[str, Any]) -> Json:
    token = str(row.get("token", ""))
    known = row.get("bytes")
    spelt = list(token.encode("utf-8", "replace")) if known is None else known
    return {"token": token, "logprob": row.get("logprob", 0.0), "bytes": spelt}


def _usage(said: Json) -> Json:
    prompt, written = int(said.get("prompt_eval_count") or 0), int(said.get("eval_count") or 0)
    total = prompt + written
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": total}


def _timings(said: Json) -> Json:
    """As llama-server says it: what took how long, in milliseconds."""
    found: Json = {
        "prompt_n": int(said.get("prompt_eval_count") or 0),
        "predicted_n": int(said.get("eval_count") or 0),
    }
    for theirs, ours in _TIMES.items():
        if theirs in said:
            found[ours] = said[theirs] / 1e6
    return {"timings": found}


def _packed(vector: Any) -> str:
    found = array("f", vector)
    if sys.byteorder == "big":
        found.byteswap()
    return base64.b64encode(found.tobytes()).decode()
