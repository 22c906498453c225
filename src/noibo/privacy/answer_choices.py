"""Streamed choices of OpenAI's chats and completions, with the values back in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from noibo.privacy.answer_texts import AnswerTexts, Slot
from noibo.wire.body import Json

_SAID: Final = ("reasoning_content", "reasoning", "content", "refusal")
_ANSWER: Final = ("content", "text")  # JSON, where that was wanted
_CALLS: Final = "tool_calls"
_CALL: Final = "function_call"  # as it was before there were several
_DETAILS: Final = "reasoning_details"  # OpenRouter's
_OF_A_DELTA: Final = frozenset({*_SAID, _CALLS, _CALL, _DETAILS, "role"})
_OF_A_CHOICE: Final = frozenset({"delta", "finish_reason", "index", "message", "text"})
_KINDS: Final[Mapping[Any, str]] = {"text": "reasoning.text", "summary": "reasoning.summary"}


class AnswerChoices:
    """What is held of a text is said with the first piece of the next one of its choice, and with
    the event that ends the choice."""

    def __init__(self, texts: AnswerTexts) -> None:
        self._texts = texts
        self._last: Json = {}

    def event(self, said: Json) -> Json:
        """One chunk."""
        self._last = {name: one for name, one in said.items() if name not in {"choices", "usage"}}
        choices = [self._choice(one) if isinstance(one, dict) else one for one in said["choices"]]
        return {**said, "choices": choices}

    def left(self) -> list[Json]:
        """One more chunk, where the stream ended before its choices did."""
        choices: dict[Any, Json] = {}
        for slot in self._texts.within("choice"):
            if rest := self._texts.end(slot):
                choice: Json = {"index": slot[1], "delta": {}, "finish_reason": None}
                _add(choices.setdefault(slot[1], choice), slot, rest)
        return [{**self._last, "choices": list(choices.values())}] if choices else []

    def _choice(self, choice: Json) -> Json:
        index = choice.get("index", 0)
        made, touched = self._others(choice, _OF_A_CHOICE), set[Slot]()
        if isinstance(made.get("text"), str):
            made["text"] = self._feed(("choice", index, "text"), made["text"], touched)
        if isinstance(made.get("delta"), dict):
            made["delta"] = self._delta(index, made["delta"], touched)
        if isinstance(made.get("message"), dict):
            made["message"] = self._texts.redaction.restored(made["message"])
        ended = made.get("finish_reason") is not None
        for slot in self._texts.within("choice", index):
            if ended:
                _add(made, slot, self._texts.end(slot))
            elif touched and slot not in touched:
                _add(made, slot, self._texts.pause(slot))
        return made

    def _delta(self, index: Any, delta: Json, touched: set[Slot]) -> Json:
        made = self._others(delta, _OF_A_DELTA)
        for name in _SAID:
            if isinstance(made.get(name), str):
                made[name] = self._feed(("choice", index, name), made[name], touched)
        if isinstance(made.get(_CALLS), list):
            numbered = enumerate(made[_CALLS])
            made[_CALLS] = [self._call(index, place, one, touched) for place, one in numbered]
        if isinstance(made.get(_CALL), dict):
            made[_CALL] = self._function(("choice", index, _CALL), made[_CALL], touched)
        if isinstance(made.get(_DETAILS), list):
            made[_DETAILS] = [self._detail(index, one, touched) for one in made[_DETAILS]]
        return made

    def _others(self, said: Json, ours: frozenset[str]) -> Json:
        """With the values in what is no text of pieces: sources of an answer, say."""
        whole = self._texts.redaction.restored
        return {name: one if name in ours else whole(one) for name, one in said.items()}

    def _call(self, index: Any, place: int, call: Any, touched: set[Slot]) -> Any:
        if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
            return call
        slot = ("choice", index, _CALLS, call.get("index", place))
        return {**call, "function": self._function(slot, call["function"], touched)}

    def _function(self, slot: Slot, function: Json, touched: set[Slot]) -> Json:
        touched.add(slot)  # it has begun, also where its first piece is empty
        made = dict(function)
        if isinstance(made.get("name"), str):
            made["name"] = self._texts.redaction.restore(made["name"])
        if isinstance(made.get("arguments"), str):
            made["arguments"] = self._feed(slot, made["arguments"], touched, in_json=True)
        return made

    def _detail(self, index: Any, detail: Any, touched: set[Slot]) -> Any:
        made = dict(detail) if isinstance(detail, dict) else {}
        for name in ("text", "summary"):
            if isinstance(made.get(name), str):
                slot = ("choice", index, _DETAILS, name, made.get("index", 0))
                made[name] = self._feed(slot, made[name], touched)
        return made or detail

    def _feed(self, slot: Slot, piece: str, touched: set[Slot], *, in_json: bool = False) -> str:
        if not piece:
            return piece
        touched.add(slot)
        in_json = in_json or (self._texts.in_json and slot[2] in _ANSWER)
        return self._texts.feed(slot, piece, in_json=in_json)


def _add(choice: Json, slot: Slot, rest: str) -> None:
    """Say the rest of a text behind what the choice says of it."""
    name = str(slot[2])
    if not rest:
        return
    if name == "text":
        choice["text"] = (choice.get("text") or "") + rest
        return
    delta = choice["delta"] = dict(choice.get("delta") or {})
    if name == _CALLS:
        call = {"index": slot[3], "function": {"arguments": rest}}
        others = list(delta.get(_CALLS) or ())
        goes_on = any(isinstance(one, dict) and one.get("index") == slot[3] for one in others)
        delta[_CALLS] = [*others, call] if goes_on else [call, *others]  # another one follows it
    elif name == _CALL:
        said = dict(delta.get(_CALL) or {})
        delta[_CALL] = {**said, "arguments": said.get("arguments", "") + rest}
    elif name == _DETAILS:
        detail = {"type": _KINDS[slot[3]], "index": slot[4], slot[3]: rest}
        delta[_DETAILS] = [*(delta.get(_DETAILS) or ()), detail]
    else:
        delta[name] = (delta.get(name) or "") + rest
