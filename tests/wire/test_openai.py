from __future__ import annotations

from typing import Any

import msgspec
import pytest

from noibo.errors import InvalidRequest, ModelNotFound, QueueFull
from noibo.wire import openai
from noibo.wire.body import field, read_fields


def chat(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"id": "c-1", "created": 5, "model": "m", "object": "chat.completion.chunk"}
    return {**head, "choices": list(choices), **more}


def assembled(*events: dict[str, Any], chat: bool = True) -> dict[str, Any]:
    assembler = openai.Assembler(chat=chat)
    for event in events:
        assembler.add(event)
    return assembler.answer()


def test_text_is_put_together() -> None:
    answer = assembled(
        chat({"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}),
        chat({"index": 0, "delta": {"content": "Xin"}, "finish_reason": None}),
        chat({"index": 0, "delta": {"content": " chào"}, "finish_reason": None}),
        chat({"index": 0, "delta": {}, "finish_reason": "stop"}),
        chat(usage={"total_tokens": 3}, timings={"predicted_n": 2}),
    )
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Xin chào"},
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == {"total_tokens": 3}
    assert answer["id"] == "c-1"


def test_an_empty_answer_is_empty_text_and_not_null() -> None:
    answer = assembled(chat({"index": 0, "delta": {}, "finish_reason": "stop"}))
    assert answer["choices"][0]["message"]["content"] == ""


def test_tool_calls_are_put_together_in_parallel() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        head = {"id": f"t{index}", "type": "function"} if "name" in function else {}
        delta = {"tool_calls": [{"index": index, **head, "function": function}]}
        return chat({"index": 0, "delta": delta, "finish_reason": None})

    answer = assembled(
        call(0, name="add", arguments=""),
        call(0, arguments='{"a":'),
        call(1, name="sub", arguments="{}"),
        call(0, arguments="1}"),
        chat({"index": 0, "delta": {}, "finish_reason": "tool_calls"}),
    )
    message = answer["choices"][0]["message"]
    assert message["content"] is None
    assert [c["function"] for c in message["tool_calls"]] == [
        {"name": "add", "arguments": '{"a":1}'},
        {"name": "sub", "arguments": "{}"},
    ]
    assert [c["id"] for c in message["tool_calls"]] == ["t0", "t1"]


def test_reasoning_and_logprobs_are_kept() -> None:
    answer = assembled(
        chat({"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}),
        chat({"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"logprob": -1.0}]}}),
        chat({"index": 0, "delta": {"content": "b"}, "logprobs": {"content": [{"logprob": -2.0}]}}),
    )
    choice = answer["choices"][0]
    assert choice["message"]["reasoning_content"] == "hm"
    assert [row["logprob"] for row in choice["logprobs"]["content"]] == [-1.0, -2.0]


def test_several_choices_stay_apart() -> None:
    events = [chat({"index": i, "delta": {"content": str(i)}}) for i in (1, 0, 1)]
    assert [c["message"]["content"] for c in assembled(*events)["choices"]] == ["0", "11"]


def test_text_completions_have_text() -> None:
    event = {"id": "x", "choices": [{"index": 0, "text": "ab", "finish_reason": "stop"}]}
    answer = assembled(event, chat=False)
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"] == "ab"


def test_unknown_fields_pass_through_untouched() -> None:
    body = b'{"model":"m","new_thing":{"deep":[1.50,null,"\\u00e0"]},"temperature":1e-3}'
    fields = read_fields(body)
    assert bytes(fields["new_thing"]) == b'{"deep":[1.50,null,"\\u00e0"]}'
    assert msgspec.json.encode(fields) == body


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"a":NaN}', b"\xff\xfe", b'{"a":1}{', b"null"]
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_fields(body)


def test_a_wrong_type_names_its_field() -> None:
    with pytest.raises(InvalidRequest) as caught:
        field(read_fields(b'{"stream":"yes"}'), "stream", bool, False)
    assert caught.value.param == "stream"


def test_null_counts_as_not_given() -> None:
    assert field(read_fields(b'{"stream":null}'), "stream", bool, False) is False


def test_an_error_has_openais_shape() -> None:
    body = openai.error_body(ModelNotFound("No model x.", next_step="noibo pull x"))
    assert body == {
        "error": {
            "message": "No model x. noibo pull x",
            "type": "not_found_error",
            "param": None,
            "code": "model_not_found",
        }
    }


@pytest.mark.parametrize(("seconds", "said"), [(0.0, "1"), (1.0, "1"), (1.2, "2"), (70.0, "70")])
def test_when_to_try_again_is_said_in_whole_seconds(seconds: float, said: str) -> None:
    full = QueueFull("Too many wait.", retry_after_s=seconds)
    assert openai.error_headers(full) == {"Retry-After": said}
    assert openai.error_headers(QueueFull("Too many wait.")) == {}


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error":"text"}', b'{"error":[1]}', b"[1]"])
def test_an_engine_that_gives_no_reason_still_gives_an_error(body: bytes) -> None:
    assert openai.error_body(openai.refusal(500, body))["error"]["message"]


def test_a_prompt_too_long_has_openais_code() -> None:
    said = {"type": "exceed_context_size_error", "n_ctx": 9, "n_prompt_tokens": 12}
    body = msgspec.json.encode({"error": {"code": 400, "message": "too long", **said}})
    error = openai.error_body(openai.refusal(400, body))["error"]
    assert error["code"] == "context_length_exceeded"
    assert (error["n_ctx"], error["n_prompt_tokens"]) == (9, 12)
    assert error["type"] == "invalid_request_error"
