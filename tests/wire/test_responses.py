"""Responses without a server: every field has a verdict, items become messages, chunks events."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import responses as sdk
from openai.types.responses import response_create_params, response_input_item_param, tool_param
from openai.types.responses.response_includable import ResponseIncludable
from openai.types.shared_params.reasoning import Reasoning
from pydantic import TypeAdapter

from noibo.errors import EngineError, InvalidRequest, NoiboError, QueueFull
from noibo.wire import metadata, responses
from noibo.wire.body import Fields, Json, raw
from noibo.wire.responses import limits
from noibo.wire.responses import messages as chat
from noibo.wire.responses.answer import Answer, Telling
from noibo.wire.responses.budget import MOST_ITEMS, Budget, weight
from noibo.wire.responses.items import _KINDS, read_input
from noibo.wire.responses.messages import FileContent
from noibo.wire.responses.reasoning import sealed, unsealed

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "What the weather is.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    "strict": True,
}
CLOCK = {"type": "function", "name": "clock", "parameters": {}, "strict": False}


def body(**fields: Any) -> Fields:
    return {name: raw(value) for name, value in ({"model": "m", "input": "hi"} | fields).items()}


def engine(**fields: Any) -> dict[str, Any]:
    return {k: msgspec.json.decode(v) for k, v in responses.read(body(**fields)).engine.items()}


def as_messages(
    items: list[Json], instructions: str | None = None, files: Any = None, most: int = 10_000
) -> list[Json]:
    return chat.as_messages(items, instructions, files or {}, Budget(most))


def refused(param: str, **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        responses.read(body(**fields))
    assert caught.value.param == param
    return str(caught.value)


# ── every field of the official SDK ─────────────────────────────────────────

# What the engine is told for a field; or what the response says of it, or does.
EFFECT: dict[str, tuple[Any, dict[str, Any]]] = {
    "max_output_tokens": (7, {"max_completion_tokens": 7}),
    "parallel_tool_calls": (False, {}),
    "reasoning": ({"effort": "low"}, {"reasoning_effort": "low"}),
    "temperature": (0.5, {"temperature": 0.5}),
    "text": ({"format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    "top_logprobs": (3, {"logprobs": True, "top_logprobs": 3}),
    "top_p": (0.5, {"top_p": 0.5}),
    "tool_choice": ("none", {}),
}
# Served by noibo itself: tests/gateway/test_responses.py shows it.
NOIBO = {
    "background",
    "include",
    "input",
    "instructions",
    "metadata",
    "model",
    "previous_response_id",
    "store",
    "stream",
    "stream_options",
    "tools",
}
# Kept, and said back in the response: it changes no answer here.
KEPT = {
    "max_tool_calls": 3,  # of tools that OpenAI runs itself: there are none
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "truncation": "disabled",
    "user": "u",
}
# Kept, and said back as what it is here.
SERVICE_TIER = "service_tier"
REFUSED = {
    "access_programs": {"cyber": "standard"},
    "background_options": {"completion_window": "2h"},
    "context_management": [{"type": "compaction"}],
    "conversation": "conv_1",
    "image": {"context_compression": "enabled"},
    "moderation": {"model": "m"},
    "prompt": {"id": "p"},
}


def sdk_fields() -> set[str]:
    kinds = (
        response_create_params.ResponseCreateParamsBase,
        response_create_params.ResponseCreateParamsNonStreaming,
    )
    return {name for kind in kinds for name in typing.get_type_hints(kind)}


def test_every_field_that_the_sdk_sends_has_a_verdict() -> None:
    verdicts = [*EFFECT, *NOIBO, *KEPT, SERVICE_TIER, *REFUSED]
    assert sorted(verdicts) == sorted(sdk_fields())


@pytest.mark.parametrize("name", EFFECT)
def test_a_field_with_an_effect_reaches_the_engine(name: str) -> None:
    value, told = EFFECT[name]
    plain = engine()
    assert {k: v for k, v in engine(**{name: value}).items() if k not in plain} == told


@pytest.mark.parametrize("name", KEPT)
def test_a_field_that_is_kept_is_said_back_and_not_sent_on(name: str) -> None:
    asked = responses.read(body(**{name: KEPT[name]}))
    assert asked.said[name] == KEPT[name]
    assert name not in asked.engine


def test_the_service_tier_is_checked_and_is_the_one_there_is() -> None:
    assert responses.read(body(service_tier="flex")).said["service_tier"] == "default"
    refused("service_tier", service_tier="gold")


@pytest.mark.parametrize("name", REFUSED)
def test_a_field_that_is_not_served_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        responses.read(body(**{name: REFUSED[name]}))
    assert (caught.value.param or "").split(".")[0] == name
    assert responses.read(body(**{name: None}))


@pytest.mark.parametrize("name", sorted(limits.TYPES))
@pytest.mark.parametrize(
    "text", [b'{"a":[1]}', b"[[]]", b"-1.5", b"1" + b"0" * 400, b'"\\u0000"', b"true"]
)
def test_a_wrong_type_is_refused_and_names_the_field(name: str, text: bytes) -> None:
    fields = body() | {name: msgspec.Raw(text)}
    try:
        msgspec.json.decode(text, type=limits.TYPES[name])
    except msgspec.DecodeError:
        with pytest.raises(InvalidRequest) as caught:
            responses.read(fields)
        assert (caught.value.param or "").startswith(name)


def test_the_types_are_of_every_field_that_is_not_refused() -> None:
    assert set(limits.TYPES) == {*EFFECT, *NOIBO, *KEPT, SERVICE_TIER, *REFUSED} - set(
        limits.REFUSED
    )


def test_what_nobody_here_knows_goes_to_the_engine() -> None:
    told = engine(min_p=0.1, x_echo={"delay_ms": 1}, seed=4)
    assert (told["min_p"], told["x_echo"], told["seed"]) == (0.1, {"delay_ms": 1}, 4)
    assert "keep_alive" not in engine(keep_alive="1h")
    refused("messages", messages=[])
    refused("n", n=2)
    refused("max_tokens", max_tokens=1, max_output_tokens=1)


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("temperature", {"temperature": 2.1}),
        ("top_p", {"top_p": -0.1}),
        ("top_logprobs", {"top_logprobs": 21}),
        ("max_output_tokens", {"max_output_tokens": 0}),
        ("max_tool_calls", {"max_tool_calls": 0}),
        ("truncation", {"truncation": "now and then"}),
        ("text.verbosity", {"text": {"verbosity": "low"}}),
        ("text.format.schema", {"text": {"format": {"type": "json_schema", "name": "n"}}}),
        ("text.format.name", {"text": {"format": {"type": "json_schema", "schema": {}}}}),
        ("text", {"text": {"format": {"type": "xml"}}}),
        ("reasoning", {"reasoning": {"effort": "some"}}),
        ("reasoning.summary", {"reasoning": {"summary": "concise"}}),
        ("reasoning.generate_summary", {"reasoning": {"generate_summary": "concise"}}),
        ("reasoning.context", {"reasoning": {"context": "all_turns"}}),
        ("reasoning.mode", {"reasoning": {"mode": "pro"}}),
        ("prompt_cache_options.prewarm", {"prompt_cache_options": {"prewarm": True}}),
        (
            "prompt_cache_options.comparison_response_id",
            {"prompt_cache_options": {"comparison_response_id": "r"}},
        ),
        ("background_options.continuation_id", {"background_options": {"continuation_id": "c"}}),
        ("stream_options", {"stream_options": {"include_usage": True}}),
        ("store", {"background": True, "store": False}),
        ("previous_response_id", {"previous_response_id": "../etc"}),
        ("input", {"input": None}),
        ("input", {"input": []}),
        ("metadata", {"metadata": {str(i): "v" for i in range(17)}}),
        ("metadata.k", {"metadata": {"k": "v" * 513}}),
        ("metadata", {"metadata": {"k": 1}}),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(param: str, fields: dict[str, Any]) -> None:
    refused(param, **fields)


def test_every_part_of_reasoning_has_a_verdict() -> None:
    known = limits.Reasoning.__struct_fields__
    assert sorted(typing.get_type_hints(Reasoning)) == sorted(known)
    efforts = get_args(typing.get_type_hints(limits.Reasoning)["effort"])[0]
    for effort in get_args(efforts):
        assert engine(reasoning={"effort": effort})["reasoning_effort"] == effort


@pytest.mark.parametrize("name", get_args(ResponseIncludable))
def test_everything_that_can_be_included_has_a_verdict(name: str) -> None:
    if name in responses.INCLUDES:
        assert responses.read(body(include=[name]))
    else:
        assert name in refused("include", include=[name])


def test_log_probabilities_are_asked_for_by_either_name() -> None:
    assert responses.read(body(top_logprobs=4)).telling.logprobs == 4
    included = responses.read(body(include=["message.output_text.logprobs"]))
    assert included.telling.logprobs == 0
    assert msgspec.json.decode(included.engine["top_logprobs"]) == 1
    assert responses.read(body()).telling.logprobs is None


# ── tools ───────────────────────────────────────────────────────────────────


def tool_types() -> Iterator[str]:
    for kind in get_args(tool_param.ToolParam):
        yield from get_args(get_args(typing.get_type_hints(kind, include_extras=True)["type"])[0])


@pytest.mark.parametrize("kind", sorted(set(tool_types())))
def test_every_kind_of_tool_has_a_verdict(kind: str) -> None:
    tool = {"type": kind, "name": "f", "parameters": {}}
    if kind == "function":
        assert engine(tools=[tool])["tools"]
    else:
        assert kind in refused("tools[0].type", tools=[tool])


def test_functions_are_told_to_the_engine_as_it_knows_them() -> None:
    told = engine(tools=[WEATHER], parallel_tool_calls=False)
    function = {k: WEATHER[k] for k in ("name", "description", "parameters", "strict")}
    assert told["tools"] == [{"type": "function", "function": function}]
    assert told["tool_choice"] == "auto"
    assert told["parallel_tool_calls"] is False


@pytest.mark.parametrize("strict", [None, False, True])
def test_a_tool_is_told_back_as_strict_only_where_the_engine_is_told(strict: bool | None) -> None:
    asked = responses.read(body(tools=[WEATHER | {"strict": strict}]))
    (told,) = msgspec.json.decode(asked.engine["tools"])
    assert asked.tools.told[0]["strict"] is bool(told["function"].get("strict"))
    assert asked.tools.told[0]["strict"] is (strict is True)


def test_a_choice_among_tools_shows_the_model_these_alone() -> None:
    def shown(choice: Any) -> tuple[list[str], str]:
        told = engine(tools=[WEATHER, CLOCK], tool_choice=choice)
        return [one["function"]["name"] for one in told["tools"]], told["tool_choice"]

    assert shown("required") == (["weather", "clock"], "required")
    assert shown({"type": "function", "name": "clock"}) == (["clock"], "required")
    some = [{"type": "function", "name": "weather"}]
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": some}
    assert shown(allowed) == (["weather"], "auto")


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("tool_choice", {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "x"}}),
        ("tool_choice", {"tools": [WEATHER], "tool_choice": {"type": "web_search_preview"}}),
        ("tool_choice", {"tools": [WEATHER], "tool_choice": "perhaps"}),
        ("tools", {"tool_choice": "required"}),
        ("tools", {"tools": [WEATHER, WEATHER]}),
        ("tools[0].name", {"tools": [WEATHER | {"name": "with space"}]}),
        ("tools[0].defer_loading", {"tools": [WEATHER | {"defer_loading": True}]}),
        ("tools[0].async", {"tools": [WEATHER | {"async": True}]}),
        ("tools[0].output_schema", {"tools": [WEATHER | {"output_schema": {}}]}),
        ("tools[0].allowed_callers", {"tools": [WEATHER | {"allowed_callers": ["programmatic"]}]}),
        ("tools[0]", {"tools": [WEATHER | {"unheard_of": 1}]}),
    ],
)
def test_tools_that_cannot_be_are_refused(param: str, fields: dict[str, Any]) -> None:
    refused(param, **fields)


# ── items ───────────────────────────────────────────────────────────────────


def item_types() -> Iterator[str]:
    for kind in get_args(response_input_item_param.ResponseInputItemParam):
        hint = typing.get_type_hints(kind)["type"]
        yield from (one for one in _texts(hint) if one)


def _texts(hint: Any) -> Iterator[str]:
    for one in get_args(hint):
        if isinstance(one, str):
            yield one
        else:
            yield from _texts(one)


@pytest.mark.parametrize("kind", sorted(set(item_types())))
def test_every_kind_of_item_has_a_verdict(kind: str) -> None:
    if kind in _KINDS:
        with pytest.raises(InvalidRequest) as caught:
            read_input([{"type": kind}])
        assert caught.value.param != "input[0].type"
    else:
        with pytest.raises(InvalidRequest, match=kind) as caught:
            read_input([{"type": kind, "id": "x"}])
        assert caught.value.param == "input[0].type"


def test_a_turn_of_the_model_is_one_message() -> None:
    items = read_input(
        [
            {"role": "user", "content": "What is the weather in Huế?"},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "I look."}],
            },
            {"role": "assistant", "content": "One moment."},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "clock", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_text", "text": "noon"}],
            },
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ]
    )
    call = {"type": "function", "function": {"name": "weather", "arguments": "{}"}}
    other = {"type": "function", "function": {"name": "clock", "arguments": "{}"}}
    assert as_messages(items, None, {}) == [
        {"role": "user", "content": "What is the weather in Huế?"},
        {
            "role": "assistant",
            "content": "One moment.",
            "reasoning_content": "I look.",
            "tool_calls": [{"id": "c1", **call}, {"id": "c2", **other}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "noon"},
        {"role": "assistant", "content": "No."},
    ]


def test_what_the_system_says_at_the_beginning_is_one_message() -> None:
    items = read_input(
        [
            {"role": "developer", "content": "Be kind."},
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "system", "content": "Now be slow."},
        ]
    )
    assert as_messages(items, "Answer in Vietnamese.", {}) == [
        {"role": "system", "content": "Answer in Vietnamese.\n\nBe kind.\n\nBe brief."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Now be slow."},
    ]


@pytest.mark.parametrize("detail", ["auto", "low", "high", None])
def test_the_detail_of_a_file_is_one_of_openais_words(detail: str | None) -> None:
    file = {"type": "input_file", "file_data": "AA==", "detail": detail}
    assert responses.read(body(input=[{"role": "user", "content": [file]}]))
    for wrong in ("original", "much", 3, ["low"]):
        refused(
            "input[0].content[0].detail",
            input=[{"role": "user", "content": [file | {"detail": wrong}]}],
        )


def test_what_the_system_says_in_parts_is_one_text() -> None:
    parts = [
        {"type": "input_text", "text": "Be kind."},
        {"type": "input_text", "text": "Be brief."},
    ]
    items = read_input(
        [
            {"role": "developer", "content": parts},
            {"role": "system", "content": "Be slow."},
            {"role": "user", "content": "Hi"},
            {"role": "developer", "content": parts},
        ]
    )
    assert as_messages(items, "Answer in Vietnamese.") == [
        {
            "role": "system",
            "content": "Answer in Vietnamese.\n\nBe kind.\nBe brief.\n\nBe slow.",
        },
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Be kind.\nBe brief."},
    ]
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    refused("input[0].content[0].type", input=[{"role": "system", "content": [picture]}])


def thought(text: str) -> dict[str, Any]:
    return {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": text}],
    }


def called(name: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": name, "name": "weather", "arguments": "{}"}


def test_a_thought_belongs_to_what_comes_after_it() -> None:
    items = read_input(
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            thought("Which place?"),
            thought("Huế."),
            called("c1"),
            thought("And the time?"),
            called("c2"),
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"type": "function_call_output", "call_id": "c2", "output": "noon"},
            thought("Say it."),
            {"role": "assistant", "content": "Rain at noon."},
        ]
    )
    made = [one for one in as_messages(items) if one["role"] == "assistant"]
    told = [
        (
            one.get("reasoning_content"),
            one["content"],
            [call["id"] for call in one.get("tool_calls", [])],
        )
        for one in made
    ]
    assert told == [
        (None, "Hello.", []),
        ("Which place?\n\nHuế.", "", ["c1"]),
        ("And the time?", "", ["c2"]),
        ("Say it.", "Rain at noon.", []),
    ]


def test_an_item_that_is_there_twice_is_refused_by_its_name() -> None:
    said = {"role": "user", "content": "Hi", "id": "msg_1"}
    reference = {"type": "item_reference", "id": "msg_1"}
    for again in (said, reference, thought("x") | {"id": "msg_1"}):
        assert "'msg_1'" in refused("input[2].id", input=[said, thought("x"), again])
    assert "input[0]" in refused("input[1].id", input=[reference, reference])


@pytest.mark.parametrize(
    ("item", "files"),
    [
        ({"role": "user", "content": "x" * 1001}, {}),
        ({"role": "system", "content": "x" * 1001}, {}),
        ({"role": "assistant", "content": "x" * 1001}, {}),
        (called("x" * 1001), {}),
        (thought("x" * 1001), {}),
        ({"type": "reasoning", "summary": [], "encrypted_content": sealed("x" * 10_000_000)}, {}),
        (
            {
                "role": "user",
                "content": [{"type": "input_image", "image_url": "data:" + "x" * 1001}],
            },
            {},
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}] * 5},
            {"file-1": FileContent("a.png", b"x" * 200)},
        ),
        (
            {"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}] * 6},
            {"file-1": FileContent("a.txt", b"x" * 200)},
        ),
    ],
)
def test_what_is_put_together_is_bounded(item: Any, files: dict[str, FileContent]) -> None:
    items = read_input([item])
    assert as_messages(items, None, files, most=20_000_000)
    with pytest.raises(InvalidRequest, match=r"1,000 characters") as caught:
        as_messages(items, None, files, most=1000)
    assert caught.value.param == "input"


def test_only_so_many_items_are_put_together() -> None:
    several = [{"role": "user", "content": ""}] * (MOST_ITEMS + 1)
    assert "10,000 items" in refused("input", input=several)
    assert len(read_input(several[1:])) == MOST_ITEMS
    with pytest.raises(InvalidRequest, match=r"10,000 items"):
        as_messages([*read_input(several[1:]), *read_input(several[:1])])
    parts = [{"type": "input_text", "text": ""}] * (MOST_ITEMS + 1)
    (message,) = as_messages(read_input([{"role": "user", "content": parts}]))
    assert len(message["content"]) == MOST_ITEMS + 1  # of one item


def test_log_probabilities_do_not_weigh() -> None:
    part = {"type": "output_text", "text": "ab", "logprobs": [{"token": "ab" * 100}]}
    assert weight({"content": [part]}) == len("output_textab")


def test_pictures_and_files_are_put_into_the_message() -> None:
    data = "data:text/plain;base64,aGVsbG8="
    items = read_input(
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "See:"},
                    {
                        "type": "input_image",
                        "image_url": "data:image/png;base64,AA==",
                        "detail": "low",
                    },
                    {"type": "input_image", "file_id": "file-1"},
                    {"type": "input_file", "file_data": data, "filename": "a.txt"},
                    {"type": "input_file", "file_id": "file-2"},
                ],
            }
        ]
    )
    files = {"file-1": FileContent("p.png", b"\x89PNG"), "file-2": FileContent("b.md", b"# B")}
    (message,) = as_messages(items, None, files)
    assert [part["type"] for part in message["content"]] == [
        "text",
        "image_url",
        "image_url",
        "text",
        "text",
    ]
    assert message["content"][1]["image_url"]["detail"] == "low"
    assert message["content"][2]["image_url"]["url"] == "data:image/png;base64,iVBORw=="
    assert message["content"][3]["text"] == "File a.txt:\nhello"
    assert message["content"][4]["text"] == "File b.md:\n# B"


@pytest.mark.parametrize(
    ("where", "item"),
    [
        ("input[0]", 7),
        ("input[0].role", {"type": "message", "role": "tool", "content": ""}),
        ("input[0].content", {"role": "user", "content": 7}),
        ("input[0].content", {"role": "user"}),
        ("input[0].content[0].type", {"role": "user", "content": [{"type": "output_text"}]}),
        ("input[0].content[0].type", {"role": "user", "content": [{"type": "input_audio"}]}),
        ("input[0].content[0].type", {"role": "assistant", "content": [{"type": "input_text"}]}),
        ("input[0].content[0].text", {"role": "user", "content": [{"type": "input_text"}]}),
        ("input[0].content[0]", {"role": "user", "content": [{"type": "input_image"}]}),
        (
            "input[0].content[0].file_url",
            {"role": "user", "content": [{"type": "input_file", "file_url": "http://x"}]},
        ),
        (
            "input[0].content[0].file_id",
            {"role": "user", "content": [{"type": "input_file", "file_id": "../x"}]},
        ),
        ("input[0].status", {"role": "user", "content": "", "status": "odd"}),
        ("input[0].id", {"role": "user", "content": "", "id": "a\0b"}),
        ("input[0].name", {"role": "user", "content": "", "name": "x"}),
        ("input[0].call_id", {"type": "function_call", "name": "f", "arguments": "{}"}),
        (
            "input[0].arguments",
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"},
        ),
        ("input[0].output", {"type": "function_call_output", "call_id": "c", "output": {}}),
        ("input[0].summary[0].type", {"type": "reasoning", "summary": ["x"]}),
        ("input[0].id", {"type": "item_reference"}),
    ],
)
def test_an_item_that_cannot_be_is_refused_with_its_place(where: str, item: Any) -> None:
    refused(where, input=[item])


def test_an_output_without_its_call_is_refused() -> None:
    items = read_input([{"type": "function_call_output", "call_id": "c9", "output": ""}])
    with pytest.raises(InvalidRequest, match="c9"):
        as_messages(items, None, {})


def test_a_file_that_is_no_text_is_refused() -> None:
    part = {"type": "input_file", "file_data": "AP8=", "filename": "x.pdf"}
    items = read_input([{"role": "user", "content": [part]}])
    with pytest.raises(InvalidRequest, match=r"x\.pdf"):
        as_messages(items, None, {})


@given(st.text())
def test_packed_reasoning_is_the_same_again(text: str) -> None:
    assert unsealed(sealed(text), Budget(1000)) == text


@pytest.mark.parametrize("word", ["gAAAA", "noibo1.", "noibo1.AAAA", "noibo1.é", ""])
def test_what_another_packed_is_refused(word: str) -> None:
    with pytest.raises(InvalidRequest, match="encrypted_content"):
        unsealed(word, Budget(1000))


# ── answers ─────────────────────────────────────────────────────────────────

EVENTS: TypeAdapter[Any] = TypeAdapter(sdk.ResponseStreamEvent)


def answer(**telling: Any) -> Answer:
    said = responses.read(body(tools=[WEATHER])).said
    return Answer({"id": "resp_1", "model": "m", **said}, Telling(**telling), lambda: 1000.0)


def delta(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": None}]}


def last(reason: str) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage}


def told(made: Answer, *chunks: dict[str, Any]) -> list[dict[str, Any]]:
    events = made.begin("m")
    for chunk in chunks:
        events += made.chunk(chunk)
    return events + made.end()


CHUNKS = (
    delta(role="assistant", content=None),
    delta(reasoning_content="Let me "),
    delta(reasoning_content="think."),
    delta(content="Xin "),
    delta(content="chào"),
    delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "weather", "arguments": ""}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '{"place":'}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '"Huế"}'}}]),
    delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "clock", "arguments": "{}"}}]),
    last("tool_calls"),
)


def test_the_events_come_in_order_and_numbered() -> None:
    events = told(answer(), *CHUNKS)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        EVENTS.validate_python(json.loads(json.dumps(event)))


def test_the_end_has_all_of_it() -> None:
    made = answer(packed=True)
    told(made, *CHUNKS)
    found = sdk.Response.model_validate(made.response())
    thought, said, weather, clock = made.output
    assert thought["content"] == [{"type": "reasoning_text", "text": "Let me think."}]
    assert unsealed(thought["encrypted_content"], Budget(1000)) == "Let me think."
    assert found.output_text == said["content"][0]["text"] == "Xin chào"
    assert (weather["call_id"], weather["arguments"]) == ("a", '{"place":"Huế"}')
    assert (clock["call_id"], clock["name"], clock["arguments"]) == ("b", "clock", "{}")
    assert {item["status"] for item in made.output} == {"completed"}
    assert found.status == "completed"
    assert found.completed_at == 1000
    assert found.usage is not None
    assert found.usage.input_tokens_details.cached_tokens == 4
    assert (found.usage.input_tokens, found.usage.total_tokens) == (5, 12)


def test_a_whole_answer_is_the_same_as_a_streamed_one() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {
        "role": "assistant",
        "content": "Xin chào",
        "reasoning_content": "Think.",
        "tool_calls": [call],
    }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    made = answer()
    made.begin("m")
    made.whole({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    made.end()
    assert [item["type"] for item in made.output] == ["reasoning", "message", "function_call"]
    assert made.response()["usage"]["output_tokens"] == 2


def test_reasoning_is_told_as_a_summary_to_who_asked_for_one() -> None:
    made = answer(summarised=True)
    events = told(made, *CHUNKS[1:3], last("stop"))
    kinds = [one["type"].removeprefix("response.") for one in events if "summary" in one["type"]]
    assert kinds == [
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
    ]
    for event in events:
        EVENTS.validate_python(event)
    assert made.output[0]["summary"] == [{"type": "summary_text", "text": "Let me think."}]


def test_an_answer_that_was_cut_says_so() -> None:
    made = answer()
    events = told(made, delta(content="Xin"), last("length"))
    assert events[-1]["type"] == "response.incomplete"
    assert made.response()["incomplete_details"] == {"reason": "max_output_tokens"}
    assert made.output[0]["status"] == "incomplete"
    assert made.response()["completed_at"] is None


def test_an_answer_without_a_word_has_an_empty_message() -> None:
    made = answer()
    told(made, last("stop"))
    assert sdk.Response.model_validate(made.response()).output_text == ""
    assert len(made.output) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(EngineError("It broke."), "server_error"), (QueueFull("Full."), "rate_limit_exceeded")],
)
def test_an_answer_that_breaks_off_keeps_what_it_had(error: NoiboError, code: str) -> None:
    made = answer()
    events = made.begin("m") + made.chunk(delta(content="Xin")) + made.fail(error)
    for event in events:
        EVENTS.validate_python(event)
    assert events[-1]["type"] == "response.failed"
    assert made.response()["error"]["code"] == code
    assert made.output[0]["content"][0]["text"] == "Xin"
    assert made.output[0]["status"] == "incomplete"


def test_deltas_are_filled_up_for_who_asked() -> None:
    made = answer(obfuscated=True)
    events = told(made, delta(content="a"), delta(content="b" * 20), last("stop"))
    filled = [one for one in events if "obfuscation" in one]
    assert [len(one["delta"]) + len(one["obfuscation"]) for one in filled] == [16, 32]
    assert not any("obfuscation" in one for one in told(answer(), *CHUNKS))


def test_log_probabilities_are_told_as_far_as_they_were_asked_for() -> None:
    row = {"token": "a", "logprob": -1.0, "bytes": [97], "id": 5}
    rows = {"content": [row | {"top_logprobs": [row, row]}]}
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": rows}]}
    clean = {"token": "a", "logprob": -1.0, "bytes": [97]}
    for top, expected in ((None, []), (0, [clean | {"top_logprobs": []}])):
        made = answer(logprobs=top)
        events = told(made, chunk, last("stop"))
        assert made.output[0]["content"][0]["logprobs"] == expected
        assert [one["logprobs"] for one in events if one["type"].endswith("text.delta")] == [
            expected
        ]


def test_a_thought_without_a_word_after_it_is_followed_by_an_empty_message() -> None:
    made = answer()
    events = told(made, delta(reasoning_content="Hm."), last("stop"))
    assert [item["type"] for item in made.output] == ["reasoning", "message"]
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    cut = answer()
    told(cut, delta(reasoning_content="Hm."), last("length"))
    assert [item["type"] for item in cut.output] == ["reasoning"]


NONSENSE: tuple[Any, ...] = (float("nan"), float("inf"), -float("inf"), 10**400, -1, "7", [], {})


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: str(value)[:5])
def test_nonsense_about_tokens_counts_as_nothing(value: Any) -> None:
    usage = {
        "prompt_tokens": value,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": value},
        "completion_tokens_details": value,
    }
    made = answer()
    made.reasoning_tokens = 9
    told(made, {"choices": [], "usage": usage}, {"choices": [], "usage": value or 7})
    found = sdk.Response.model_validate_json(msgspec.json.encode(made.response())).usage
    assert found is not None
    assert (found.input_tokens, found.total_tokens) == (0, 3)
    assert found.output_tokens_details.reasoning_tokens == 3


@pytest.mark.parametrize("value", [*NONSENSE[:4], None, "-1"], ids=lambda value: str(value)[:5])
def test_a_log_probability_is_a_number_whatever_the_engine_says(value: Any) -> None:
    row = {"token": "a", "logprob": value, "bytes": [97], "top_logprobs": []}
    row["top_logprobs"] = [dict(row)]
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [row]}}]}
    made = answer(logprobs=1)
    told(made, chunk, last("stop"))
    found = sdk.Response.model_validate_json(msgspec.json.encode(made.response()))
    part = found.output[0].content[0]  # type: ignore[union-attr,index]
    assert part.logprobs[0].logprob == part.logprobs[0].top_logprobs[0].logprob == -9999.0


@pytest.mark.parametrize(
    "said",
    [
        {"content": 7},
        {"reasoning_content": ["a"]},
        {"tool_calls": [{"function": {"name": ["f"], "arguments": "{}"}}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        {"tool_calls": [{"id": 7, "function": {"name": "f"}}]},
    ],
)
def test_what_an_engine_says_is_text_or_its_failure(said: dict[str, Any]) -> None:
    made = answer()
    made.begin("m")
    with pytest.raises(EngineError, match="no text"):
        made.chunk(delta(**said))
    assert made.fail(EngineError("x"))[-1]["type"] == "response.failed"


def test_one_that_cannot_be_kept_has_failed_and_nothing_else() -> None:
    for reason in ("stop", "length"):
        made = answer()
        events = told(made, delta(content="Xin"), last(reason))
        events = events[:-1] + made.fail(EngineError("The disk is full."))
        assert [one["sequence_number"] for one in events] == list(range(len(events)))
        found = made.response()
        assert found["status"] == "failed"
        assert (found["completed_at"], found["incomplete_details"]) == (None, None)


def test_metadata_within_limits_is_kept() -> None:
    kept = {"k" * 64: "v" * 512}
    assert metadata.read_metadata({"metadata": raw(kept)}) == kept


# Event kinds of the official SDK that belong to tools which OpenAI runs, or to voice.
NEVER = (
    "response.audio",
    "response.code_interpreter_call",
    "response.compaction",
    "response.custom_tool_call",
    "response.file_search_call",
    "response.image_generation_call",
    "response.mcp_",
    "response.output_text.annotation",
    "response.refusal",
    "response.shell_call",
    "response.web_search_call",
    "error",
)


def test_every_kind_of_event_of_the_sdk_has_a_verdict() -> None:
    union = get_args(get_args(sdk.ResponseStreamEvent)[0])
    kinds = {get_args(event.model_fields["type"].annotation)[0] for event in union}
    sent = {one["type"] for one in told(answer(), *CHUNKS)}
    sent |= {one["type"] for one in told(answer(summarised=True), *CHUNKS[1:3], last("length"))}
    sent |= {one["type"] for one in answer().queue()}
    sent |= {one["type"] for one in answer().fail(EngineError("x"))}
    assert {kind for kind in kinds - sent if not kind.startswith(NEVER)} == set()
    assert sent <= kinds
