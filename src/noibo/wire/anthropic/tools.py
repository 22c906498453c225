"""Tools in Anthropic's shape, and which of them an answer may or must use, said in OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from noibo.errors import InvalidRequest
from noibo.wire.anthropic.blocks import CacheControl, Shape, shaped
from noibo.wire.body import Json
from noibo.wire.openai import calls

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_WRITE_IT: Final = "Describe it as a tool of your own, with `name`, `description`, `input_schema`."


class Tool(Shape, frozen=True, kw_only=True):
    """A tool that the caller runs. `strict`: a schema that cannot be kept to for certain is
    refused; arguments come as they are written, so `eager_input_streaming` asks for nothing more.
    """

    name: str
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    description: str | None = None
    input_examples: list[dict[str, Any]] | None = None
    strict: bool | None = None
    eager_input_streaming: bool | None = None
    defer_loading: Literal[False] | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    cache_control: CacheControl | None = None


class Choice(Shape, frozen=True, kw_only=True):
    """How tools are used."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Kind(msgspec.Struct):
    type: str | None = None


def read_tools(raw: list[msgspec.Raw]) -> list[Json]:
    """The tools. Raises `InvalidRequest` that names the one that cannot be used."""
    found = [_read(one, f"tools.{number}") for number, one in enumerate(raw)]
    names: set[str] = set()
    for number, tool in enumerate(found):
        name = tool["function"]["name"]
        if name in names:
            raise InvalidRequest(f"tools.{number}.name: {name!r} is there twice.", param="tools")
        names.add(name)
    return found


def choose(choice: Choice, tools: list[Json]) -> Mapping[str, Any]:
    """The fields for a choice. One single tool is the only one that is shown: it must be used."""
    if not tools:
        raise InvalidRequest("tool_choice: there are no tools to choose from.", param="tool_choice")
    if choice.name is not None and choice.type != "tool":
        raise InvalidRequest(
            f"tool_choice.name: a choice of type {choice.type} has none.", param="tool_choice.name"
        )
    parallel = {"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {}
    if choice.type != "tool":
        return {"tool_choice": {"any": "required"}.get(choice.type, choice.type), **parallel}
    only = [tool for tool in tools if tool["function"]["name"] == choice.name]
    if not only:
        raise InvalidRequest(
            f"tool_choice.name: {choice.name!r} is none of the tools.", param="tool_choice.name"
        )
    return {"tools": only, "tool_choice": "required", **parallel}


def force(asked: Json, *, thinks_on: bool, always_thinks: bool) -> bool:
    """Hold the engine, in place, to the JSON of a call where one must be made: on its own it would
    let the model say as much as it likes before, or know no calls at all. One that always thinks
    first is left to the engine."""
    if asked.get("tool_choice") != "required" or always_thinks:
        return False
    for name, has in (
        ("thinking", thinks_on),
        ("output_config.format", "response_format" in asked),
    ):
        if has:
            raise InvalidRequest(
                f"tool_choice: a tool that must be used leaves no room for {name}.",
                param="tool_choice",
                next_step="Let the tool be chosen (auto), or leave the other out.",
            )
    asked |= {"json_schema": calls.schema_of(asked["tools"]), "tool_choice": "none"}
    return True


def require_told(asked: Json) -> None:
    """Raise for a model whose chat template would pass over what was said of tools."""
    shown = bool(asked.get("tools")) and asked.get("tool_choice", "auto") == "auto"
    if shown or any("tool_calls" in message for message in asked["messages"]):
        raise InvalidRequest(
            "tools: this model knows of none: its chat template says nothing of them.",
            param="tools",
            next_step='Ask a model that does, or have one used: "tool_choice": {"type": "any"}.',
        )


def _read(raw: msgspec.Raw, where: str) -> Json:
    kind = shaped(raw, _Kind, where).type
    if kind not in {None, "custom"}:
        raise InvalidRequest(
            f"{where}.type: {str(kind)[:60]!r} is a tool that only Anthropic's models know.",
            param=f"{where}.type",
            next_step=_WRITE_IT,
        )
    tool = shaped(raw, Tool, where)
    if not _NAME.fullmatch(tool.name):
        raise InvalidRequest(
            f"{where}.name: a name has up to 128 letters, digits, _ and -.", param=f"{where}.name"
        )
    if tool.input_schema.get("type") != "object":
        raise InvalidRequest(
            f'{where}.input_schema: its type must be "object".', param=f"{where}.input_schema"
        )
    function = {
        "name": tool.name,
        "description": _described(tool),
        "parameters": tool.input_schema,
    }
    strict = {"strict": True} if tool.strict else {}
    return {"type": "function", "function": function | strict}


def _described(tool: Tool) -> str:
    told = tool.description or ""
    if not tool.input_examples:
        return told
    examples = "\n".join(msgspec.json.encode(one).decode() for one in tool.input_examples)
    return f"{told}\n\nExamples of its input:\n{examples}".strip()
