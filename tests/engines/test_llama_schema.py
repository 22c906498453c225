"""Schemas: kept to, or refused with the reason and the field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from noibo.engines.engine import Model
from noibo.engines.llama_cpp.schema import constrain
from noibo.errors import InvalidRequest
from noibo.wire.body import Fields, raw

PLAIN = Model("m", "llama_cpp")
THINKER = Model("t", "llama_cpp", template="{% for m in messages %}<think>{% endfor %}")


def asked(schema: Any, **more: Any) -> Fields:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return {name: raw(value) for name, value in {"response_format": wanted, **more}.items()}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 3, "maximum": 5},
        {"type": "string", "pattern": "^a[0-9]{2}$"},
        {"type": "string", "format": "date-time"},
        {"enum": ["a", 1, None]},
        {"type": ["string", "null"], "maxLength": 3},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
        {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
        {},
    ],
)
def test_a_schema_becomes_what_the_engine_keeps_to(schema: Any) -> None:
    fields = asked(schema)
    constrain(fields, PLAIN)
    assert set(fields) == {"grammar"}
    assert msgspec.json.decode(fields["grammar"]).startswith("%llguidance")


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "wizard"}, "wizard"),
        ({"not": {"type": "string"}}, "not"),
        ({"if": {}, "then": {}}, "if"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "array", "contains": {}}, "contains"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
        ({"$ref": "https://example.com/a.json"}, "example.com"),
        ({"$ref": "#/$defs/nothing"}, "nothing"),
        ({"type": "string", "pattern": "["}, "regex"),
        ({"type": "string", "minLength": -1}, "minLength"),
        ({"type": "object", "properties": []}, "properties"),
        ({"type": "object", "required": "a"}, "required"),
        ({"enum": []}, "Unsatisfiable"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "greater"),
    ],
)
def test_what_cannot_be_kept_to_is_refused(schema: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        constrain(asked(schema), PLAIN)
    assert caught.value.param == "response_format"


def test_a_model_that_thinks_first_is_held_by_its_chat() -> None:
    fields = asked({"type": "object", "properties": {"a": {"type": "integer"}}})
    constrain(fields, THINKER)
    assert set(fields) == {"response_format"}
    with pytest.raises(InvalidRequest, match="pattern"):
        constrain(asked({"type": "string", "pattern": "^a$"}), THINKER)


def test_arguments_of_strict_tools_are_checked() -> None:
    def tools(*, strict: bool) -> Fields:
        function = {"name": "f", "strict": strict, "parameters": {"not": {}}}
        return {"tools": raw([{"type": "function", "function": function}])}

    constrain(tools(strict=False), PLAIN)
    with pytest.raises(InvalidRequest) as caught:
        constrain(tools(strict=True), PLAIN)
    assert caught.value.param == "tools"


def test_a_grammar_of_the_callers_own_is_read_too() -> None:
    constrain({"grammar": raw('root ::= "a"')}, PLAIN)
    with pytest.raises(InvalidRequest) as caught:
        constrain({"grammar": raw("%llguidance {}\nstart: wizard")}, PLAIN)
    assert caught.value.param == "grammar"


def test_a_schema_without_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="longer"):
        constrain(asked({"enum": ["x" * 2**19]}), PLAIN)
