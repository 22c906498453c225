"""An answer from elsewhere in the caller's own words: values in place of their placeholders, also
where one is cut between two events. In OpenAI's shape: events of a stream, or one document.

Every text of an answer comes in pieces of its own: the words of each choice, what it thought, the
arguments of each call. Each has a restorer; what one holds back comes out with the last event of
its choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from noibo.privacy.redaction import Redaction
from noibo.privacy.restoring import Restorer
from noibo.wire import sse
from noibo.wire.body import UNREADABLE, Json

_SPOKEN: Final = ("content", "reasoning_content", "reasoning", "refusal")
Key = tuple[int, str, int]  # the choice, the field, which call


class Events:
    """Restores the events of one stream."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._restorers: dict[Key, Restorer] = {}
        self._last: Json = {}

    def event(self, data: bytes) -> bytes:
        """One event's data, told. What is no JSON object is restored as a text."""
        if data == sse.DONE:
            return self._rest() + sse.event(data)
        try:
            chunk = msgspec.json.decode(data)
        except UNREADABLE:
            return sse.event(self._redaction.restore(data.decode(errors="replace")).encode())
        if not isinstance(chunk, dict):
            return sse.event(data)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return sse.event(msgspec.json.encode(self._redaction.restored(chunk)))
        self._last = chunk
        for choice in choices:
            if isinstance(choice, dict):
                self._choice(choice)
        return sse.event(msgspec.json.encode(chunk))

    def end(self) -> bytes:
        """What is left where a stream ends without its last word."""
        return self._rest()

    def _choice(self, choice: Json) -> None:
        index = _index(choice)
        ends = choice.get("finish_reason") is not None
        delta = choice.get("delta")
        if isinstance(delta, dict):
            for name in _SPOKEN:
                self._say(delta, (index, name, 0), name, ends=ends)
            self._calls(delta, index)
            self._details(delta, index)
        self._say(choice, (index, "text", 0), "text", ends=ends)
        if isinstance(message := choice.get("message"), dict):  # one that is whole
            choice["message"] = self._redaction.restored(message)
        if ends:
            self._flush_calls(choice, index)

    def _say(self, holder: Json, key: Key, name: str, *, ends: bool = False) -> None:
        """The next piece of a text, and all of its rest where it ends."""
        said = holder.get(name)
        known = self._restorers.get(key)
        if not isinstance(said, str) and known is None:
            return
        restorer = known or self._new(key)
        told = restorer.feed(said) if isinstance(said, str) else ""
        told += restorer.end() if ends else ""
        if told or isinstance(said, str):
            holder[name] = told

    def _calls(self, delta: Json, index: int) -> None:
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                number = call.get("index", 0)
                key = (index, "arguments", number if isinstance(number, int) else 0)
                self._say(function, key, "arguments")
                if isinstance(name := function.get("name"), str):
                    function["name"] = self._redaction.restore(name)
        if isinstance(function := delta.get("function_call"), dict):
            self._say(function, (index, "arguments", -1), "arguments")

    def _details(self, delta: Json, index: int) -> None:
        """Thoughts as OpenRouter has them beside `reasoning`."""
        details = delta.get("reasoning_details")
        for number, one in enumerate(details if isinstance(details, list) else ()):
            for name in ("text", "summary"):
                if isinstance(one, dict) and isinstance(one.get(name), str):
                    self._say(one, (index, f"details.{name}", number), name)

    def _flush_calls(self, choice: Json, index: int) -> None:
        """The rest of the arguments of its calls."""
        delta = choice.setdefault("delta", {}) if "text" not in choice else {}
        for key, restorer in self._restorers.items():
            if key[0] != index or key[1] != "arguments" or not (rest := restorer.end()):
                continue
            if key[2] < 0:
                delta.setdefault("function_call", {})["arguments"] = rest
            else:
                more = {"index": key[2], "function": {"arguments": rest}}
                delta.setdefault("tool_calls", []).append(more)

    def _rest(self) -> bytes:
        """An event with what nobody has ended."""
        choices: list[Json] = []
        for (index, name, number), restorer in self._restorers.items():
            if not (rest := restorer.end()):
                continue
            if name == "text":
                choices.append({"index": index, "text": rest, "finish_reason": None})
            elif name == "arguments":
                call = {"index": max(number, 0), "function": {"arguments": rest}}
                choices.append({"index": index, "delta": {"tool_calls": [call]}})
            elif not name.startswith("details"):
                choices.append({"index": index, "delta": {name: rest}, "finish_reason": None})
        if not choices:
            return b""
        told = {**self._last, "choices": choices}
        told.pop("usage", None)
        return sse.event(msgspec.json.encode(told))

    def _new(self, key: Key) -> Restorer:
        made = Restorer(self._redaction, in_json=key[1] == "arguments")
        self._restorers[key] = made
        return made


def document(redaction: Redaction) -> Callable[[bytes], bytes]:
    """Restores an answer that is one document."""

    def told(said: bytes) -> bytes:
        try:
            found = msgspec.json.decode(said)
        except UNREADABLE:
            return redaction.restore(said.decode(errors="replace")).encode()
        return msgspec.json.encode(redaction.restored(found))

    return told


def _index(choice: Any) -> int:
    index = choice.get("index", 0)
    return index if isinstance(index, int) else 0
