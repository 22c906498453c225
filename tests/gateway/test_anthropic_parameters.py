"""Every parameter and block that Anthropic's client knows has a verdict here."""

from __future__ import annotations

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

from noibo.errors import InvalidRequest
from noibo.gateway.anthropic import parameters, thinking
from noibo.gateway.anthropic.parameters import PARAMETERS, TYPES
from noibo.wire import body
from noibo.wire.anthropic import blocks, tools
from noibo.wire.anthropic.messages import Message

# Said in headers, and not in the body.
HEADERS = {"betas"}


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
