"""Anthropic's API through its own client: a real server, a real model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from noibo.gateway.anthropic.parameters import TYPES
from tests.running import RunningServer

MODEL = "smollm2:135m"
SAMPLING = ("temperature", "top_p", "top_k")
ASK = [{"role": "user", "content": "Name three colours of the rainbow."}]
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Hanoi", "Hue"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CLOCK = {
    "name": "get_time",
    "description": "What time it is.",
    "input_schema": {
        "type": "object",
        "properties": {"zone": {"type": "string", "enum": ["UTC"]}},
        "required": ["zone"],
        "additionalProperties": False,
    },
}
STRICT = {"type": "object", "properties": {"city": {"not": {}}}}
UNKEPT = {"type": "json_schema", "schema": {"not": {}}}
CALLED = [
    {"role": "user", "content": "How is the weather in Hanoi?"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Hanoi"}},
        ],
    },
]


def result(content: Any, **more: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": "call_1", "content": content, **more}
    return {"role": "user", "content": [block, {"type": "text", "text": "So?"}]}


@pytest.fixture(scope="module")
def client(real_server: RunningServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=real_server.url, api_key="any", max_retries=0) as made:
        yield made


def asked(**fields: Any) -> dict[str, Any]:
    """Arguments of the client. It has none for sampling any more; the API takes them as ever."""
    fields = {"model": MODEL, "messages": ASK, "max_tokens": 6, "temperature": 0} | fields
    sampling = {name: fields.pop(name) for name in SAMPLING if name in fields}
    return fields | {"extra_body": sampling | fields.get("extra_body", {})}


def create(client: anthropic.Anthropic, **fields: Any) -> anthropic.types.Message:
    return client.messages.create(**asked(**fields))


def said(client: anthropic.Anthropic, **fields: Any) -> str:
    return "".join(b.text for b in create(client, **fields).content if b.type == "text")


def count(client: anthropic.Anthropic, **fields: Any) -> int:
    fields = {"model": MODEL, "messages": ASK} | fields
    return client.messages.count_tokens(**fields).input_tokens


def refusal(client: anthropic.Anthropic, **fields: Any) -> str:
    with pytest.raises(anthropic.BadRequestError) as caught:
        create(client, **fields)
    body = caught.value.body
    assert isinstance(body, dict)
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    return str(body["error"]["message"])


def test_a_message_is_answered(client: anthropic.Anthropic) -> None:
    answer = create(client)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", MODEL)
    assert answer.id.startswith("msg_")
    assert [block.type for block in answer.content] == ["text"]
    assert answer.stop_reason in {"end_turn", "max_tokens"}
    assert answer.stop_sequence is None


def test_a_stream_has_every_event_in_its_place(client: anthropic.Anthropic) -> None:
    with client.messages.create(**asked(), stream=True) as events:
        kinds = [event.type for event in events]
    assert [kind for kind, _ in itertools.groupby(kinds)] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_stream_pings_after_its_start(real_server: RunningServer) -> None:
    body = {"model": MODEL, "messages": ASK, "max_tokens": 2, "stream": True}
    answer = httpx2.post(real_server.url + "/v1/messages", json=body, timeout=60)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line for line in answer.text.split("\n") if line.startswith("event: ")]
    assert events[:3] == ["event: message_start", "event: ping", "event: content_block_start"]


def test_a_stream_adds_up_to_the_unstreamed_message(client: anthropic.Anthropic) -> None:
    create(client)  # the prompt is kept from here on, for both alike
    whole = create(client)
    with client.messages.stream(**asked()) as stream:
        assert "".join(stream.text_stream) == whole.content[0].text  # type: ignore[union-attr]
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage) == (whole.stop_reason, whole.usage)


def test_usage_tells_read_kept_and_written_tokens(client: anthropic.Anthropic) -> None:
    text = [{"role": "user", "content": "Tell me of the sea. " * 10}]
    first = create(client, messages=text, max_tokens=2).usage
    again = create(client, messages=text, max_tokens=2).usage
    total = count(client, messages=text)
    for usage in (first, again):
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == total
        assert usage.output_tokens == 2
    assert (again.cache_read_input_tokens or 0) > 50
    assert again.input_tokens < first.input_tokens


def test_the_start_of_a_stream_tells_what_the_prompt_took(client: anthropic.Anthropic) -> None:
    events = client.messages.create(model=MODEL, messages=ASK, max_tokens=2, stream=True)
    start = next(event for event in events if event.type == "message_start").message.usage
    events.close()
    assert start.input_tokens + (start.cache_read_input_tokens or 0) == count(client)


def test_max_tokens_ends_an_answer(client: anthropic.Anthropic) -> None:
    answer = create(client, max_tokens=3)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 3)


def test_the_sequence_that_stopped_an_answer_is_told(client: anthropic.Anthropic) -> None:
    word = said(client).split()[3]
    stops = ["no such text", word, "nor this"]
    answer = create(client, stop_sequences=stops)
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", word)
    assert word not in answer.content[0].text  # type: ignore[union-attr]
    with client.messages.stream(**asked(stop_sequences=stops)) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", word)
    assert create(client, max_tokens=2, stop_sequences=["no such text"]).stop_sequence is None


def test_a_system_prompt_is_a_text_or_blocks(client: anthropic.Anthropic) -> None:
    text = "Answer in capital letters, and nothing else at all, whatever it is you are asked."
    block = {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert count(client, system=text) != count(client)
    assert count(client, system=[block]) == count(client, system=text)
    assert said(client, system=[block]) == said(client, system=text)
    assert count(client, system=[block, block]) > count(client, system=[block])


def test_sampling_has_effect(client: anthropic.Anthropic) -> None:
    def drawn(**fields: Any) -> set[str]:
        return {said(client, extra_body={"seed": seed}, **fields) for seed in (1, 2)}

    assert len(drawn(temperature=1)) > 1
    assert len(drawn(temperature=1, top_k=1)) == 1
    assert len(drawn(temperature=1, top_p=0.01)) == 1


def test_an_answer_goes_on_from_what_the_assistant_has_begun(client: anthropic.Anthropic) -> None:
    begun = [*ASK, {"role": "assistant", "content": "The first is Red, the second is"}]
    answer = create(client, messages=begun, max_tokens=4)
    assert not said(client, messages=begun).startswith("The first")
    usage = answer.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == count(
        client, messages=begun
    )
    assert count(client, messages=begun) > count(client)


@pytest.mark.parametrize("old", [False, True])
def test_a_schema_shapes_the_answer(client: anthropic.Anthropic, old: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "schema": schema}
    field = {"extra_body": {"output_format": form}} if old else {"output_config": {"format": form}}
    answer = said(client, max_tokens=30, **field)
    assert json.loads(answer)["colour"] in {"red", "blue"}


def test_a_tool_that_must_be_used_is_used(client: anthropic.Anthropic) -> None:
    answer = create(client, tools=[WEATHER], tool_choice={"type": "any"}, max_tokens=40)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert answer.stop_reason == "tool_use"
    assert [call.name for call in calls][:1] == ["get_weather"]
    assert calls[0].id
    assert calls[0].input["city"] in {"Hanoi", "Hue"}


def test_a_tool_use_is_streamed_as_json(client: anthropic.Anthropic) -> None:
    one = {"type": "tool", "name": "get_time", "disable_parallel_tool_use": True}
    tools = [WEATHER, CLOCK]
    with client.messages.stream(**asked(max_tokens=40, tools=tools, tool_choice=one)) as stream:
        parts = [
            event.delta.partial_json
            for event in stream
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta"
        ]
        final = stream.get_final_message()
    calls = [block for block in final.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_time"]
    assert json.loads("".join(parts)) == calls[0].input == {"zone": "UTC"}
    assert final.stop_reason == "tool_use"


def test_more_than_one_tool_is_used_only_where_it_may_be(client: anthropic.Anthropic) -> None:
    calls = [
        {"name": "get_weather", "arguments": {"city": "Hue"}},
        {"name": "get_time", "arguments": {"zone": "UTC"}},
    ]
    both = [(call["name"], call["arguments"]) for call in calls]
    for one, expected in ((False, both), (True, both[:1])):
        fields = asked(
            model="echo",
            tools=[WEATHER, CLOCK],
            tool_choice={"type": "auto", "disable_parallel_tool_use": one},
            extra_body={"x_echo": {"text": "I look.", "calls": calls}},
        )
        with client.messages.stream(**fields) as stream:
            streamed = stream.get_final_message()
        for answer in (client.messages.create(**fields), streamed):
            text, *used = answer.content
            assert text.type == "text"
            assert [(b.name, b.input) for b in used if b.type == "tool_use"] == expected
            assert (len(used), answer.stop_reason) == (len(expected), "tool_use")


def test_a_model_whose_template_has_none_is_taught_tools(client: anthropic.Anthropic) -> None:
    plain, told = count(client), count(client, tools=[WEATHER])
    assert told > plain + 30
    assert create(client, tools=[WEATHER], max_tokens=1).usage.output_tokens == 1
    assert count(client, messages=[*CALLED, result("38 degrees")], tools=[WEATHER]) > told + 10


def test_tool_choice_none_uses_none(client: anthropic.Anthropic) -> None:
    answer = create(client, tools=[WEATHER], tool_choice={"type": "none"})
    assert {block.type for block in answer.content} <= {"text"}


def test_counted_tokens_are_what_the_same_message_takes(client: anthropic.Anthropic) -> None:
    thought = {"type": "thinking", "thinking": "It is blue.", "signature": "s"}
    answered = [*ASK, {"role": "assistant", "content": [thought, {"type": "text", "text": "Red"}]}]
    paper = {"type": "text", "media_type": "text/plain", "data": "Hanoi is a city."}
    document = {"type": "document", "source": paper, "title": "Cities", "context": "geography"}
    found = {
        "type": "search_result",
        "source": "book",
        "title": "Rainbows",
        "content": [{"type": "text", "text": "Seven colours."}],
    }
    asks: list[dict[str, Any]] = [
        {},
        {"system": "Be brief."},
        {"system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]},
        {"messages": [{"role": "user", "content": "Tiếng Việt có dấu: ấ ệ ữ 🌧"}]},
        {"messages": [*answered, {"role": "user", "content": "And?"}]},
        {"messages": [*ASK, {"role": "assistant", "content": "The colours are"}]},
        {"messages": [{"role": "user", "content": [document, found]}]},
        {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "get_weather"}},
        {"tools": [WEATHER], "tool_choice": {"type": "none"}},
        {"messages": [*ASK, *ASK], "thinking": {"type": "disabled"}},
    ]
    for ask in asks:
        usage = create(client, max_tokens=1, **ask).usage
        taken = usage.input_tokens + (usage.cache_read_input_tokens or 0)
        assert count(client, **ask) == taken, ask


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": [""]}, "stop_sequences"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": [{"type": "poem"}]}]}, "messages.0.content.0"),
        ({"messages": CALLED}, "call_1"),
        ({"messages": [*ASK, result("x")]}, "tool_use_id"),
        ({"container": "c"}, "container"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [WEATHER, WEATHER]}, "tools.1.name"),
        ({"tools": [WEATHER | {"name": "a b"}]}, "tools.0.name"),
        ({"tools": [WEATHER | {"defer_loading": True}]}, "defer_loading"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}, "thinking"),
        ({"thinking": {"type": "enabled", "budget_tokens": 50}}, "budget_tokens"),
        ({"thinking": {"type": "disabled", "budget_tokens": 5}}, "budget_tokens"),
        ({"output_config": {"effort": "max"}}, "effort"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {"type": "any"},
                "output_config": {"format": {"type": "json_schema", "schema": {}}},
            },
            "tool_choice",
        ),
        ({"tools": [WEATHER | {"input_schema": STRICT, "strict": True}]}, "tools: 'not'"),
        (
            {"tools": [WEATHER | {"input_schema": STRICT}], "tool_choice": {"type": "any"}},
            "tools: ",
        ),
        ({"output_config": {"format": UNKEPT}}, "output_config.format: "),
        ({"extra_body": {"output_format": UNKEPT}}, "output_format: "),
        (
            {"output_config": {"format": UNKEPT}, "extra_body": {"output_format": UNKEPT}},
            "output_format: it is the old name",
        ),
        ({"service_tier": "golden"}, "service_tier"),
        ({"metadata": {"user_id": 5}}, "metadata"),
        ({"extra_body": {"mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}]}}, "mcp"),
        ({"extra_body": {"context_management": {"edits": [{"type": "compact"}]}}}, "context_manag"),
        ({"extra_body": {"speed": "fast"}}, "speed"),
        ({"extra_body": {"of_tomorrow": 1}}, "of_tomorrow"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    client: anthropic.Anthropic, fields: dict[str, Any], named: str
) -> None:
    assert named in refusal(client, **fields)


WRONG: dict[str, list[Any]] = {
    "model": [None, 5, [], {}],
    "messages": [None, "Hi", {}, [], [5], [{"role": "user"}], [{"role": "user", "content": 5}]],
    "system": [5, {}, [5], [{"type": "image"}]],
    "max_tokens": [None, "9", 1.5, -1, True, 2**40],
    "stream": ["yes", 1],
    "temperature": ["hot", True, -0.1, 1.1],
    "top_p": ["x", 1.1],
    "top_k": ["x", 1.5, -1],
    "stop_sequences": ["x", [5], [""]],
    "tools": ["x", {}, [5], [{"name": "a"}], [{"name": 5, "input_schema": {"type": "object"}}]],
    "tool_choice": ["auto", [], {}, {"type": "maybe"}],
    "thinking": ["on", True, {}, {"type": "maybe"}],
    "output_config": ["x", {"format": "json"}, {"effort": "huge"}, {"of_tomorrow": 1}],
    "output_format": ["x", {}, {"type": "json_schema"}],
    "metadata": ["x", {"user_id": 5}, {"of_tomorrow": 1}],
    "service_tier": [5, "best"],
    "user_profile_id": [5],
    "workspace_id": [{}],
    "billing_policy": ["x"],
    "fallback_credit_token": [5],
    "fallbacks": ["x", {}, [5]],
    "diagnostics": ["x"],
    "cache_control": ["x"],
    "compaction": [5],
    "container": [{}],
    "context_management": ["x", {"edits": 5}],
    "inference_geo": [5],
    "mcp_servers": ["x", {}],
    "speed": [5, "slow"],
    "thread": [5],
}


def test_a_wrong_value_of_any_parameter_is_refused_by_its_name(real_server: RunningServer) -> None:
    assert set(WRONG) == set(TYPES)
    whole = {"model": MODEL, "messages": ASK, "max_tokens": 1}
    with httpx2.Client(base_url=real_server.url) as http:
        for name, value in ((name, value) for name, values in WRONG.items() for value in values):
            answer = http.post("/v1/messages", json=whole | {name: value})
            assert answer.status_code == 400, (name, value, answer.text)
            body = answer.json()
            assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
            assert body["error"]["message"].startswith(name), (name, value, body)


@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "file", "file_id": "file_1"},
        {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
    ],
)
def test_images_are_refused_by_a_model_that_sees_none(
    client: anthropic.Anthropic, source: dict[str, str]
) -> None:
    image = {"type": "image", "source": source}
    turn = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}
    assert "messages.0.content.1" in refusal(client, messages=[turn])
    told = refusal(client, messages=[*CALLED, result([image])], tools=[WEATHER])
    assert "messages.2.content.0.content.0" in told


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        {"type": "url", "url": "https://example.com/a.pdf"},
    ],
)
def test_documents_that_are_no_text_are_refused(
    client: anthropic.Anthropic, source: dict[str, str]
) -> None:
    turn = {"role": "user", "content": [{"type": "document", "source": source}]}
    assert "messages.0.content.0.source" in refusal(client, messages=[turn])


def test_errors_have_anthropics_types(real_server: RunningServer) -> None:
    with anthropic.Anthropic(base_url=real_server.url, api_key="k", max_retries=0) as client:
        with pytest.raises(anthropic.NotFoundError) as missing:
            create(client, model="no-such-model")
        assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
        with pytest.raises(anthropic.BadRequestError) as long:
            create(client, messages=[{"role": "user", "content": "word " * 3000}])
        assert "prompt is too long" in str(long.value)
        with pytest.raises(anthropic.APIStatusError) as batches:
            client.messages.batches.create(requests=[])
        assert batches.value.status_code == 501
        assert batches.value.body["type"] == "error"  # type: ignore[index]
        with pytest.raises(anthropic.APIStatusError) as listed:
            client.messages.batches.retrieve("b")
        assert listed.value.status_code == 501


def test_a_missing_parameter_is_named(real_server: RunningServer) -> None:
    whole = {"model": MODEL, "messages": ASK, "max_tokens": 5}
    for name in whole:
        body = {key: value for key, value in whole.items() if key != name}
        answer = httpx2.post(real_server.url + "/v1/messages", json=body)
        assert answer.status_code == 400
        assert name in answer.json()["error"]["message"]


def test_models_are_listed_for_anthropics_client(client: anthropic.Anthropic) -> None:
    page = client.models.list(limit=1)
    assert [model.type for model in page.data] == ["model"]
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.models.retrieve("nobody")
    body: Any = missing.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
