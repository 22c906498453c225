"""Ollama's messages and tools as an engine gets them, and its answers as Ollama has them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import EngineError, InvalidRequest
from noibo.wire import ollama
from noibo.wire.body import read_fields
from noibo.wire.ollama import answer
from noibo.wire.ollama import messages as ollama_messages
from noibo.wire.ollama.thinking import Thought


def told(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    fields = read_fields(json.dumps({"messages": messages}).encode())
    return ollama_messages.for_engine(ollama_messages.messages(fields))


def test_tool_calls_have_texts_and_their_answers_find_them() -> None:
    calls = [
        {"function": {"name": "weather", "arguments": {"city": "Huế"}}},
        {"function": {"name": "time", "arguments": {}}, "id": "own"},
    ]
    found = told(
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "12:00", "tool_name": "time"},
        {"role": "tool", "content": "rain", "tool_name": "weather"},
    )
    asked = found[0]["tool_calls"]
    assert asked[0]["function"]["arguments"] == '{"city":"Huế"}'
    assert (found[1]["tool_call_id"], found[1]["name"]) == ("own", "time")
    assert found[2]["tool_call_id"] == asked[0]["id"]


def test_an_answer_may_name_its_call_or_nothing() -> None:
    calls = [{"function": {"name": "a"}, "id": "1"}, {"function": {"name": "b"}, "id": "2"}]
    found = told(
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "content": "y", "tool_call_id": "2"},
        {"role": "tool", "content": "x"},
    )
    assert [one["tool_call_id"] for one in found[1:]] == ["2", "1"]


def test_thoughts_and_pictures_have_their_places() -> None:
    thought, seen = told(
        {"role": "assistant", "content": "4", "thinking": "2+2"},
        {"role": "User", "content": "what?", "images": ["aGk="]},
    )
    assert thought["reasoning_content"] == "2+2"
    assert seen["role"] == "user"
    assert seen["content"][0]["image_url"]["url"].endswith(";base64,aGk=")
    assert seen["content"][1] == {"type": "text", "text": "what?"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages"),
        ({"messages": [{"role": "user", "images": [""]}]}, "images[0]"),
    ],
)
def test_a_bad_message_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        told(*body["messages"]) if isinstance(body["messages"], list) else ollama_messages.messages(
            read_fields(json.dumps(body).encode())
        )
    assert refused.value.param == param


def test_tools_get_the_parameters_that_readers_expect() -> None:
    body = {"tools": [{"type": "function", "function": {"name": "f", "description": None}}]}
    (tool,) = ollama_messages.tools(read_fields(json.dumps(body).encode()))
    expected = {"parameters": {"type": "object", "properties": {}}, "name": "f"}
    assert tool == {"type": "function", "function": expected}


@pytest.mark.parametrize(
    ("format_", "schema"),
    [(None, None), ("", None), ("json", {"type": "object"}), ({"a": 1}, {"a": 1})],
)
def test_a_format_is_a_schema(format_: Any, schema: Any) -> None:
    fields = read_fields(json.dumps({"format": format_}).encode())
    assert ollama_messages.schema(fields) == schema


@pytest.mark.parametrize("format_", ["yaml", 5, True, ["json"]])
def test_another_format_is_refused(format_: Any) -> None:
    with pytest.raises(InvalidRequest, match="format"):
        ollama_messages.schema(read_fields(json.dumps({"format": format_}).encode()))


def test_pieces_of_tool_calls_make_objects() -> None:
    calls = answer.ToolCalls()
    calls.add([{"index": 0, "id": "x", "function": {"name": "f", "arguments": '{"a"'}}])
    calls.add([{"index": 1, "function": {"name": "g", "arguments": ""}}])
    calls.add([{"index": 0, "function": {"arguments": ":1}"}}])
    assert calls.take(cut_short=False) == [
        {"id": "x", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
        {"function": {"index": 1, "name": "g", "arguments": {}}},
    ]


def test_a_call_that_was_cut_off_is_none() -> None:
    calls = answer.ToolCalls()
    calls.add([{"index": 0, "function": {"name": "f", "arguments": '{"a'}}])
    assert calls.take(cut_short=True) == []
    calls.add([{"index": 0, "function": {"name": "f", "arguments": "5"}}])
    with pytest.raises(EngineError, match="no JSON object"):
        calls.take(cut_short=False)
    with pytest.raises(EngineError, match="index"):
        calls.add([{"index": -1}])


def test_counts_are_the_engines_and_lengths_in_nanoseconds() -> None:
    timings = {"cache_n": 3, "prompt_n": 4, "prompt_ms": 1.5, "predicted_n": 9, "predicted_ms": 2}
    assert answer.counts({"timings": timings, "usage": {"prompt_tokens": 1}}) == {
        "prompt_eval_count": 7,
        "prompt_eval_duration": 1_500_000,
        "eval_count": 9,
        "eval_duration": 2_000_000,
    }
    assert answer.counts({"usage": {"prompt_tokens": 1, "completion_tokens": 2}}) == {
        "prompt_eval_count": 1,
        "eval_count": 2,
    }
    assert answer.counts({}) == {}


@pytest.mark.parametrize("tops", [0, 1, 2])
def test_log_probabilities_have_ollamas_names(tops: int) -> None:
    other = {"token": "b", "logprob": -2.0, "bytes": [98], "id": 1}
    one = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": [other, other]}
    (found,) = answer.logprobs({"logprobs": {"content": [one]}}, tops)
    assert (found["token"], found["logprob"], found["bytes"]) == ("a", -1.0, [97])
    assert len(found.get("top_logprobs", [])) == tops


@pytest.mark.parametrize(
    ("count", "said"),
    [(134_515_008, "134.52M"), (8_030_261_248, "8.0B"), (7_000_000_000, "7B"), (999, "999")],
)
def test_numbers_of_parameters_read_as_ollama_writes_them(count: int, said: str) -> None:
    assert ollama.count_text(count) == said


def test_moments_are_rfc_3339() -> None:
    assert ollama.moment(0.5) == "1970-01-01T00:00:00.500000000Z"
    assert ollama.moment(float("inf")) == ollama.NEVER
    assert len(ollama.now()) == len("2025-10-17T23:14:07.414671123Z")


@pytest.mark.parametrize(
    ("text", "inside", "parts"),
    [
        ("<think>\nhm\n</think>\n\nyes", False, ("hm\n", "yes")),
        ("hm</think>yes", True, ("hm", "yes")),
        ("plain <think> later", False, ("", "plain <think> later")),
        ("  <think>cut off", False, ("cut off", "")),
        ("<thi", False, ("", "<thi")),
        ("<think>a < b</thin", False, ("a < b</thin", "")),
    ],
)
def test_thought_is_parted_from_answer(text: str, inside: bool, parts: tuple[str, str]) -> None:
    whole = Thought(inside)
    begun, ended = whole.add(text), whole.end()
    assert (begun[0] + ended[0], begun[1] + ended[1]) == parts


_PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<", "a", "\n", "think>"]))


@given(_PIECES, st.data())
def test_where_pieces_are_cut_does_not_matter(marks: list[str], data: st.DataObject) -> None:
    def parted(pieces: list[str]) -> tuple[str, str]:
        thought = Thought()
        found = [*map(thought.add, pieces), thought.end()]
        return "".join(one for one, _ in found), "".join(one for _, one in found)

    text = "".join(marks)
    cut = data.draw(st.integers(0, len(text)))
    assert parted([text[:cut], text[cut:]]) == parted([text]) == parted(list(text))


def test_a_line_is_json() -> None:
    assert msgspec.json.decode(ollama.line({"a": "\n"})) == {"a": "\n"}


def test_many_calls_are_answered_in_any_order() -> None:
    """A search through all that wait, for each of them, would take minutes here."""
    count = 60_000
    made = [{"id": f"c{n}", "function": {"name": f"f{n % 2}"}} for n in range(count)]
    results = [{"role": "tool", "tool_call_id": f"c{n}"} for n in reversed(range(2, count))]
    results += [{"role": "tool", "tool_name": "f1"}, {"role": "tool"}, {"role": "tool"}]
    body = {"messages": [{"role": "assistant", "tool_calls": made}, *results]}
    said = ollama_messages.for_engine(
        ollama_messages.messages(read_fields(msgspec.json.encode(body)))
    )[1:]
    keys = [one["tool_call_id"] for one in said]
    assert keys == [*(f"c{n}" for n in reversed(range(count))), "call_0_0"]
    assert [one.get("name") for one in said[-3:]] == ["f1", "f0", None]


def test_a_call_that_is_told_twice_is_answered_once() -> None:
    made = [{"id": "c", "function": {"name": name}} for name in ("f", "g")]
    results = [{"role": "tool", "tool_name": "f"}, {"role": "tool"}]
    body = {"messages": [{"role": "assistant", "tool_calls": made}, *results]}
    said = ollama_messages.for_engine(
        ollama_messages.messages(read_fields(msgspec.json.encode(body)))
    )[1:]
    assert [one["tool_call_id"] for one in said] == ["call_0_0", "c"]
