"""The form an answer must have, as llama.cpp keeps to it for certain.

llama.cpp has two ways to keep to a JSON schema. The one of its chats passes over much of what a
schema may say. The other (llguidance) keeps to all of it or to nothing: what it cannot read does
not constrain the answer at all, and nobody is told. So every schema is read here first, by the
same library, and one that it cannot read is refused with its reason.

A model that thinks first is held by the chat's own way, since that knows where the thinking ends;
so only what that way keeps to is taken there, and for the arguments of tools that are `strict`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from noibo.engines.engine import Fields, Model
from noibo.engines.thinking import Thinking
from noibo.errors import InvalidRequest
from noibo.wire import body

LONGEST: Final = 2**18  # bytes of a schema
_HEAD: Final = "%llguidance"
_NONE: Final = b'"none"'
_ANY: Final = {"type": "object"}
# Bounds what a small model likes to do for ever: blank after blank.
_OPTIONS: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
# What the chat's own way keeps to, and what says nothing about an answer.
_KEPT: Final = frozenset(
    [
        "type",
        "enum",
        "const",
        "anyOf",
        "allOf",
        "$ref",
        "$defs",
        "definitions",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "title",
        "description",
        "default",
        "examples",
        "$schema",
        "$id",
        "$comment",
        "deprecated",
        "readOnly",
        "writeOnly",
    ]
)
_NAMED: Final = ("properties", "$defs", "definitions")  # of schemas, by names
_LISTED: Final = ("anyOf", "allOf", "prefixItems")


def constrain(fields: Fields, model: Model) -> None:
    """Say the form of an answer, in place, as llama.cpp keeps to it. Raises `InvalidRequest` with
    the field that asks for what it cannot keep to. Takes time with a large schema."""
    calls = "tools" in fields and bytes(fields.get("tool_choice", b"")) != _NONE
    if calls:
        _check_tools(fields)
    found = wanted(fields)
    if found is None:
        check_grammar(fields)
        return
    name, schema = found
    if calls or (Thinking.of(model).thinks and not _thinks_not(fields)):
        _require_kept(schema, name)
        return
    grammar = grammar_of(schema)
    require_readable(grammar, name)
    del fields[name]
    fields["grammar"] = body.raw(grammar)


def _thinks_not(fields: Fields) -> bool:
    options = body.field(fields, "chat_template_kwargs", dict[str, Any], {})
    return options.get("enable_thinking") is False


def wanted(fields: Fields) -> tuple[str, Any] | None:
    """The schema that is asked for, and the field it came in."""
    own = body.field(fields, "json_schema", Any)
    if own is not None:
        return "json_schema", own
    wanted = body.field(fields, "response_format", dict[str, Any], {})
    if wanted.get("type") == "json_object":
        return "response_format", wanted.get("schema") or _ANY
    if wanted.get("type") == "json_schema":
        inner = wanted.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else None
        return "response_format", schema or _ANY
    return None


def grammar_of(schema: Any) -> str:
    if isinstance(schema, dict):
        schema = {**schema, "x-guidance": _OPTIONS}
    return f"{_HEAD} {{}}\nstart: %json {msgspec.json.encode(schema).decode()}"


def check_grammar(fields: Fields) -> None:
    try:
        grammar = body.field(fields, "grammar", str, "")
    except InvalidRequest:
        return  # the engine says so
    if grammar.lstrip().startswith(_HEAD):
        require_readable(grammar, "grammar")


def require_readable(grammar: str, name: str) -> None:
    import llguidance  # slow to load, and few ask for it

    if len(grammar) > LONGEST:
        raise InvalidRequest(f"{name}: it is longer than {LONGEST} characters.", param=name)
    said = llguidance.LLMatcher.validate_grammar(grammar)
    if said:
        raise InvalidRequest(
            f"{name}: {_reason(said)}.",
            param=name,
            next_step="Say it with what can be kept to, or check the answer afterwards.",
        )


def _reason(said: str) -> str:
    """The library's reason, without where in its own grammar it was."""
    line = " ".join(part.strip() for part in said.partition("\n    1 | ")[0].splitlines())
    return line.partition("failed to compile JSON schema: ")[2] or line


def _check_tools(fields: Fields) -> None:
    """Arguments of tools that are `strict` fit for certain; the others' as well as may be."""
    try:
        tools = body.field(fields, "tools", list[dict[str, Any]], [])
    except InvalidRequest:
        return  # the engine says so
    for tool in tools:
        function = tool.get("function")
        if isinstance(function, dict) and function.get("strict"):
            _require_kept(function.get("parameters") or {}, "tools")


def _require_kept(schema: Any, name: str) -> None:
    for part in _parts(schema):
        if not isinstance(part, dict):
            continue
        if beyond := sorted(set(part) - _KEPT):
            raise InvalidRequest(
                f"{name}: {beyond[0]!r} in a schema cannot be kept to here.",
                param=name,
                next_step="Say it with types, enums, properties, required, items and $ref.",
            )


def _parts(schema: Any) -> Iterator[Any]:
    """A schema and all schemas in it."""
    left = [schema]
    while left:
        part = left.pop()
        yield part
        if isinstance(part, dict):
            for name in _NAMED:
                inner = part.get(name)
                left += inner.values() if isinstance(inner, dict) else []
            for name in _LISTED:
                inner = part.get(name)
                left += inner if isinstance(inner, list) else []
            left += [part[name] for name in ("items", "additionalProperties") if name in part]
