"""A streamed answer with the values back in place of their placeholders, event by event.

Each text of an answer is a stream of its own: the content of each choice, each call of a tool, each
block. Whose API it is, each event shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from noibo.privacy.answer_choices import AnswerChoices
from noibo.privacy.answer_events import AnswerBlocks, AnswerItems, AnswerLines
from noibo.privacy.answer_texts import AnswerTexts
from noibo.privacy.redaction import Redaction
from noibo.wire import sse
from noibo.wire.body import UNREADABLE, Json

_ARGUMENTS: Final = ("arguments",)


class AnswerStream:
    """One answer, streamed or whole. `in_json`: what it says is JSON, because the request wanted
    that."""

    def __init__(self, redaction: Redaction, *, in_json: bool = False) -> None:
        texts = AnswerTexts(redaction, in_json=in_json)
        self._redaction = redaction
        self._in_json = in_json
        self._choices = AnswerChoices(texts)
        self._blocks = AnswerBlocks(texts)
        self._items = AnswerItems(texts)
        self._lines = AnswerLines(texts)
        self._events = sse.EventBuffer()

    def feed(self, chunk: bytes) -> bytes:
        """Bytes of a stream of events, cut anywhere, as far as they can be said by now."""
        if not self._redaction:
            return chunk
        return b"".join(self._told(event) for event in sse.events(self._events.feed(chunk)))

    def end(self) -> bytes:
        """What is left where the stream ends, whole or cut off."""
        if not self._redaction:
            return b""
        rest = b"".join(self._told(event) for event in sse.events(self._events.end()))
        return rest + _written(self.left())

    def event(self, said: Json) -> list[Json]:
        """One event, decoded, or one line of Ollama's: what is to be said in its place."""
        kind = said.get("type")
        if isinstance(said.get("choices"), list):
            return [self._choices.event(said)]
        if isinstance(kind, str) and kind.startswith("content_block_"):
            return self._blocks.event(said)
        if isinstance(kind, str) and kind.startswith("response."):
            return self._items.event(said)
        if "done" in said:
            return [self._lines.event(said)]
        return [self._redaction.restored(said)]

    def whole(self, content: bytes) -> bytes:
        """An answer that is one document; what is no JSON is restored as a text."""
        try:
            said = msgspec.json.decode(content)
        except UNREADABLE:
            return self._redaction.restore(content.decode(errors="replace")).encode()
        return msgspec.json.encode(self._redaction.restored(said, self._json_fields(said)))

    def _json_fields(self, said: Any) -> tuple[str, ...]:
        if not self._in_json:
            return _ARGUMENTS
        choices = said.get("choices") if isinstance(said, dict) else None
        is_text = isinstance(choices, list) and any("text" in one for one in choices)
        return (*_ARGUMENTS, "text" if is_text else "content")

    def left(self) -> list[Json]:
        """What is held of choices that nothing has ended."""
        return self._choices.left()

    def data(self, content: bytes, *, named: bool = False) -> bytes:
        """What is to be said in place of one event that carries `content`. `named`: events have
        their kind as a name."""
        if content == sse.DONE:
            return _written(self.left()) + sse.event(content)
        try:
            said = msgspec.json.decode(content)
        except UNREADABLE:
            return sse.event(self._redaction.restore(content.decode(errors="replace")).encode())
        if not isinstance(said, dict):
            return sse.event(content)
        return _written(self.event(said), named=named)

    def _told(self, event: bytes) -> bytes:
        content = sse.data(event)
        named = event.startswith(b"event:") or b"\nevent:" in event
        return self.data(content, named=named) if content else event


def wants_json(fields: Mapping[str, Any]) -> bool:
    """The answer is to be JSON: what is put back into it must be escaped as that is."""
    form = _said(fields, "response_format") or _said(_said(fields, "text"), "format")
    if isinstance(form, dict):
        return form.get("type") not in {None, "text"}
    form = _said(fields, "format")  # Ollama's: "json", or a schema
    return form == "json" or isinstance(form, dict)


def _said(fields: Any, name: str) -> Any:
    said = fields.get(name) if isinstance(fields, Mapping) else None
    try:
        return msgspec.json.decode(said) if isinstance(said, msgspec.Raw) else said
    except UNREADABLE:
        return None


def _written(events: Iterable[Json], *, named: bool = False) -> bytes:
    return b"".join(
        sse.event(msgspec.json.encode(one), str(one.get("type", "")) if named else "")
        for one in events
    )
