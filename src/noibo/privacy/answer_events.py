"""Streamed answers of the other APIs, with the values back in them: blocks of Anthropic's
messages, OpenAI's responses, and Ollama's lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from noibo.privacy.answer_texts import AnswerTexts, Slot
from noibo.wire.body import Json

_OF_A_DELTA: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
}
_IN_JSON: Final = "input_json_delta"
_OF_A_LINE: Final = ("thinking", "content", "response")
_THOUGHT: Final = ("thinking", "thinking_delta")
_PLACES: Final[tuple[str, ...]] = (
    "item_id",
    "output_index",
    "content_index",
    "summary_index",
    "sequence_number",
)


class AnswerBlocks:
    """content_block_start, content_block_delta, content_block_stop: what is held of a block is one
    more delta before it stops."""

    def __init__(self, texts: AnswerTexts) -> None:
        self._texts = texts

    def event(self, said: Json) -> list[Json]:
        index = said.get("index", 0)
        if said["type"] == "content_block_stop":
            return [*self._rest(index), said]
        delta = said.get("delta")
        kind = delta.get("type") if isinstance(delta, dict) else None
        name = _OF_A_DELTA.get(kind) if isinstance(kind, str) else None
        if not isinstance(delta, dict) or name is None or not isinstance(delta.get(name), str):
            return [self._texts.redaction.restored(said)]
        slot = ("block", index, kind)
        new = self._texts.feed(slot, delta[name], in_json=self._in_json(kind))
        return [{**said, "delta": {**delta, name: new}}]

    def _in_json(self, kind: object) -> bool:
        return kind == _IN_JSON or (self._texts.in_json and kind not in _THOUGHT)

    def _rest(self, index: Any) -> Iterator[Json]:
        for slot in self._texts.within("block", index):
            if rest := self._texts.end(slot):
                kind = str(slot[2])
                delta = {"type": kind, _OF_A_DELTA[kind]: rest}
                yield {"type": "content_block_delta", "index": index, "delta": delta}


class AnswerItems:
    """response.….delta, response.….done: what is held of a text is one more delta before it is
    done, and the numbers of what follows move on by one."""

    def __init__(self, texts: AnswerTexts) -> None:
        self._texts = texts
        self._added = 0

    def event(self, said: Json) -> list[Json]:
        stem, _, what = str(said["type"]).rpartition(".")
        slot: Slot = (stem, *(said.get(name) for name in _PLACES[:4]))
        if what == "delta" and isinstance(said.get("delta"), str):
            in_json = "arguments" in stem or (self._texts.in_json and "output_text" in stem)
            new = self._texts.feed(slot, said["delta"], in_json=in_json)
            return [self._numbered({**said, "delta": new})]
        more = []
        if what == "done" and (rest := self._texts.end(slot)):
            known: Json = {name: said[name] for name in _PLACES if name in said}
            more.append(self._numbered({"type": f"{stem}.delta", **known, "delta": rest}))
            self._added += 1
        return [*more, self._numbered(self._texts.redaction.restored(said))]

    def _numbered(self, said: Json) -> Json:
        number = said.get("sequence_number")
        return {**said, "sequence_number": number + self._added} if type(number) is int else said


class AnswerLines:
    """Lines of /api/chat and /api/generate."""

    def __init__(self, texts: AnswerTexts) -> None:
        self._texts = texts

    def event(self, said: Json) -> Json:
        made = self._told(said, "line", done=bool(said.get("done")))
        message = made.get("message")
        if isinstance(message, dict):
            if "tool_calls" in message:
                calls = self._texts.redaction.restored(message["tool_calls"])
                message = {**message, "tool_calls": calls}
            made["message"] = self._told(message, "message", done=bool(said.get("done")))
        return made

    def _told(self, part: Json, where: str, *, done: bool) -> Json:
        made = dict(part)
        for name in _OF_A_LINE:
            if isinstance(made.get(name), str):
                in_json = self._texts.in_json and name not in _THOUGHT
                made[name] = self._texts.feed((where, name), made[name], in_json=in_json)
            if done and (rest := self._texts.end((where, name))):
                made[name] = made.get(name, "") + rest
        return made
