"""Answers fit their schemas: told by jsonschema, which knows nothing of how they were made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pytest

from tests.gateway.openai_calls import chat, chunks, said
from tests.running import RunningServer

STRING, INTEGER = {"type": "string", "maxLength": 12}, {"type": "integer"}


def an_object(required: bool = True, **properties: Any) -> dict[str, Any]:
    names = list(properties) if required else []
    return {
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": False,
    }


TREE: dict[str, Any] = {
    "$defs": {
        "node": an_object(
            value={"enum": [1, 2]}, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}
        )
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: dict[str, Any] = {
    "an enum": {"enum": ["red", "blue"]},
    "a mixed enum": {"enum": ["red", 5, None, True]},
    "a constant": {"const": {"a": [1, "b"]}},
    "a bounded integer": {"type": "integer", "minimum": 30, "maximum": 45},
    "an exclusive bound": {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 7},
    "a bounded number": {"type": "number", "minimum": 0, "maximum": 1},
    "a multiple": {"type": "integer", "multipleOf": 7, "minimum": 70, "maximum": 99},
    "a pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
    "a length": {"type": "string", "minLength": 3, "maxLength": 5},
    "a date": {"type": "string", "format": "date"},
    "a moment": {"type": "string", "format": "date-time"},
    "a uuid": {"type": "string", "format": "uuid"},
    "an address": {"type": "string", "format": "ipv4"},
    "a list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    "a tuple": {"type": "array", "prefixItems": [INTEGER, {"type": "boolean"}], "items": False}
    | {"minItems": 2},
    "several types": {"type": ["integer", "null"]},
    "one of several": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    "all of several": {"allOf": [an_object(False) | {"additionalProperties": True}]},
    "an object": an_object(name=STRING, done={"type": "boolean"}),
    "nested objects": an_object(a=an_object(b=an_object(c={"enum": ["deep"]}))),
    "optional fields": an_object(False, a={"type": "boolean"}, b={"type": "null"}),
    "more fields": {"type": "object", "additionalProperties": {"type": "null"}, "maxProperties": 1},
    "a reference": {"definitions": {"n": {"enum": [3]}}, "$ref": "#/definitions/n"},
    "a tree": TREE,
    "a reference to itself": an_object(a={"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
    "words that say nothing": {"title": "T", "description": "D", "default": 1, "enum": ["x"]},
    "a list of objects": {"type": "array", "items": an_object(a={"enum": ["q"]}), "maxItems": 2},
    "escapes": {"enum": ['a "quoted"\nline', "tiếng Việt", "\\"]},
}
QUICK = ("a mixed enum", "a multiple", "a pattern", "a list", "nested objects", "escapes")


@pytest.fixture
def client(real_server: RunningServer) -> Iterator[openai.OpenAI]:
    url = real_server.url + "/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=170) as made:
        yield made


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.heavy) for name in SCHEMAS],
)
def test_an_answer_fits_its_schema_or_was_cut_off(client: openai.OpenAI, name: str) -> None:
    schema = SCHEMAS[name]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    answer = chat(client, response_format=form, max_tokens=60)
    if answer.choices[0].finish_reason == "length":
        assert said(answer).startswith(('"', "{", "[", "-")) or said(answer)[0].isdigit()
    else:
        checker = jsonschema.FormatChecker()
        jsonschema.validate(json.loads(said(answer)), schema, format_checker=checker)


def test_the_sdk_reads_an_answer_into_its_class(client: openai.OpenAI) -> None:
    from pydantic import BaseModel

    class Light(BaseModel):
        on: bool
        colour: str | None

    asked: Any = [{"role": "user", "content": "The light is on."}]
    answer = client.chat.completions.parse(
        model="smollm2:135m", messages=asked, response_format=Light, max_tokens=60, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, Light)


@pytest.mark.heavy
def test_a_streamed_answer_fits_too(client: openai.OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMAS["a tuple"]}}
    events = chunks(client, response_format=form, max_tokens=40, temperature=2, seed=1)
    text = "".join(event.choices[0].delta.content or "" for event in events)
    if events[-1].choices[0].finish_reason == "stop":
        jsonschema.validate(json.loads(text), SCHEMAS["a tuple"])
    else:
        assert text.startswith("[")
