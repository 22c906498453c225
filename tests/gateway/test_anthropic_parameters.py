"""Every parameter and block that Anthropic's client knows has a verdict here."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any, NotRequired, Required

import msgspec
import pytest
from anthropic.types import (
    content_block_param,
    message_count_tokens_params,
    message_create_params,
    message_param,
    thinking_config_param,
    tool_choice_param,
    tool_union_param,
)
from anthropic.types.beta import (
    beta_content_block_param,
    beta_message_param,
    beta_output_config_param,
)
from anthropic.types.beta import message_create_params as beta_create_params
from anthropic.types.tool_param import ToolParam
from typing_extensions import is_typeddict

from noibo.engines.engine import Model
from noibo.errors import InvalidRequest
from noibo.gateway.anthropic import parameters, request, thinking
from noibo.gateway.anthropic.parameters import PARAMETERS, TYPES
from noibo.wire import body
from noibo.wire.anthropic import blocks, tools
from noibo.wire.anthropic.messages import Message

# Said in headers, and not in the body.
HEADERS = {"betas"}
TOOL = {"name": "f", "description": "It looks.", "input_schema": {"type": "object"}}
ASK = {
    "model": "m",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 100,
    "tools": [TOOL],
}
FORM = {"type": "json_schema", "schema": {"enum": [1]}}
SWITCHED = Model("m", "echo", template="{{ tools }}{{ enable_thinking }}<think>")
ALWAYS = Model("m", "echo", template="{{ tools }}<think>")
BY_EFFORT = Model("m", "echo", template="{{ tools }}{{ reasoning_effort }}<|channel|>")
# What each parameter is sent with, by what comes of it.
CHANGES: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Ho"}],
    "system": "Be brief.",
    "max_tokens": 7,
    "stream": True,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "stop_sequences": ["END"],
    "tools": [],
    "tool_choice": {"type": "none"},
    "thinking": {"type": "adaptive"},
    "output_config": {"format": FORM},
    "output_format": FORM,
}
RECORDED: dict[str, Any] = {
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "user_profile_id": "p",
    "workspace_id": "w",
    "billing_policy": {"kind": "x"},
    "fallback_credit_token": "t",
    "fallbacks": "default",
    "diagnostics": {"level": 1},
}
REFUSED: dict[str, Any] = {
    "compaction": {"enabled": True},
    "container": "c",
    "context_management": {"edits": [{"type": "compact_20260112"}]},
    "inference_geo": "eu",
    "mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}],
    "speed": "fast",
    "thread": "t",
}
CHANGES_NOTHING: dict[str, Any] = {
    "cache_control": {"type": "ephemeral"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "speed": "standard",
}


def read(model: Model = SWITCHED, **fields: Any) -> request.Asked:
    return request.read(body.read_fields(msgspec.json.encode(ASK | fields)), model)


def bare(asked: request.Asked) -> request.Asked:
    """What comes of it, without what is only written down."""
    return dataclasses.replace(asked, recorded={})


def told(asked: request.Asked) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in asked.fields.items()}


def keys(shape: Any) -> set[str]:
    return set(typing.get_type_hints(shape))


def members(union: Any) -> Iterator[Any]:
    """The objects of a union, however deep."""
    origin = typing.get_origin(union)
    if origin in {typing.Union, types.UnionType, typing.Annotated, Required, NotRequired}:
        for one in typing.get_args(union):
            yield from members(one)
    elif is_typeddict(union):
        yield union


def kind(shape: Any) -> str:
    hint = typing.get_type_hints(shape)["type"]
    return str(typing.get_args(hint)[0])


BLOCKS = {
    kind(shape): shape
    for union in (
        beta_content_block_param.BetaContentBlockParam,
        content_block_param.ContentBlockParam,
    )
    for shape in members(union)
}
TOOLS = {kind(shape): shape for shape in members(tool_union_param.ToolUnionParam)
         if shape is not ToolParam}  # fmt: skip


@pytest.mark.parametrize(
    "shape",
    [
        message_create_params.MessageCreateParamsStreaming,
        message_create_params.MessageCreateParamsNonStreaming,
        message_count_tokens_params.MessageCountTokensParams,
        beta_create_params.MessageCreateParamsStreaming,
    ],
)
def test_every_parameter_has_a_verdict(shape: Any) -> None:
    assert keys(shape) - HEADERS <= set(PARAMETERS)
    assert set(PARAMETERS) == set(TYPES)
    tried = {"model", *CHANGES, *RECORDED, *REFUSED, *CHANGES_NOTHING}
    assert tried == set(PARAMETERS)
    assert {n for n, words in PARAMETERS.items() if words.startswith("recorded")} == set(RECORDED)
    assert {n for n, words in PARAMETERS.items() if "refused" in words} <= {*REFUSED, *CHANGES}


def test_the_model_that_is_named_is_asked() -> None:
    assert request.model_name(body.read_fields(b'{"model": "m"}')) == "m"


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_changes_what_is_asked(name: str) -> None:
    assert bare(read(**{name: CHANGES[name]})) != bare(read())


@pytest.mark.parametrize("name", RECORDED)
def test_a_parameter_is_recorded_and_changes_nothing(name: str) -> None:
    asked = read(**{name: RECORDED[name]})
    assert bare(asked) == bare(read())
    said = {**asked.recorded}
    assert said.pop("user_id" if name == "metadata" else name)
    assert not said


@pytest.mark.parametrize("name", REFUSED)
def test_a_parameter_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**{name: REFUSED[name]})
    assert refused.value.param == name
    assert name in refused.value.message


@pytest.mark.parametrize("name", CHANGES_NOTHING)
def test_what_happens_anyway_may_be_asked_for(name: str) -> None:
    assert read(**{name: CHANGES_NOTHING[name]}) == read()


def test_a_form_under_both_its_names_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(output_config={"format": FORM}, output_format=FORM)
    assert refused.value.param == "output_format"
    old, new = read(output_format=FORM), read(output_config={"format": FORM})
    assert old.fields == new.fields


@pytest.mark.parametrize(
    ("effort", "share", "level"),
    [
        ("low", 25, "low"),
        ("medium", 50, "medium"),
        ("high", None, "high"),
        ("xhigh", None, "high"),
        ("max", None, "high"),
    ],
)
def test_an_effort_is_told_to_a_model_that_thinks(
    effort: str, share: int | None, level: str
) -> None:
    asked = {"output_config": {"effort": effort}}
    thinks = {"thinking": {"type": "adaptive"}}
    assert told(read(**asked, **thinks)).get("thinking_budget_tokens") == share
    assert told(read(ALWAYS, **asked)).get("thinking_budget_tokens") == share
    for more in ({}, thinks):
        found = told(read(BY_EFFORT, **asked, **more))
        assert found["chat_template_kwargs"] == {"reasoning_effort": level}
        assert "thinking_budget_tokens" not in found
    own = {"thinking": {"type": "enabled", "budget_tokens": 9}}
    assert told(read(**asked, **own))["thinking_budget_tokens"] == 9


def test_an_effort_is_refused_where_nothing_is_thought() -> None:
    low = {"output_config": {"effort": "low"}}
    plain = Model("m", "echo", template="{{ tools }}")
    for model, more in (
        (plain, {}),
        (SWITCHED, {}),
        (ALWAYS, {"thinking": {"type": "disabled"}}),
    ):
        with pytest.raises(InvalidRequest) as refused:
            read(model, **low, **more)
        assert refused.value.param == "output_config.effort"


# What each field of a tool makes of the function that the engine is told of.
TOOL_FIELDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "name": ("g", {"name": "g"}),
    "input_schema": ({"type": "object", "title": "T"},
                     {"parameters": {"type": "object", "title": "T"}}),
    "description": ("It hears.", {"description": "It hears."}),
    "input_examples": ([{"x": 1}],
                       {"description": 'It looks.\n\nExamples of its input:\n{"x":1}'}),
    "strict": (True, {"strict": True}),
    "type": ("custom", {}),
    "eager_input_streaming": (True, {}),
    "defer_loading": (False, {}),
    "allowed_callers": (["direct"], {}),
    "cache_control": ({"type": "ephemeral"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", TOOL_FIELDS)
def test_a_field_of_a_tool_is_told_to_the_engine(name: str) -> None:
    value, changed = TOOL_FIELDS[name]
    usual = {"name": "f", "description": "It looks.", "parameters": {"type": "object"}}
    (found,) = tools.read_tools([body.raw(TOOL | {name: value})])
    assert found["function"] == usual | changed
    assert set(TOOL_FIELDS) == {field.name for field in msgspec.structs.fields(tools.Tool)}


def test_every_block_has_a_verdict() -> None:
    assert len(BLOCKS) > 15
    verdicts = set(blocks.READ) | set(blocks.REFUSED)
    assert set(BLOCKS) <= verdicts


@pytest.mark.parametrize("name", sorted(set(blocks.READ) & set(BLOCKS)))
def test_every_field_of_a_block_that_is_read_is_known(name: str) -> None:
    known = {field.name for field in msgspec.structs.fields(blocks.READ[name])}
    assert keys(BLOCKS[name]) <= known


@pytest.mark.parametrize("name", sorted(blocks.REFUSED))
def test_a_block_that_cannot_be_read_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        blocks.read_block(body.raw({"type": name}), "messages.0.content.0")
    assert blocks.REFUSED[name] in str(refused.value)
    assert refused.value.param == "messages.0.content.0"


def test_every_field_of_a_tool_and_of_a_choice_is_known() -> None:
    assert keys(ToolParam) <= {f.name for f in msgspec.structs.fields(tools.Tool)}
    choice = {f.name for f in msgspec.structs.fields(tools.Choice)}
    for shape in members(tool_choice_param.ToolChoiceParam):
        assert keys(shape) <= choice
    message = {f.name for f in msgspec.structs.fields(Message)}
    for shape in (
        *members(message_param.MessageParam),
        *members(beta_message_param.BetaMessageParam),
    ):
        assert keys(shape) <= message
    config = {f.name for f in msgspec.structs.fields(thinking.Config)}
    for shape in members(thinking_config_param.ThinkingConfigParam):
        assert keys(shape) <= config
    output = {f.name for f in msgspec.structs.fields(parameters.OutputConfig)}
    assert keys(beta_output_config_param.BetaOutputConfigParam) <= output


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_tools_that_only_anthropics_models_know_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        tools.read_tools([body.raw({"type": name, "name": "x"})])
    assert refused.value.param == "tools.0.type"
