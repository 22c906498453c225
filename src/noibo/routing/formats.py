"""Whether an answer keeps to the form that was asked for: JSON, a JSON schema, calls of tools.

The schema is looked at as far as a small model gets it wrong: types, fields that must or may not be
there, listed values, items. What a schema says besides is not judged here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
_MOST_DEPTH: Final = 40
_MOST_LOOKS: Final = 20_000  # at parts of a schema: one that leads to itself may have no end


def broken_json(text: str, schema: Mapping[str, Any] | None = None) -> str:
    """What is wrong with a text that is to be JSON, in a few words; `""` where nothing is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "is no JSON"
    return "" if schema is None else _Held(schema).breach(value, schema)


def wrong_calls(calls: Sequence[Any], tools: Sequence[Any]) -> str:
    """What is wrong with calls of tools, in OpenAI's shape; `""` where nothing is."""
    known = {one["name"]: one.get("parameters") for one in map(_function, tools) if one}
    for function in map(_function, calls):
        name = function.get("name")
        if name not in known:
            return "calls a tool that there is not"
        arguments = function.get("arguments")
        schema = known[name]
        wrong = broken_json(
            arguments if isinstance(arguments, str) else json.dumps(arguments),
            schema if isinstance(schema, Mapping) else None,
        )
        if wrong:
            return f"arguments of a tool: {wrong}"
    return ""


class _Held:
    """A value held against a schema of a caller's. Where that has no end, because it leads to
    itself, or is no schema, nothing is wrong with the value."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._whole = whole
        self._left = _MOST_LOOKS

    def breach(self, value: Any, schema: Any, depth: int = 0) -> str:
        """Where it does not keep to the schema, in a few words; `""` where it does."""
        self._left -= 1
        if schema is False:
            return "has what must not be"
        if not isinstance(schema, Mapping) or depth > _MOST_DEPTH or self._left < 0:
            return ""
        if isinstance(reference := schema.get("$ref"), str):
            return self.breach(value, _there(reference, self._whole), depth + 1)
        wrong = self._in_ways(value, schema, depth) or _in_value(value, schema)
        if not wrong and isinstance(value, dict):
            wrong = self._in_object(value, schema, depth)
        if not wrong and isinstance(value, list):
            wrong = self._in_list(value, schema, depth)
        return wrong if self._left >= 0 else ""

    def _in_ways(self, value: Any, schema: Mapping[str, Any], depth: int) -> str:
        for several in ("anyOf", "oneOf"):
            ways = schema.get(several)
            if isinstance(ways, list) and all(self.breach(value, way, depth + 1) for way in ways):
                return f"is none of {several}"
        return ""

    def _in_list(self, value: Sequence[Any], schema: Mapping[str, Any], depth: int) -> str:
        for place, one in enumerate(value):
            if wrong := self.breach(one, schema.get("items"), depth + 1):
                return f"[{place}] {wrong}"
        return ""

    def _in_object(self, value: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> str:
        required, fields = schema.get("required"), schema.get("properties")
        names = required if isinstance(required, list) else []
        if missing := [name for name in names if isinstance(name, str) and name not in value]:
            return f"lacks {missing[0]}"
        for name, one in value.items():
            if isinstance(fields, Mapping) and name in fields:
                if wrong := self.breach(one, fields[name], depth + 1):
                    return f"{name} {wrong}"
            elif schema.get("additionalProperties") is False:
                return f"has {name}, which must not be there"
        return ""


def _function(one: Any) -> Mapping[str, Any]:
    """Empty for what is none, or has no name."""
    inner = one.get("function") if isinstance(one, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        return {}
    return inner


def _is_of(value: Any, wanted: Any) -> bool:
    if wanted is None:
        return True
    for name in wanted if isinstance(wanted, list) else [wanted]:
        kinds = _TYPES.get(name) if isinstance(name, str) else None
        if kinds is None:
            return True
        if isinstance(value, kinds) and (not isinstance(value, bool) or name == "boolean"):
            return True
        if name == "integer" and isinstance(value, float) and value.is_integer():
            return True
    return False


def _in_value(value: Any, schema: Mapping[str, Any]) -> str:
    if not _is_of(value, schema.get("type")):
        return f"is no {schema['type']}"
    if isinstance(listed := schema.get("enum"), list) and value not in listed:
        return "is none of the listed values"
    if "const" in schema and value != schema["const"]:
        return "is not the value that it must be"
    return ""


def _there(reference: str, whole: Any) -> Any:
    """What a `$ref` inside the schema leads to; nothing is asked of one that leads elsewhere."""
    if not reference.startswith("#"):
        return {}
    for part in reference.lstrip("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        whole = whole.get(name) if isinstance(whole, Mapping) else None
    return whole
