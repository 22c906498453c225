"""Ollama's messages, images, tools and formats, told to an engine in OpenAI's shapes.

What differs: images stand beside the text as bare base64, a tool call's arguments are an object,
and a tool's answer names the tool and perhaps not the call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.errors import InvalidRequest
from noibo.wire.body import Fields, Json, field

ROLES: Final = frozenset({"system", "user", "assistant", "tool"})


class _Function(msgspec.Struct):
    name: str
    arguments: dict[str, Any] = {}
    index: int | None = None
    description: str | None = None


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None
    type: str | None = None


class Message(msgspec.Struct):
    """One message as Ollama has it."""

    role: str
    content: str | None = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Tool(msgspec.Struct):
    function: dict[str, Any]
    type: str = "function"
    items: Any = None


def messages(fields: Fields) -> list[Message]:
    """The messages of a request; raises `InvalidRequest` that names what is wrong."""
    found: list[Message] = field(fields, "messages", list[Message], [])
    for number, one in enumerate(found):
        one.role = one.role.lower()
        if one.role not in ROLES:
            raise InvalidRequest(
                f"messages[{number}].role: {one.role[:40]!r} is none of "
                f"{', '.join(sorted(ROLES))}.",
                param=f"messages[{number}].role",
            )
    return found


def for_engine(found: Sequence[Message]) -> list[Json]:
    """The same in OpenAI's shapes."""
    calls = _Waiting()
    return [_for_engine(number, one, calls) for number, one in enumerate(found)]


def has_images(found: Sequence[Message]) -> bool:
    """True if somebody is to look at something."""
    return any(one.images for one in found)


@dataclass(slots=True)
class _Waiting:
    """Calls that wait for an answer, in order: names by ids, and ids by names."""

    _names: dict[str, str] = dataclasses.field(default_factory=dict)
    _ids: dict[str, dict[str, None]] = dataclasses.field(default_factory=dict)

    def add(self, key: str, name: str) -> None:
        if key in self._names:  # told twice: the later one counts
            self.answered(key, None)
        self._names[key] = name
        self._ids.setdefault(name, {})[key] = None

    def answered(self, key: str | None, name: str | None) -> tuple[str, str] | None:
        """The call that is answered, and waits no more: the one of that id, else the first of that
        name, or of any."""
        if key not in self._names:
            key = next(iter(self._ids.get(name, ()) if name else self._names), None)
        if key is None:
            return None
        name = self._names.pop(key)
        del self._ids[name][key]
        return key, name


def _for_engine(number: int, one: Message, calls: _Waiting) -> Json:
    said: Json = {"role": one.role, "content": _content(one.content or "", one.images or ())}
    if one.thinking:
        said["reasoning_content"] = one.thinking
    if one.tool_calls:
        said["tool_calls"] = [
            _call(f"call_{number}_{place}", call) for place, call in enumerate(one.tool_calls)
        ]
        for call in said["tool_calls"]:
            calls.add(call["id"], call["function"]["name"])
    if one.role == "tool":
        said |= _answers(one, calls)
    return said


def _call(key: str, call: _Call) -> Json:
    arguments = msgspec.json.encode(call.function.arguments).decode()
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id or key, "type": "function", "function": function}


def _answers(one: Message, calls: _Waiting) -> Json:
    """Which call a tool's answer is to: the one it names, else the first left of that tool."""
    named = calls.answered(one.tool_call_id, one.tool_name)
    key = one.tool_call_id or (named[0] if named else "call_0_0")
    name = one.tool_name or (named[1] if named else None)
    return {"tool_call_id": key} | ({"name": name} if name else {})


def _content(text: str, images: Sequence[str]) -> Any:
    if not images:
        return text
    looks = [
        {"type": "image_url", "image_url": {"url": picture(image, f"images[{number}]")}}
        for number, image in enumerate(images)
    ]
    return [*looks, {"type": "text", "text": text}]


def picture(text: str, name: str) -> str:
    """A picture in base64 as an address. What it is is looked at on the way to the engine."""
    if not text:
        raise InvalidRequest(f"{name}: it is empty.", param=name)
    return text if text.startswith("data:") else f"data:image/png;base64,{text}"


def tools(fields: Fields) -> list[Json]:
    """The tools of a request, in OpenAI's shape."""
    found: list[_Tool] = field(fields, "tools", list[_Tool], [])
    for number, one in enumerate(found):
        name = one.function.get("name")
        if not isinstance(name, str) or not name:
            missing = f"tools[{number}].function.name"
            raise InvalidRequest(f"{missing} is required.", param=missing)
    return [{"type": "function", "function": _whole(one.function)} for one in found]


def _whole(function: Mapping[str, Any]) -> Json:
    """Without what was not given, and with the parameters that every reader expects."""
    plain = {name: value for name, value in function.items() if value is not None}
    return {"parameters": {"type": "object", "properties": {}}, **plain}


def schema(fields: Fields) -> Json | None:
    """What `format` wants: None, any JSON object, or a schema."""
    found = field(fields, "format", Any)
    if found in (None, ""):
        return None
    if found == "json":
        return {"type": "object"}
    if isinstance(found, dict):
        return found
    raise InvalidRequest(
        f'format: {str(found)[:40]!r} is neither "json" nor a JSON schema.', param="format"
    )
