"""A conversation in Anthropic's blocks, said in OpenAI's messages.

Turns of one side that follow each other become one, as Anthropic has it; a result of a tool becomes
a message of its own; documents and search results are put into the text, for want of anything that
models read them by. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from noibo.errors import InvalidRequest
from noibo.wire.anthropic import blocks
from noibo.wire.anthropic.blocks import Block, Shape, read_block
from noibo.wire.body import Json

Content = str | list[msgspec.Raw]
_MAY: Final[Mapping[str, frozenset[str]]] = {
    "system": frozenset({"text"}),
    "user": frozenset(
        {"text", "image", "document", "search_result", "tool_result", "mid_conv_system"}
    ),
    "assistant": frozenset({"text", "thinking", "tool_use"}),
    "tool": frozenset({"text", "image", "document", "search_result"}),
    "document": frozenset({"text", "image"}),
}
# What stands between two pieces of text: an answer was cut into pieces, anything else put together.
_BETWEEN: Final = {"assistant": ""}
_APART: Final = "\n\n"
_SHOWN: Final = 5  # of calls without a result


class Message(Shape, frozen=True, kw_only=True):
    """One turn. Instructions stay where they are said, and change no setting."""

    role: Literal["user", "assistant", "system"]
    content: Content
    clear_at: Literal["never"] | None = None
    output_config: None = None


def read_system(system: Content) -> list[Json]:
    """The system prompt as messages: one, or none."""
    told = _Conversation()
    told.take("system", system, "system")
    return told.finished()


def read_messages(messages: list[msgspec.Raw], *, sees_images: bool) -> list[Json]:
    """All turns. Raises `InvalidRequest` that names the block."""
    if not messages:
        raise InvalidRequest("messages: at least one message is required.", param="messages")
    told = _Conversation(sees_images)
    for number, raw in enumerate(messages):
        where = f"messages.{number}"
        message = blocks.shaped(raw, Message, where)
        told.take(message.role, message.content, f"{where}.content")
    return told.finished()


@dataclass(slots=True)
class _Conversation:
    """Messages as they come together. `open` holds the calls that have no result yet."""

    sees_images: bool = False
    messages: list[Json] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)

    def take(self, role: str, content: Content, where: str) -> None:
        """One turn of one side."""
        self.turn(role)
        for place, block in self.read(role, content, where):
            if isinstance(block, blocks.ToolUse):
                self.call(block, place)
            elif isinstance(block, blocks.ToolResult):
                self.result(block, place)
            elif isinstance(block, blocks.Thinking):
                self.turn(role).setdefault("reasoning_content", []).append(block.thinking)
            elif isinstance(block, blocks.System):
                for one in self.read("system", block.content, f"{place}.content"):
                    self.turn("system")["content"] += self.parts(*one)
            else:
                self.turn(role)["content"] += self.parts(place, block)

    def read(self, role: str, content: Content, where: str) -> list[tuple[str, Block]]:
        """The blocks of a turn, each with its name; only such as this side may say."""
        if isinstance(content, str):
            return [(where, blocks.Text(type="text", text=content))]
        found = [(f"{where}.{i}", read_block(raw, f"{where}.{i}")) for i, raw in enumerate(content)]
        for place, block in found:
            if block.type not in _MAY[role]:
                raise InvalidRequest(
                    f"{place}: a block of type {block.type} has no place in a {role}'s content.",
                    param=place,
                )
        return found

    def turn(self, role: str) -> Json:
        """The message that is being put together: the last, if it is this side's."""
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": []})
        return self.messages[-1]

    def call(self, block: blocks.ToolUse, where: str) -> None:
        if block.id in self.names:
            raise InvalidRequest(f"{where}.id: {block.id!r} is there twice.", param=f"{where}.id")
        self.names[block.id] = self.open[block.id] = block.name
        arguments = msgspec.json.encode(block.input).decode()
        function = {"name": block.name, "arguments": arguments}
        call = {"id": block.id, "type": "function", "function": function}
        self.turn("assistant").setdefault("tool_calls", []).append(call)

    def result(self, block: blocks.ToolResult, where: str) -> None:
        name = self.open.pop(block.tool_use_id, None)
        if name is None:
            raise InvalidRequest(
                f"{where}.tool_use_id: {block.tool_use_id!r} is no tool_use that waits for a"
                " result.",
                param=f"{where}.tool_use_id",
            )
        content: list[Json] = [_text("Error:")] if block.is_error else []
        for one in self.read("tool", block.content or "", f"{where}.content"):
            content += self.parts(*one)
        answer = {"role": "tool", "tool_call_id": block.tool_use_id, "name": name}
        self.messages.append(answer | {"content": content})

    def parts(self, where: str, block: Block) -> list[Json]:
        """What a block says, as the parts of a message."""
        if isinstance(block, blocks.Image):
            return [self.picture(where, block)]
        if isinstance(block, blocks.Document):
            head = [f"Document: {block.title}" if block.title else "", block.context or ""]
            return [_text(*head), *self.inside(where, block)]
        if isinstance(block, blocks.SearchResult):
            told = [one for at in self.read("document", block.content, where)
                    for one in self.parts(*at)]  # fmt: skip
            return [_text(f"Search result: {block.title}", block.source), *told]
        assert isinstance(block, blocks.Text)  # noqa: S101 - what a side may say is one of these
        return [_text(block.text)]

    def inside(self, where: str, block: blocks.Document) -> list[Json]:
        if isinstance(block.source, blocks.PlainTextSource):
            return [_text(block.source.data)]
        found = self.read("document", block.source.content, f"{where}.source.content")
        return [part for one in found for part in self.parts(*one)]

    def picture(self, where: str, block: blocks.Image) -> Json:
        if not self.sees_images:
            raise InvalidRequest(
                f"{where}: this model sees no images: it has no projector.",
                param=where,
                next_step="Ask a model that came with one (`noibo ls`), or send text only.",
            )
        url = f"data:{block.source.media_type};base64,{block.source.data}"
        return {"type": "image_url", "image_url": {"url": url}}

    def finished(self) -> list[Json]:
        """The messages. Raises for calls that were never answered: no model reads on from there."""
        if self.open:
            raise InvalidRequest(
                f"messages: no tool_result for {_named(self.open)}.",
                param="messages",
                next_step="Each tool_use needs a tool_result in the turn after it.",
            )
        return [_joined(message) for message in self.messages if _says_something(message)]


def _text(*lines: str) -> Json:
    return {"type": "text", "text": "\n".join(line for line in lines if line)}


def _named(calls: Mapping[str, str]) -> str:
    shown = [repr(key[:60]) for key in itertools.islice(calls, _SHOWN)]
    return ", ".join(shown) + (", …" if len(calls) > _SHOWN else "")


def _says_something(message: Json) -> bool:
    """A user's turn may have been results only; an empty one of the assistant begins its answer."""
    return bool(message["content"]) or message["role"] in {"assistant", "tool"}


def _joined(message: Json) -> Json:
    if "reasoning_content" in message:
        message["reasoning_content"] = "".join(message["reasoning_content"])
    parts: list[dict[str, Any]] = message["content"]
    if all(part["type"] == "text" for part in parts):
        between = _BETWEEN.get(message["role"], _APART)
        message["content"] = between.join(part["text"] for part in parts if part["text"])
    return message
