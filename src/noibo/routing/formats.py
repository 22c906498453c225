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


def broken_json(text: str, schema: Mapping[str, Any] | None = None) -> str:
    """What is wrong with a text that is to be JSON, in a few words; `""` where nothing is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "is no JSON"
    if schema is None:
        return ""
    return breach(value, schema, schema)


def breach(value: Any, schema: Any, whole: Mapping[str, Any], depth: int = 0) -> str:
    """Where a value does not keep to a schema, in a few words; `""` where it does."""
    if schema is False:
        return "has what must not be"
    if not isinstance(schema, Mapping) or depth > _MOST_DEPTH:
        return ""
    if isinstance(reference := schema.get("$ref"), str):
        return breach(value, _there(reference, whole), whole, depth + 1)
    wrong = _in_ways(value, schema, whole, depth) or _in_value(value, schema)
    if not wrong and isinstance(value, dict):
        wrong = _in_object(value, schema, whole, depth)
    if not wrong and isinstance(value, list):
        wrong = _in_list(value, schema, whole, depth)
    return wrong


def wrong_calls(calls: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with calls of tools, in OpenAI's shape; `""` where nothing is."""
    known = {one.get("name"): one.get("parameters") for one in map(_function, tools)}
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


def _function(one: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = one.get("function")
    return inner if isinstance(inner, Mapping) else {}


def _is_of(value: Any, wanted: Any) -> bool:
    if wanted is None:
        return True
    for name in wanted if isinstance(wanted, list) else [wanted]:
        kinds = _TYPES.get(name)
        if kinds is None:
            return True
        if isinstance(value, kinds) and (not isinstance(value, bool) or name == "boolean"):
            return True
        if name == "integer" and isinstance(value, float) and value.is_integer():
            return True
    return False


def _in_ways(value: Any, schema: Mapping[str, Any], whole: Mapping[str, Any], depth: int) -> str:
    for several in ("anyOf", "oneOf"):
        ways = schema.get(several)
        if isinstance(ways, list) and all(breach(value, way, whole, depth + 1) for way in ways):
            return f"is none of {several}"
    return ""


def _in_value(value: Any, schema: Mapping[str, Any]) -> str:
    if not _is_of(value, schema.get("type")):
        return f"is no {schema['type']}"
    if "enum" in schema and value not in schema["enum"]:
        return "is none of the listed values"
    if "const" in schema and value != schema["const"]:
        return "is not the value that it must be"
    return ""


def _in_list(
    value: Sequence[Any], schema: Mapping[str, Any], whole: Mapping[str, Any], depth: int
) -> str:
    for place, one in enumerate(value):
        if wrong := breach(one, schema.get("items"), whole, depth + 1):
            return f"[{place}] {wrong}"
    return ""


def _in_object(
    value: Mapping[str, Any], schema: Mapping[str, Any], whole: Mapping[str, Any], depth: int
) -> str:
    required, fields = schema.get("required") or [], schema.get("properties") or {}
    if missing := [name for name in required if name not in value]:
        return f"lacks {missing[0]}"
    for name, one in value.items():
        if name in fields:
            if wrong := breach(one, fields[name], whole, depth + 1):
                return f"{name} {wrong}"
        elif schema.get("additionalProperties") is False:
            return f"has {name}, which must not be there"
    return ""


def _there(reference: str, whole: Any) -> Any:
    """What a `$ref` inside the schema leads to; nothing is asked of one that leads elsewhere."""
    if not reference.startswith("#"):
        return {}
    for part in reference.lstrip("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        whole = whole.get(name) if isinstance(whole, Mapping) else None
    return whole
