"""Tools of a chat, and which of them the model may or must call.

Engines take the texts none, auto and required. Who wants one certain tool called gets that: the
model is shown no other, and must call one. `functions` and `function_call` are how tools were
asked for before 2023-11; they are said as tools, and answered in their own shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from noibo.errors import InvalidRequest
from noibo.wire import body
from noibo.wire.body import Fields, Json

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
_REQUIRED: Final = body.raw("required")


class Function(msgspec.Struct):
    """What can be called. `strict` asks for arguments that fit: they always do."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    """A tool: a function."""

    type: Literal["function"]
    function: Function


class Named(msgspec.Struct):
    """The name of a function."""

    name: Name


class NamedTool(msgspec.Struct, tag_field="type", tag="function"):
    """One tool, by its name."""

    function: Named


class Allowed(msgspec.Struct):
    """Some of the tools."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Meta(min_length=1)]


class AllowedTools(msgspec.Struct, tag_field="type", tag="allowed_tools"):
    """A choice among some of the tools."""

    allowed_tools: Allowed


Tools = Annotated[list[Tool], Meta(max_length=128)]
Functions = Annotated[list[Function], Meta(min_length=1, max_length=128)]
ToolChoice = Literal["none", "auto", "required"] | NamedTool | AllowedTools
FunctionCall = Literal["none", "auto"] | Named


def translate(fields: Fields) -> bool:
    """Say, in place, tools and the choice among them as engines take them. True: the caller speaks
    of functions, and is to be answered so. Raises `InvalidRequest`."""
    old = _functions(fields)
    tools: list[Json] = body.field(fields, "tools", list[dict[str, Any]], [])
    _refuse_twice([tool["function"]["name"] for tool in tools])
    if not tools:
        fields.pop("tools", None)
    choice = body.field(fields, "tool_choice", ToolChoice, "auto")
    if not tools:
        if choice not in ("none", "auto"):
            raise InvalidRequest("tool_choice: there are no tools to choose.", param="tool_choice")
        fields.pop("tool_choice", None)
    elif isinstance(choice, NamedTool):
        _only(fields, tools, [choice.function.name])
        fields["tool_choice"] = _REQUIRED
    elif isinstance(choice, AllowedTools):
        _only(fields, tools, [tool.function.name for tool in choice.allowed_tools.tools])
        fields["tool_choice"] = body.raw(choice.allowed_tools.mode)
    return old


def _functions(fields: Fields) -> bool:
    """The old fields as the new ones; True if they were there."""
    functions = body.field(fields, "functions", list[dict[str, Any]])
    choice = body.field(fields, "function_call", FunctionCall)
    for name in ("functions", "function_call"):
        if fields.pop(name, None) is not None and ("tools" in fields or "tool_choice" in fields):
            raise InvalidRequest(f"{name}: send tools and tool_choice instead.", param=name)
    if functions is None:
        if choice is not None:
            raise InvalidRequest("function_call: there are no functions.", param="function_call")
        return False
    fields["tools"] = body.raw([{"type": "function", "function": one} for one in functions])
    fields["parallel_tool_calls"] = body.raw(False)
    if isinstance(choice, Named):
        choice = {"type": "function", "function": {"name": choice.name}}
    if choice is not None:
        fields["tool_choice"] = body.raw(choice)
    return True


def _only(fields: Fields, tools: Sequence[Json], names: Sequence[str]) -> None:
    found = [tool for tool in tools if tool["function"]["name"] in names]
    if missing := set(names) - {tool["function"]["name"] for tool in found}:
        raise InvalidRequest(
            f"tool_choice: there is no tool called {min(missing)}.", param="tool_choice"
        )
    fields["tools"] = body.raw(found)


def _refuse_twice(names: Sequence[str]) -> None:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidRequest(f"tools: two of them are called {twice}.", param="tools")
