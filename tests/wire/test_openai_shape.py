"""Several answers of an engine told as one of OpenAI's."""

from __future__ import annotations

from typing import Any

import pytest

from noibo.wire.body import Json
from noibo.wire.openai.calls import Call, schema_of
from noibo.wire.openai.logprobs import as_text, name_of
from noibo.wire.openai.shape import Lead, Shape, Told

USED = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def row(token: str, logprob: float = -1.0, **more: Any) -> Json:
    likely = [{"token": "x", "bytes": [120], "logprob": -0.5}]
    return {
        "token": token,
        "bytes": list(token.encode()),
        "logprob": logprob,
        "top_logprobs": likely,
    } | more


def text(said: str, index: int = 0, reason: str | None = None, **more: Any) -> Json:
    choice = {"index": index, "text": said, "finish_reason": reason}
    rows = more.pop("rows", None)
    return {
        "id": "a",
        "object": "text_completion",
        "choices": [choice | {"logprobs": rows and {"content": rows}}],
    } | more


def delta(said: Json, reason: str | None = None) -> Json:
    return {"id": "a", "choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


def test_choices_of_several_prompts_are_numbered_one_after_the_other() -> None:
    told = Told(Shape(chat=False, choices=2, drawn=2))
    for prompt in (1, 0):
        for first in (1, 0):
            told.chunk(text(f"{prompt}{first}", reason="stop", usage=USED), prompt, first)
    answer = told.whole()
    assert [choice["text"] for choice in answer["choices"]] == ["00", "01", "10", "11"]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert answer["usage"] == {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18}


def test_the_best_are_those_with_the_best_mean_log_probability() -> None:
    told = Told(Shape(chat=False, choices=1, drawn=3))
    for first, logprob in enumerate((-2.0, -0.5, -1.0)):
        told.chunk(text(str(first), rows=[row("t", logprob)] * (first + 1)), 0, first)
    (best,) = told.whole()["choices"]
    assert (best["text"], best["index"], best["logprobs"]) == ("1", 0, None)


def test_usage_ends_a_stream_only_where_it_was_asked_for() -> None:
    asked = Told(Shape(chat=False, streamed=True, usage=True))
    chunk = asked.chunk(text("a", usage=USED), 0, 0)
    assert chunk is not None
    assert chunk["usage"] is None
    assert asked.last() == {"id": "a", "object": "text_completion", "choices": [], "usage": USED}
    unasked = Told(Shape(chat=False, streamed=True))
    assert "usage" not in (unasked.chunk(text("a", usage=USED), 0, 0) or {})
    assert unasked.last() is None


def test_the_prompt_stands_in_front_once_and_offsets_count_it() -> None:
    told = Told(Shape(chat=False, top_logprobs=1), leads=[Lead("ab ")])
    told.chunk(text("c", rows=[row("c")]), 0, 0)
    told.chunk(text("dé", rows=[row("d"), row("é")]), 0, 0)
    (choice,) = told.whole()["choices"]
    assert choice["text"] == "ab cdé"
    assert choice["logprobs"]["tokens"] == ["c", "d", "é"]
    assert choice["logprobs"]["text_offset"] == [3, 4, 5]
    assert choice["logprobs"]["top_logprobs"][0] == {"x": -0.5, "c": -1.0}


def test_a_part_of_a_character_is_told_by_its_bytes() -> None:
    part = row("", bytes=[0xE1, 0xBA])
    assert name_of(part) == "bytes:\\xe1\\xba"
    assert as_text([part], 0, 7)["text_offset"] == [7]
    assert as_text([part], 0, 7)["top_logprobs"] == [{"bytes:\\xe1\\xba": -1.0}]


def test_one_token_that_nobody_wanted_is_not_told() -> None:
    told = Told(Shape(chat=False, silent=True), leads=[Lead("ab")])
    told.chunk(text("c", reason="length", usage=USED), 0, 0)
    answer = told.whole()
    assert answer["choices"][0]["text"] == "ab"
    assert answer["usage"]["completion_tokens"] == 0


WRITTEN = '{"name": "f", "arguments": {"a": {"b": 1}}}'


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_call_that_had_to_be_is_told_as_one(size: int) -> None:
    told = Told(Shape(chat=True, forced=True))
    for at in range(0, len(WRITTEN), size):
        told.chunk(delta({"content": WRITTEN[at : at + size]}), 0, 0)
    told.chunk(delta({}, "stop"), 0, 0)
    (choice,) = told.whole()["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]) == (
        "function",
        {"name": "f", "arguments": '{"a": {"b": 1}}'},
    )
    assert call["id"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)


def test_a_call_that_was_cut_off_keeps_all_it_said() -> None:
    call = Call()
    choices = [
        {"delta": {"content": WRITTEN[:-1]}, "finish_reason": None},
        {"delta": {}, "finish_reason": "length"},
    ]
    for choice in choices:
        call.tell(choice)
    parts = [part for choice in choices for part in choice["delta"].get("tool_calls", ())]
    assert "".join(part["function"]["arguments"] for part in parts) == '{"a": {"b": 1}}'
    assert choices[-1]["finish_reason"] == "length"


def test_what_is_no_call_is_told_as_text() -> None:
    call, said = Call(), {"delta": {"content": "Hello"}, "finish_reason": "stop"}
    call.tell(said)
    assert said == {"delta": {"content": "Hello"}, "finish_reason": "stop"}


def test_a_call_is_told_as_functions_were() -> None:
    told = Told(Shape(chat=True, streamed=True, forced=True, functions=True))
    whole = told.chunk(delta({"content": WRITTEN}), 0, 0)
    last = told.chunk(delta({}, "stop"), 0, 0)
    assert whole is not None
    assert last is not None
    assert whole["choices"][0]["delta"] == {
        "function_call": {"name": "f", "arguments": '{"a": {"b": 1}}'}
    }
    assert last["choices"][0]["finish_reason"] == "function_call"


def test_the_references_of_each_tool_are_its_own() -> None:
    arguments = {"$defs": {"x": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/x"}}}
    tools = [{"function": {"name": name, "parameters": arguments}} for name in "ab"]
    found = [call["properties"]["arguments"]["$id"] for call in schema_of(tools)["anyOf"]]
    assert len(set(found)) == 2
