"""The items of a response while they are given: what each is made of, and the events that tell it.

Events have no number and no place yet: the answer they belong to gives them both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from noibo.wire import ids
from noibo.wire.body import Json
from noibo.wire.responses.reasoning import sealed

Status = Literal["in_progress", "completed", "incomplete"]


class Item:
    """One item of the output. Opened once, given parts, closed once."""

    kind = ""
    prefix = ""

    def __init__(self) -> None:
        self.id = ids.new(self.prefix)
        self.status: Status = "in_progress"

    def body(self) -> Json:
        """The item as it stands."""
        raise NotImplementedError

    def opening(self) -> Iterable[Json]:
        """The events of its beginning."""
        yield {"type": "response.output_item.added", "item": self.body()}

    def closing(self, status: Status) -> Iterable[Json]:
        """The events of its end."""
        self.status = status
        yield from self.ends()
        yield {"type": "response.output_item.done", "item": self.body()}

    def ends(self) -> Iterable[Json]:
        """The events of its end, before the item's own."""
        return ()

    def _head(self) -> Json:
        return {"id": self.id, "type": self.kind, "status": self.status}

    def _event(self, kind: str, /, **more: Any) -> Json:
        return {"type": f"response.{kind}", "item_id": self.id, **more}


class Message(Item):
    """Text for the reader."""

    kind, prefix = "message", "msg"

    def __init__(self) -> None:
        super().__init__()
        self._text: list[str] = []
        self._logprobs: list[Json] = []
        self._begun = False

    def body(self) -> Json:
        content = [self._part()] if self._begun else []
        return {**self._head(), "role": "assistant", "content": content}

    def opening(self) -> Iterable[Json]:
        yield from super().opening()
        self._begun = True
        yield self._event("content_part.added", content_index=0, part=self._part())

    def add(self, text: str, logprobs: list[Json]) -> Iterable[Json]:
        self._text.append(text)
        self._logprobs += logprobs
        yield self._event("output_text.delta", content_index=0, delta=text, logprobs=logprobs)

    def ends(self) -> Iterable[Json]:
        part = self._part()
        about = {"text": part["text"], "logprobs": part["logprobs"]}
        yield self._event("output_text.done", content_index=0, **about)
        yield self._event("content_part.done", content_index=0, part=part)

    def _part(self) -> Json:
        text = "".join(self._text)
        said = {"type": "output_text", "text": text, "annotations": []}
        return {**said, "logprobs": list(self._logprobs)}


class Reasoning(Item):
    """What the model thought: as it is, or in the place of a summary, and packed if asked for."""

    kind, prefix = "reasoning", "rs"

    def __init__(self, *, summarised: bool, packed: bool) -> None:
        super().__init__()
        self._summarised = summarised
        self._packed = packed
        self._text: list[str] = []
        self._begun = False

    @property
    def text(self) -> str:
        return "".join(self._text)

    def body(self) -> Json:
        parts = [self._part()] if self._begun else []
        said: Json = {**self._head(), "summary": parts if self._summarised else []}
        if not self._summarised:
            said["content"] = parts
        if self._packed and self.status != "in_progress":
            said["encrypted_content"] = sealed(self.text)
        return said

    def opening(self) -> Iterable[Json]:
        yield from super().opening()
        self._begun = True
        yield self._part_event("added")

    def add(self, text: str) -> Iterable[Json]:
        self._text.append(text)
        yield self._text_event("delta", delta=text)

    def ends(self) -> Iterable[Json]:
        yield self._text_event("done", text=self.text)
        yield self._part_event("done")

    def _part(self) -> Json:
        kind = "summary_text" if self._summarised else "reasoning_text"
        return {"type": kind, "text": self.text}

    def _part_event(self, what: str) -> Json:
        if self._summarised:
            name = f"reasoning_summary_part.{what}"
            return self._event(name, summary_index=0, part=self._part())
        return self._event(f"content_part.{what}", content_index=0, part=self._part())

    def _text_event(self, what: str, **more: str) -> Json:
        if self._summarised:
            return self._event(f"reasoning_summary_text.{what}", summary_index=0, **more)
        return self._event(f"reasoning_text.{what}", content_index=0, **more)


class FunctionCall(Item):
    """A function that the caller is to run."""

    kind, prefix = "function_call", "fc"

    def __init__(self, name: str, call_id: str) -> None:
        super().__init__()
        self._name = name
        self._call_id = call_id or ids.new("call")
        self._arguments: list[str] = []

    def body(self) -> Json:
        arguments = "".join(self._arguments)
        named = {"call_id": self._call_id, "name": self._name, "arguments": arguments}
        return {**self._head(), **named}

    def add(self, arguments: str) -> Iterable[Json]:
        self._arguments.append(arguments)
        yield self._event("function_call_arguments.delta", delta=arguments)

    def ends(self) -> Iterable[Json]:
        arguments = "".join(self._arguments)
        yield self._event("function_call_arguments.done", name=self._name, arguments=arguments)
