"""Answers of engines as Anthropic's events: thinking, tools, and ends that are no usual ones."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from noibo.engines.engine import Model
from noibo.errors import EngineError
from noibo.gateway.anthropic import request
from noibo.gateway.anthropic.teller import MessageTeller
from noibo.wire import body, openai, sse

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}
THINKER = Model("m", "echo", template="{{ enable_thinking }}<think>")


def teller(**fields: Any) -> MessageTeller:
    read = body.read_fields(msgspec.json.encode(ASK | fields))
    return MessageTeller(request.read(read, THINKER))


def delta(reason: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


def call(index: int, arguments: str = "", **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": more.pop("name")} if "name" in more else {})
    return delta(tool_calls=[{"index": index, "function": function, **more}])


def usage(prompt: int, written: int, kept: int = 0) -> dict[str, Any]:
    details = {"prompt_tokens_details": {"cached_tokens": kept}}
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": written, **details}}


def events(told: MessageTeller, *chunks: dict[str, Any]) -> list[dict[str, Any]]:
    stream = b"".join(told.chunk(chunk) for chunk in chunks) + told.end()
    found = [(sse.name(event), json.loads(sse.data(event))) for event in sse.events(stream)]
    assert all(name == event["type"] for name, event in found)
    return [event for name, event in found if name != "ping"]


def whole(told: MessageTeller, *chunks: dict[str, Any]) -> dict[str, Any]:
    assembler = openai.Assembler(chat=True)
    for chunk in chunks:
        assembler.add(chunk)
    found: dict[str, Any] = json.loads(told.whole(assembler.answer()))
    return found


THOUGHT = (
    delta(role="assistant", content=None),
    delta(reasoning_content="One "),
    delta(reasoning_content="two."),
    delta(content="Th"),
    delta(content="ree."),
    call(0, id="a", name="f"),
    call(0, '{"x":'),
    call(0, "1}"),
    call(1, "{}", id="b", name="g"),
    delta("tool_calls"),
    usage(12, 9, kept=5),
)


def test_each_kind_of_block_is_told_in_its_turn() -> None:
    start, *rest, last, stop = events(teller(), *THOUGHT)
    assert (start["type"], stop["type"]) == ("message_start", "message_stop")
    kinds = [
        (event["index"], event.get("content_block", event.get("delta", {})).get("type", "stop"))
        for event in rest
    ]
    assert kinds == [
        (0, "thinking"),
        (0, "thinking_delta"),
        (0, "thinking_delta"),
        (0, "signature_delta"),
        (0, "stop"),
        (1, "text"),
        (1, "text_delta"),
        (1, "text_delta"),
        (1, "stop"),
        (2, "tool_use"),
        (2, "input_json_delta"),
        (2, "input_json_delta"),
        (2, "stop"),
        (3, "tool_use"),
        (3, "input_json_delta"),
        (3, "stop"),
    ]
    assert last["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert last["usage"]["input_tokens"] == 7
    assert last["usage"]["cache_read_input_tokens"] == 5
    assert last["usage"]["output_tokens"] == 9


def test_a_whole_message_says_the_same_as_its_stream() -> None:
    told = events(teller(), *THOUGHT)
    message = whole(teller(), *THOUGHT)
    signature = [e["delta"]["signature"] for e in told if "signature" in e.get("delta", {})]
    assert message["content"] == [
        {"type": "thinking", "thinking": "One two.", "signature": signature[0]},
        {"type": "text", "text": "Three."},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}},
    ]
    assert (message["stop_reason"], message["usage"]) == ("tool_use", told[-2]["usage"])


def test_thinking_that_is_to_be_omitted_leaves_its_signature() -> None:
    hidden = {"thinking": {"type": "adaptive", "display": "omitted"}}
    told = json.dumps(events(teller(**hidden), *THOUGHT))
    assert "thinking_delta" not in told
    assert "signature_delta" in told
    assert whole(teller(**hidden), *THOUGHT)["content"][0]["thinking"] == ""


def test_an_answer_without_a_word_has_no_block() -> None:
    kinds = [event["type"] for event in events(teller(), delta("stop"), usage(3, 1))]
    assert kinds == ["message_start", "message_delta", "message_stop"]
    assert whole(teller(), delta("stop"), usage(3, 1))["content"] == []


@pytest.mark.parametrize(
    ("finish", "written", "reason"),
    [
        ("stop", 5, "end_turn"),
        ("length", 100, "max_tokens"),
        ("length", 5, "model_context_window_exceeded"),
        ("content_filter", 5, "end_turn"),
    ],
)
def test_why_an_answer_ended_is_told(finish: str, written: int, reason: str) -> None:
    chunks = (delta(content="x"), delta(finish), usage(3, written))
    assert events(teller(), *chunks)[-2]["delta"]["stop_reason"] == reason
    assert whole(teller(), *chunks)["stop_reason"] == reason


def test_a_stop_text_that_came_with_the_model_is_the_end_of_a_turn() -> None:
    said = {"__verbose": {"stop_type": "word", "stopping_word": "<|im_end|>"}}
    chunks = (delta(content="x"), delta("stop") | said, usage(3, 1))
    told = events(teller(stop_sequences=["END"]), *chunks)[-2]["delta"]
    assert told == {"stop_reason": "end_turn", "stop_sequence": None}


def test_a_tool_use_that_was_cut_off_has_no_input() -> None:
    chunks = (call(0, '{"x":', id="a", name="f"), delta("length"), usage(3, 100))
    message = whole(teller(), *chunks)
    assert message["content"][0]["input"] == {}
    assert message["stop_reason"] == "max_tokens"
    with pytest.raises(EngineError):
        whole(teller(), call(0, '{"x":', id="a", name="f"), delta("tool_calls"), usage(3, 9))


def test_a_call_without_an_id_is_given_one() -> None:
    block = events(teller(), call(0, "{}", name="f"), delta("tool_calls"))[1]["content_block"]
    assert block["id"].startswith("toolu_")


def test_an_engine_that_goes_back_to_an_earlier_call_is_not_understood() -> None:
    with pytest.raises(EngineError, match="ended"):
        events(teller(), call(0, name="f"), call(1, name="g"), call(0, "{}"))
