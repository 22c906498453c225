"""What each field of a chat does to the real model's answer, through the official SDK."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.gateway.openai_calls import ASK, MODEL, TOOLS, chat, chunks, refused, said
from tests.running import RunningServer, until

RED = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["red", "blue"]}}}


@pytest.fixture
def client(real_server: RunningServer) -> Iterator[openai.OpenAI]:
    url = real_server.url + "/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=170) as made:
        yield made


def ids_of(server: RunningServer, text: str) -> list[int]:
    """The model's ids of a text's tokens."""
    found = httpx2.post(server.url + "/tokenize", json={"model": MODEL, "content": text})
    tokens: list[int] = found.json()["tokens"]
    return tokens


# ── several choices ─────────────────────────────────────────────────────────


@pytest.mark.heavy
def test_choices_differ_and_come_again_by_their_seed(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"n": 6, "seed": 11, "temperature": 1.5, "max_tokens": 3}
    chat(client, **asked)  # the prompt is in the cache from here on
    first, second = chat(client, **asked), chat(client, **asked)
    assert [choice.index for choice in first.choices] == list(range(6))  # more than slots
    assert len({said(first, index) for index in range(6)}) > 1
    assert [said(first, index) for index in range(6)] == [said(second, i) for i in range(6)]
    assert first.usage is not None
    alone = chat(client, max_tokens=1).usage
    assert alone is not None
    assert first.usage.prompt_tokens == alone.prompt_tokens  # once for all of them
    assert 6 < first.usage.completion_tokens <= 18


def test_streamed_choices_add_up_to_the_unstreamed(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"n": 2, "seed": 5, "temperature": 1.2, "max_tokens": 4}
    chat(client, **asked)
    whole, events = chat(client, **asked), chunks(client, **asked)
    for index in range(2):
        parts = [
            choice.delta.content or ""
            for event in events
            for choice in event.choices
            if choice.index == index
        ]
        assert "".join(parts) == said(whole, index)
    assert len({event.id for event in events}) == 1
    assert all(event.usage is None for event in events)


def test_whoever_leaves_frees_every_slot(client: openai.OpenAI, real_server: RunningServer) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=ASK, n=4, stream=True, temperature=1.5, max_tokens=1500
    )
    next(iter(stream))
    stream.close()
    with real_server.client() as own:
        until(lambda: not own.queue().answering and not own.queue().waiting, "nobody is answered")


# ── how long, how likely, where it ends ─────────────────────────────────────


def test_a_limit_ends_the_answer_by_both_names(client: openai.OpenAI) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = chat(client, **{"max_tokens": openai.omit, name: 2})
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 2
        assert answer.choices[0].finish_reason == "length"


def test_a_stop_text_ends_it_alone_or_in_a_list(client: openai.OpenAI) -> None:
    whole = said(chat(client, max_tokens=8))
    word = whole.split()[1]
    for stop in (word, ["never said", word]):
        answer = chat(client, max_tokens=8, stop=stop)
        assert said(answer) == whole[: whole.index(word)]
        assert answer.choices[0].finish_reason == "stop"


def test_a_bias_bans_and_forces_tokens(client: openai.OpenAI, real_server: RunningServer) -> None:
    (forced,) = ids_of(real_server, " cat")
    answer = said(chat(client, max_tokens=3, logit_bias={str(forced): 100}))
    assert answer == " cat cat cat"
    first = said(chat(client, max_tokens=1))
    (banned,) = ids_of(real_server, first)
    assert said(chat(client, max_tokens=1, logit_bias={str(banned): -100})) != first


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_a_penalty_changes_what_is_said(client: openai.OpenAI, name: str) -> None:
    told = {said(chat(client, max_tokens=8, **{name: amount})) for amount in (-2, 0, 2)}
    assert len(told) > 1


def test_temperature_top_p_and_seed_decide_what_is_drawn(client: openai.OpenAI) -> None:
    drawn = {said(chat(client, temperature=2, seed=seed)) for seed in range(3)}
    assert len(drawn) > 1
    narrow = {said(chat(client, temperature=2, top_p=0, seed=seed)) for seed in range(3)}
    assert narrow == {said(chat(client))}
    for seed in (-5, 2**40, 2**62):  # as far as OpenAI's go
        _, *again = (said(chat(client, temperature=1.5, seed=seed)) for _ in range(3))
        assert again[0] == again[1]  # the first may have read its prompt, and these from the cache


# ── what is told beside the text ────────────────────────────────────────────


def test_usage_is_the_last_chunk_and_null_in_the_others(client: openai.OpenAI) -> None:
    events = chunks(client, stream_options={"include_usage": True})
    *others, last = events
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 3
    assert last.usage.total_tokens == last.usage.prompt_tokens + 3
    for event in others:
        assert event.choices
        assert "usage" in event.model_fields_set
        assert event.usage is None
    unasked = chunks(client, stream_options={"include_usage": False})
    assert all(event.choices and "usage" not in event.model_fields_set for event in unasked)


@pytest.mark.parametrize("top", [None, 0, 3])
def test_log_probabilities_are_told_with_bytes(client: openai.OpenAI, top: int | None) -> None:
    asked = {"logprobs": True} | ({} if top is None else {"top_logprobs": top})
    whole = chat(client, **asked).choices[0].logprobs
    assert whole is not None
    rows = whole.content or []
    assert len(rows) == 3
    for row in rows:
        assert row.logprob <= 0
        assert bytes(row.bytes or []).decode() == row.token
        assert len(row.top_logprobs) == (top or 0)
        if top:
            assert row.top_logprobs[0].token == row.token  # at temperature 0 it is the likeliest
            assert sum(math.exp(one.logprob) for one in row.top_logprobs) <= 1.0001
    streamed = [
        row.token
        for event in chunks(client, **asked)
        for row in (event.choices[0].logprobs.content or [] if event.choices[0].logprobs else [])
    ]
    assert streamed == [row.token for row in rows]


def test_log_probabilities_are_of_the_model_not_of_the_drawing(client: openai.OpenAI) -> None:
    def first(**fields: Any) -> dict[str, float]:
        told = chat(client, max_tokens=1, logprobs=True, top_logprobs=5, **fields)
        rows = told.choices[0].logprobs
        assert rows is not None
        return {one.token: one.logprob for one in (rows.content or [])[0].top_logprobs}

    cold, hot = first(temperature=0), first(temperature=2, seed=3)
    assert cold.keys() == hot.keys()
    assert all(math.isclose(cold[token], hot[token], abs_tol=0.05) for token in cold)


# ── tools ───────────────────────────────────────────────────────────────────


NAMED = {"type": "function", "function": {"name": "get_weather"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        pytest.param(NAMED, marks=pytest.mark.heavy),
        pytest.param(ALLOWED, marks=pytest.mark.heavy),
    ],
)
def test_a_call_that_must_be_is_made(client: openai.OpenAI, choice: Any) -> None:
    tools = TOOLS[:1] if choice == "required" else TOOLS
    answer = chat(client, tools=tools, tool_choice=choice, max_tokens=60)
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_weather",
        {"city": "Hue"},
    )
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == (
        "tool_calls",
        None,
    )


def test_arguments_are_streamed_piece_by_piece(client: openai.OpenAI) -> None:
    events = chunks(client, tools=TOOLS, tool_choice=NAMED, max_tokens=60, logprobs=True)
    calls = [
        call
        for e in events
        for c in e.choices
        for call in c.delta.tool_calls or []
        if call.function
    ]
    assert [call.function.name for call in calls if call.function and call.function.name] == [
        "get_weather"
    ]
    parts = [call.function.arguments or "" for call in calls if call.function]
    assert len(parts) > 3
    assert json.loads("".join(parts)) == {"city": "Hue"}
    assert events[-1].choices[0].finish_reason == "tool_calls"
    assert any(choice.logprobs for event in events for choice in event.choices)


def test_none_and_auto_let_it_talk(client: openai.OpenAI) -> None:
    for choice in ("none", "auto"):
        answer = chat(client, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False)
        assert said(answer)
        assert not answer.choices[0].message.tool_calls
    with_tools, without = chat(client, tools=TOOLS).usage, chat(client).usage
    assert with_tools is not None
    assert without is not None
    assert with_tools.prompt_tokens > without.prompt_tokens + 50  # it is told of them


@pytest.mark.heavy
def test_results_of_tools_are_read(client: openai.OpenAI) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    talk = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon " * 50},
    ]
    read, empty = (
        chat(client, messages=[*talk[:2], talk[2] | {"content": content}], tools=TOOLS).usage
        for content in ("noon " * 50, "")
    )
    assert read is not None
    assert empty is not None
    assert read.prompt_tokens - empty.prompt_tokens >= 50


def test_strict_tools_are_held_to_what_can_be_kept(client: openai.OpenAI) -> None:
    function = {"name": "f", "strict": True, "parameters": {"type": "string", "pattern": "^a$"}}
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, tools=[{"type": "function", "function": function}])
    assert refused(caught.value, "tools")


@pytest.mark.heavy
def test_functions_are_answered_as_they_were(client: openai.OpenAI) -> None:
    functions = [tool["function"] for tool in TOOLS]
    asked = {
        "functions": functions,
        "function_call": {"name": "get_weather"},
        "max_tokens": 60,
    }
    answer = chat(client, **asked).choices[0]
    assert answer.finish_reason == "function_call"
    assert answer.message.function_call is not None
    assert json.loads(answer.message.function_call.arguments) == {"city": "Hue"}
    assert answer.message.tool_calls is None
    events = chunks(client, **asked)
    parts = [e.choices[0].delta.function_call for e in events if e.choices]
    assert json.loads("".join((part.arguments or "") for part in parts if part)) == {"city": "Hue"}
    talk = [
        *ASK,
        {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}},
        {"role": "function", "name": "now", "content": "noon"},
    ]
    assert said(chat(client, messages=talk, functions=functions))


# ── form, roles, effort, the rest ───────────────────────────────────────────


def test_a_format_is_kept_to(client: openai.OpenAI) -> None:
    assert json.loads(said(chat(client, response_format=RED, max_tokens=9))) in {"red", "blue"}
    some = chat(client, response_format={"type": "json_object"}, max_tokens=40)
    assert said(some).startswith("{")
    assert some.choices[0].finish_reason == "length" or isinstance(json.loads(said(some)), dict)
    plain = chat(client, response_format={"type": "text"})
    assert said(plain) == said(chat(client))


def test_a_developer_speaks_as_the_system(client: openai.OpenAI) -> None:
    told = [
        chat(client, messages=[{"role": role, "content": "Be brief."}, *ASK], max_tokens=1).usage
        for role in ("developer", "system")
    ]
    assert told[0] is not None
    assert told[1] is not None
    assert told[0].prompt_tokens == told[1].prompt_tokens


def test_effort_is_for_models_that_think(client: openai.OpenAI) -> None:
    assert said(chat(client, reasoning_effort="none"))
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, reasoning_effort="high")
    assert refused(caught.value, "reasoning_effort")


def test_what_changes_no_answer_changes_no_answer(client: openai.OpenAI) -> None:
    recorded: dict[str, Any] = {
        "user": "u",
        "metadata": {"a": "b"},
        "safety_identifier": "s",
        "service_tier": "flex",
        "store": True,
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
        "prompt_cache_retention": "24h",
        "prediction": {"type": "content", "content": "x"},
        "modalities": ["text"],
        "verbosity": "medium",
    }
    assert said(chat(client, **recorded)) == said(chat(client))


def test_models_are_found_by_their_names(client: openai.OpenAI) -> None:
    assert MODEL in {model.id for model in client.models.list()}
    card = client.models.retrieve(MODEL)
    assert (card.id, card.object, card.owned_by) == (MODEL, "model", "noibo")
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    body: Any = caught.value.body
    assert body["code"] == "model_not_found"
