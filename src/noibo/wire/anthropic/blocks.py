"""The blocks that a message of Anthropic's API is made of, and which of them can be read here.

Every type of block has a verdict: a shape, whose every field is known, or a reason why it is
refused. `cache_control` is read and changes nothing: kept state is used wherever it fits anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec

from noibo.errors import InvalidRequest
from noibo.wire.body import UNREADABLE

T = TypeVar("T")
CacheControl = dict[str, Any]


class Shape(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An object of which every field is known."""


class Block(Shape, frozen=True, kw_only=True):
    """One block of content."""

    type: str
    cache_control: CacheControl | None = None


class Citations(Shape, frozen=True):
    """Whether an answer is to cite a document: no engine here can."""

    enabled: Literal[False] | None = None


class Text(Block, frozen=True, kw_only=True):
    """`citations` say where text of an earlier answer came from; the text is whole without."""

    text: str
    citations: list[Any] | None = None


class Base64Source(Shape, frozen=True, kw_only=True):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class Image(Block, frozen=True, kw_only=True):
    source: Base64Source
    transformations: None = None


class PlainTextSource(Shape, frozen=True, kw_only=True, tag_field="type", tag="text"):
    media_type: Literal["text/plain"]
    data: str


class ContentSource(Shape, frozen=True, kw_only=True, tag_field="type", tag="content"):
    content: str | list[msgspec.Raw]


class Document(Block, frozen=True, kw_only=True):
    source: PlainTextSource | ContentSource
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None


class SearchResult(Block, frozen=True, kw_only=True):
    content: list[msgspec.Raw]
    source: str
    title: str
    citations: Citations | None = None


class Thinking(Block, frozen=True, kw_only=True):
    """`signature` is whoever's that thought it: a model that reads it on has no use for it."""

    thinking: str
    signature: str = ""


class DirectCaller(Shape, frozen=True, kw_only=True):
    type: Literal["direct"]


class ToolUse(Block, frozen=True, kw_only=True):
    id: str
    name: str
    input: dict[str, Any]
    caller: DirectCaller | None = None
    toolset_name: None = None


class ToolResult(Block, frozen=True, kw_only=True):
    tool_use_id: str
    content: str | list[msgspec.Raw] | None = None
    is_error: bool | None = None
    toolset_name: None = None


class System(Block, frozen=True, kw_only=True):
    """Instructions in the middle of a conversation."""

    content: list[msgspec.Raw]


READ: Final[Mapping[str, type[Block]]] = {
    "text": Text,
    "image": Image,
    "document": Document,
    "search_result": SearchResult,
    "thinking": Thinking,
    "tool_use": ToolUse,
    "tool_result": ToolResult,
    "mid_conv_system": System,
}
_HOSTED: Final = "it belongs to a tool that Anthropic runs on its own servers"
REFUSED: Final[Mapping[str, str]] = {
    "redacted_thinking": "only Anthropic can read what is in it",
    "container_upload": "there are no containers here",
    "fallback": "it belongs to a change between Anthropic's models",
    "tool_addition": "tools are the same for all of a request; list them in `tools`",
    "tool_removal": "tools are the same for all of a request; list them in `tools`",
    "compaction": "only Anthropic's context management writes it",
    **dict.fromkeys(
        (
            "server_tool_use",
            "web_search_tool_result",
            "web_fetch_tool_result",
            "code_execution_tool_result",
            "bash_code_execution_tool_result",
            "text_editor_code_execution_tool_result",
            "tool_search_tool_result",
            "tool_reference",
            "mcp_tool_listing",
            "mcp_tool_use",
            "mcp_tool_result",
            "advisor_tool_result",
        ),
        _HOSTED,
    ),
}
_SOURCES: Final = {
    "url": "nothing is fetched for a caller; send it inside the request",
    "file": "there are no stored files for messages; send it inside the request",
    "base64": "a PDF is not read here; send its text, as a source of type text",
}


class _Kind(msgspec.Struct):
    type: str


class _Sourced(msgspec.Struct):
    source: _Kind


def shaped(raw: bytes | msgspec.Raw, shape: type[T], where: str) -> T:
    """Something of a body in its shape. Raises `InvalidRequest` that names it."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except UNREADABLE as exc:
        raise InvalidRequest(f"{where}: {exc}.", param=where) from exc


def read_block(raw: msgspec.Raw, where: str) -> Block:
    """One block. Raises `InvalidRequest` for one that is not read here, with the reason."""
    kind = shaped(raw, _Kind, where).type
    if kind in REFUSED:
        raise InvalidRequest(f"{where}: a block of type {kind} is refused: {REFUSED[kind]}.",
                             param=where, next_step="Leave it out.")  # fmt: skip
    if kind not in READ:
        known = ", ".join(READ)
        raise InvalidRequest(f"{where}.type: {kind[:40]!r} is none of {known}.", param=where)
    if kind in {"image", "document"}:
        _require_inside(raw, kind, where)
    return shaped(raw, READ[kind], where)


def _require_inside(raw: msgspec.Raw, kind: str, where: str) -> None:
    source = shaped(raw, _Sourced, where).source.type
    if why := _SOURCES.get(source if (kind, source) != ("image", "base64") else ""):
        raise InvalidRequest(f"{where}.source: type {source}: {why}.", param=f"{where}.source")
