"""The tools of a response's request, in the shape that engines know.

Only functions: what the caller runs. Tools that OpenAI runs itself do not exist here.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from noibo.errors import InvalidRequest
from noibo.wire.body import Fields, Json, field, raw

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """A tool of type "function"."""

    type: Literal["function"]
    name: str
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None
    # Without an effect where they say what is so anyway.
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None
    run_async: bool | None = msgspec.field(default=None, name="async")
    output_schema: dict[str, Any] | None = None


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    name: str = ""
    mode: Literal["auto", "required"] | None = None
    tools: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools as the engine gets them (`engine`: fields of a chat) and as they are told."""

    engine: Fields
    told: list[Json]
    choice: str | Json

    @classmethod
    def read(cls, fields: Fields) -> Tools:
        """Raises `InvalidRequest`, which names the tool."""
        given = [_read(i, one) for i, one in enumerate(field(fields, "tools", list[Any], []))]
        names = [one.name for one in given]
        for name, times in Counter(names).items():
            if times > 1:
                raise InvalidRequest(f"tools: {name!r} is there twice.", param="tools")
        choice = field(fields, "tool_choice", Any, "auto")
        kept, mode = _chosen(choice, names)
        engine: Fields = {}
        if given:
            engine["tools"] = raw([_for_engine(one) for one in given if one.name in kept])
            engine["tool_choice"] = raw(mode)
            parallel = field(fields, "parallel_tool_calls", bool, True)
            engine["parallel_tool_calls"] = raw(parallel)
        elif mode == "required":
            raise InvalidRequest("tool_choice wants a tool, and there is none.", param="tools")
        return cls(engine, [_told(one) for one in given], choice)


def _read(place: int, tool: Any) -> Function:
    where = f"tools[{place}]"
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind != "function":
        raise InvalidRequest(
            f"{where}: tools of type {str(kind)[:60]!r} are not served; function is.",
            param=f"{where}.type",
            next_step="Send functions, which your program runs.",
        )
    try:
        function = msgspec.convert(tool, Function)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(f"{where}: {exc}.", param=where) from exc
    if not _NAME.fullmatch(function.name):
        raise InvalidRequest(
            f"{where}.name must be 1 to 64 letters, digits, _ or -.", param=f"{where}.name"
        )
    for name, refused in {
        "allowed_callers": "direct" not in (function.allowed_callers or ["direct"]),
        "defer_loading": bool(function.defer_loading),
        "async": bool(function.run_async),
        "output_schema": function.output_schema is not None,
    }.items():
        if refused:
            raise InvalidRequest(f"{where}.{name} is not served.", param=f"{where}.{name}")
    return function


def _chosen(choice: Any, names: list[str]) -> tuple[list[str], str]:
    """Which tools the model may call, and whether it may, must or must not. A tool that must be
    called by name is the only one that it sees: engines know no other way."""
    if choice in {"none", "auto", "required"} if isinstance(choice, str) else False:
        return names, choice
    try:
        found = msgspec.convert(choice, _Named)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(f"tool_choice: {exc}.", param="tool_choice") from exc
    if found.type == "function" and found.mode is None and found.tools is None:
        return _known([found.name], names), "required"
    if found.type == "allowed_tools" and found.mode and found.tools and not found.name:
        allowed = []
        for i, one in enumerate(found.tools):
            if one.get("type") != "function":
                where = f"tool_choice.tools[{i}]"
                raise InvalidRequest(f"{where}: only functions are served.", param=f"{where}.type")
            allowed.append(str(one.get("name")))
        return _known(allowed, names), found.mode
    raise InvalidRequest(
        f"tool_choice of type {found.type[:60]!r} is not served.",
        param="tool_choice",
        next_step='Send "none", "auto", "required", {"type": "function", "name": …} or'
        ' {"type": "allowed_tools", "mode": …, "tools": […]}.',
    )


def _known(wanted: list[str], names: list[str]) -> list[str]:
    known = set(names)
    for name in wanted:
        if name not in known:
            raise InvalidRequest(
                f"tool_choice: there is no tool {name[:64]!r}.", param="tool_choice"
            )
    return wanted


def _for_engine(tool: Function) -> Json:
    inner: Json = {"name": tool.name, "parameters": tool.parameters or {"type": "object"}}
    if tool.description is not None:
        inner["description"] = tool.description
    if tool.strict is not None:
        inner["strict"] = tool.strict
    return {"type": "function", "function": inner}


def _told(tool: Function) -> Json:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": bool(tool.strict),  # what was not asked for is not promised
    }
