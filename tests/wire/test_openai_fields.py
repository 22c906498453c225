"""Every field that the official SDK sends has a verdict, and so has every field of OpenAI's own
description; types and ranges are checked."""

from __future__ import annotations

import inspect
import json
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.resources.chat.completions import Completions as ChatCompletions
from openai.resources.completions import Completions
from openai.types import completion_create_params as text_params
from openai.types.chat import completion_create_params as chat_params

from noibo.errors import InvalidRequest
from noibo.wire.openai.fields import CHAT, TEXT, Verdict, check
from noibo.wire.openai.format import check_format

_OF_VLLM = {"prompt_logprobs", "add_special_tokens"}  # which evaluation harnesses send too
_OF_THE_CLIENT = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}


def sdk_fields(params: Any, method: Any) -> set[str]:
    hints: dict[str, Any] = {}
    for name in ("CompletionCreateParamsNonStreaming", "CompletionCreateParamsStreaming"):
        hints |= typing.get_type_hints(getattr(params, name))
    return (set(hints) | set(inspect.signature(method).parameters)) - _OF_THE_CLIENT


@pytest.mark.parametrize(
    ("table", "params", "method"),
    [
        (CHAT, chat_params, ChatCompletions.create),
        (TEXT, text_params, Completions.create),
    ],
)
def test_every_field_of_the_sdk_has_a_verdict(table: Any, params: Any, method: Any) -> None:
    fields = sdk_fields(params, method)
    assert len(fields) >= 18
    assert fields - set(table) == set()
    assert set(table) - fields - _OF_VLLM == set()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("table", "name"),
    [(CHAT, "CreateChatCompletionRequest"), (TEXT, "CreateCompletionRequest")],
)
def test_every_field_of_openais_description_has_a_verdict(
    shared: Path, table: Any, name: str
) -> None:
    document = json.loads((shared / "conformance/openai_openapi_subset.json").read_text())
    schemas = document["components"]["schemas"]

    def fields(schema: dict[str, Any]) -> set[str]:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
        inner = [fields(part) for part in schema.get("allOf", ())]
        return set(schema.get("properties", ())).union(*inner)

    assert fields(schemas[name]) == set(table) - _OF_VLLM


def test_what_is_refused_or_recorded_says_why_or_passes_nothing_on() -> None:
    for name, known in {**CHAT, **TEXT}.items():
        if known.verdict is Verdict.REFUSED:
            assert known.note, name


def fields_of(**values: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in values.items()}


@pytest.mark.parametrize("name", sorted(CHAT))
def test_null_is_not_given(name: str) -> None:
    fields = fields_of(**{name: None})
    assert check(fields, CHAT) == {}
    assert fields == {}


_WRONG: list[tuple[str, Any]] = [
    ("temperature", "hot"),
    ("temperature", 2.1),
    ("temperature", -0.1),
    ("temperature", True),
    ("top_p", 1.01),
    ("frequency_penalty", -2.5),
    ("presence_penalty", 3),
    ("n", 0),
    ("n", 129),
    ("n", 1.5),
    ("max_tokens", 0),
    ("max_tokens", -1),
    ("max_completion_tokens", "5"),
    ("stop", ["a"] * 5),
    ("stop", [1]),
    ("stop", ""),
    ("seed", "x"),
    ("seed", 2**63),
    ("logit_bias", {"hello": 1}),
    ("logit_bias", {"1": 101}),
    ("logit_bias", {"1": "ban"}),
    ("logit_bias", [1]),
    ("logprobs", 1),
    ("top_logprobs", 21),
    ("stream", "yes"),
    ("stream_options", {"include_usage": 1}),
    ("stream_options", {"include_obfuscation": True}),
    ("stream_options", {"wizard": True}),
    ("messages", []),
    ("messages", "Hi"),
    ("messages", [{"role": "wizard", "content": "x"}]),
    ("messages", [{"content": "x"}]),
    ("messages", [{"role": "user", "content": 5}]),
    ("messages", [{"role": "assistant", "audio": {"id": "a"}}]),
    ("messages", [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]),
    ("messages", ["x"]),
    ("tools", {}),
    ("tools", [{"type": "custom", "custom": {"name": "x"}}]),
    ("tools", [{"type": "function"}]),
    ("tools", [{"type": "function", "function": {"name": "a b"}}]),
    ("tools", [{"type": "function", "function": {"name": "a", "parameters": []}}]),
    ("tool_choice", "always"),
    ("tool_choice", {"type": "custom", "custom": {"name": "x"}}),
    ("tool_choice", {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": []}}),
    ("parallel_tool_calls", "no"),
    ("functions", []),
    ("function_call", "required"),
    ("response_format", "json"),
    ("reasoning_effort", "very"),
    ("verbosity", "low"),
    ("verbosity", "loud"),
    ("modalities", ["text", "audio"]),
    ("modalities", []),
    ("audio", {"voice": "alloy", "format": "wav"}),
    ("web_search_options", {}),
    ("moderation", {"model": "omni-moderation-latest"}),
    ("prediction", {"type": "wizard"}),
    ("user", 5),
    ("metadata", {"a": 1}),
    ("metadata", {str(i): "x" for i in range(17)}),
    ("metadata", {"a": "x" * 513}),
    ("safety_identifier", "x" * 65),
    ("service_tier", "best"),
    ("store", "yes"),
    ("prompt_cache_key", 5),
    ("prompt_cache_options", {"mode": "never"}),
    ("prompt_cache_retention", "1y"),
]


@pytest.mark.parametrize(("name", "value"), _WRONG)
def test_a_wrong_value_is_refused_with_the_fields_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(fields_of(**{name: value}), CHAT)
    assert caught.value.param == name
    assert name in caught.value.message


def test_for_every_field_of_a_chat_there_is_a_wrong_value() -> None:
    assert {name for name, _ in _WRONG} | {"model"} == set(CHAT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", -1),
        ("logprobs", 6),
        ("logprobs", True),
        ("best_of", 21),
        ("echo", "yes"),
        ("suffix", 5),
        ("prompt", 5),
        ("prompt", []),
    ],
)
def test_a_wrong_value_of_a_text_completion_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(fields_of(**{name: value}), TEXT)
    assert caught.value.param == name


def test_what_changes_no_answer_is_recorded_and_not_passed_on() -> None:
    recorded = {
        "user": "u",
        "metadata": {"a": "b"},
        "safety_identifier": "s",
        "service_tier": "flex",
        "store": True,
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
    }
    fields = fields_of(**recorded, modalities=["text"], verbosity="medium", temperature=1)
    assert check(fields, CHAT) == recorded
    assert set(fields) == {"temperature"}


def test_the_description_of_a_format_is_recorded() -> None:
    said = {"name": "n", "schema": {"type": "object"}, "description": "A city."}
    form = {"type": "json_schema", "json_schema": said}
    recorded = check_format(fields_of(response_format=form))
    assert recorded == {"response_format.json_schema.description": "A city."}
    del said["description"]
    assert check_format(fields_of(response_format=form)) == {}


def test_fields_that_are_not_openais_pass_untouched() -> None:
    fields = fields_of(top_k=5, x_wizard={"a": [1, None]})
    before = dict(fields)
    assert check(fields, CHAT) == {}
    assert fields == before
