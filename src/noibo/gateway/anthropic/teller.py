"""Tells an answer as Anthropic's API does: blocks of thinking, text and tool use, in turn.

    message_start · ping · (content_block_start · content_block_delta … · content_block_stop) …
    · message_delta · message_stop

`message_start` waits for the first word, since only then it is known what the prompt took.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

import msgspec

from noibo.errors import EngineError
from noibo.gateway.anthropic.request import Asked
from noibo.gateway.pipeline import Stream
from noibo.gateway.teller import Teller
from noibo.wire import anthropic, openai, sse
from noibo.wire.body import Json
from noibo.wire.openai.calls import Call

_REASONS: Final = {"length": "max_tokens", "tool_calls": "tool_use"}


class MessageTeller(Teller):
    """One answer."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._id = f"msg_{secrets.token_hex(12)}"
        self._model = ""
        self._end = _End()
        self._block: _Block | None = None
        self._blocks = 0
        self._begun = False
        self._more: Json = {}  # what is said of the answer besides
        self._forced = Call() if asked.forced else None

    def begin(self, stream: Stream) -> bytes:
        self._model = stream.name
        self._more = stream.cut.member() if stream.cut else {}
        return b""

    def chunk(self, event: Json) -> bytes:
        self._end.note(event)
        said = b"".join(self._choice(choice) for choice in event.get("choices") or ())
        return self._start() + said if said else b""

    def end(self) -> bytes:
        delta = self._end.delta(self._asked, used_tool=self._end.used_tool)
        usage = self._end.usage()
        return (
            self._start()
            + self._close()
            + _event("message_delta", delta=delta, usage=usage, **self._more)
            + _event("message_stop")
        )

    def whole(self, answer: Json) -> bytes:
        self._end.note(answer)
        choice = answer["choices"][0]
        if self._forced is not None:
            choice = _called(self._forced, choice)
        self._end.ended(choice)
        content = _content(choice["message"], self._asked, cut_off=self._end.finish == "length")
        used = any(block["type"] == "tool_use" for block in content)
        delta = self._end.delta(self._asked, used_tool=used)
        message = self._message() | {"content": content, **delta, "usage": self._end.usage()}
        message |= self._more
        return msgspec.json.encode(message)

    def _message(self) -> Json:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._end.usage(),
        }

    def _start(self) -> bytes:
        """The beginning, unless it was told."""
        if self._begun:
            return b""
        self._begun = True
        return _event("message_start", message=self._message()) + anthropic.PING

    def _choice(self, choice: Json) -> bytes:
        if self._forced is not None:
            self._forced.tell(choice)
        self._end.ended(choice)
        delta, said = choice.get("delta") or {}, b""
        if thought := delta.get("reasoning_content"):
            said += self._say("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            said += self._think(thought)
        if text := delta.get("content"):
            said += self._say("text", {"type": "text", "text": ""})
            said += self._delta({"type": "text_delta", "text": text})
        return said + b"".join(self._call(call) for call in delta.get("tool_calls") or ())

    def _think(self, thought: str) -> bytes:
        if self._block is not None:
            self._block.signature.update(thought.encode())
        shown = self._asked.shows_thinking
        return self._delta({"type": "thinking_delta", "thinking": thought}) if shown else b""

    def _call(self, call: Json) -> bytes:
        function = call.get("function") or {}
        key = f"call {call.get('index') or 0}"
        said = b""
        if self._block is None or self._block.key != key:
            if not function.get("name"):
                raise EngineError("The engine went back to a tool call that had ended.")
            said = self._say(key, _tool_use(call.get("id"), function["name"], {}))
            self._end.used_tool = True
        if arguments := function.get("arguments"):
            said += self._delta({"type": "input_json_delta", "partial_json": arguments})
        return said

    def _say(self, key: str, block: Json) -> bytes:
        """The beginning of a block, unless it is the one that is open."""
        if self._block is not None and self._block.key == key:
            return b""
        said = self._close()
        self._block = _Block(key, self._blocks)
        self._blocks += 1
        return said + _event("content_block_start", index=self._block.index, content_block=block)

    def _delta(self, delta: Json) -> bytes:
        index = self._block.index if self._block is not None else 0
        return _event("content_block_delta", index=index, delta=delta)

    def _close(self) -> bytes:
        """The end of the block that is open."""
        if self._block is None:
            return b""
        said, block = b"", self._block
        if block.key == "thinking":
            signed = {"type": "signature_delta", "signature": block.signature.hexdigest()}
            said = self._delta(signed)
        self._block = None
        return said + _event("content_block_stop", index=block.index)


class _Block:
    """A block that is being told. What was thought is signed by its digest."""

    def __init__(self, key: str, index: int) -> None:
        self.key, self.index = key, index
        self.signature = hashlib.blake2b(digest_size=32)


class _End:
    """How an answer ended, and what it took, by what the engine says on the way."""

    def __init__(self) -> None:
        self.finish = ""
        self.used_tool = False
        self._word = ""
        self._prompt = self._reused = self._written = 0

    def note(self, said: Json) -> None:
        """Take what is in an event, or in a whole answer."""
        if isinstance(verbose := said.get("__verbose"), dict):
            self._word = verbose.get("stopping_word") or ""
        if timings := said.get("timings"):
            self._reused = timings.get("cache_n") or 0
            self._prompt = self._reused + (timings.get("prompt_n") or 0)
            self._written = timings.get("predicted_n") or 0
        if usage := said.get("usage"):
            self._prompt, self._written = usage["prompt_tokens"], usage["completion_tokens"]
            details = usage.get("prompt_tokens_details") or {}
            self._reused = details.get("cached_tokens", self._reused)

    def ended(self, choice: Json) -> None:
        """Take why a choice ends, where it does. vLLM names the stop text with it."""
        self.finish = choice.get("finish_reason") or self.finish
        if isinstance(word := choice.get("stop_reason"), str):
            self._word = word

    def usage(self) -> Json:
        return {
            "input_tokens": self._prompt - self._reused,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": self._reused,
            "output_tokens": self._written,
            "service_tier": "standard",
        }

    def delta(self, asked: Asked, *, used_tool: bool) -> Json:
        """Why it ended."""
        if self._word and self._word in asked.stops:
            return {"stop_reason": "stop_sequence", "stop_sequence": self._word}
        reason = _REASONS.get(self.finish, "end_turn")
        if reason == "max_tokens" and self._written < asked.limit:
            reason = "model_context_window_exceeded"
        if used_tool and reason == "end_turn":
            reason = "tool_use"
        return {"stop_reason": reason, "stop_sequence": None}


def _called(call: Call, choice: Json) -> Json:
    """A whole answer that is the JSON of a call, as one that makes it."""
    told = {"delta": dict(choice["message"]), "finish_reason": choice.get("finish_reason")}
    call.tell(told)
    assembler = openai.Assembler(chat=True)
    assembler.add({"choices": [{"index": 0, **told}]})
    found: Json = assembler.answer()["choices"][0]
    return found


def _content(message: Json, asked: Asked, *, cut_off: bool) -> list[Json]:
    """The blocks of a whole answer."""
    content: list[Json] = []
    if thought := message.get("reasoning_content"):
        signature = hashlib.blake2b(thought.encode(), digest_size=32).hexdigest()
        shown = thought if asked.shows_thinking else ""
        content.append({"type": "thinking", "thinking": shown, "signature": signature})
    if text := message.get("content"):
        content.append({"type": "text", "text": text})
    for call in message.get("tool_calls") or ():
        function = call["function"]
        written = _input(function["arguments"], cut_off=cut_off)
        content.append(_tool_use(call["id"], function["name"], written))
    return content


def _tool_use(call_id: str | None, name: str, written: Json) -> Json:
    """The engine's own id where it gives one: chat templates expect it in their model's form."""
    call_id = call_id or f"toolu_{secrets.token_hex(12)}"
    return {"type": "tool_use", "id": call_id, "name": name, "input": written}


def _input(arguments: str, *, cut_off: bool) -> Json:
    """What a tool is called with; nothing, where the answer was cut off in the middle of it."""
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError as exc:
        if cut_off:
            return {}
        raise EngineError("The engine called a tool with what is no JSON object.") from exc


def _event(kind: str, **fields: object) -> bytes:
    return sse.event(msgspec.json.encode({"type": kind, **fields}), kind)
