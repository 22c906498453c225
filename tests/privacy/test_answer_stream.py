"""Streamed answers of each API have the values back, whatever is cut where."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.answer_stream import AnswerStream, wants_json
from noibo.privacy.redaction import Redaction
from noibo.privacy.span import Span
from noibo.wire import body, sse

NAME = 'Lê "Ba" An'
SAID = "Chào <PERSON_1>, số PHONE_1 (<phone_1>) của < PERSON_1 >"
READ = f"Chào {NAME}, số 0912 345 678 (0912 345 678) của {NAME}"


def redaction() -> Redaction:
    made = Redaction()
    made.redact(NAME, [Span(0, len(NAME), "PERSON")])
    made.redact("0912 345 678", [Span(0, 12, "PHONE")])
    return made


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def told(events: Iterable[dict[str, Any]], *, in_json: bool = False) -> list[dict[str, Any]]:
    stream = AnswerStream(redaction(), in_json=in_json)
    return [made for event in events for made in stream.event(event)] + stream.left()


def chunk(delta: dict[str, Any], index: int = 0, finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def call(index: int, arguments: str, name: str = "") -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return chunk({"tool_calls": [{"index": index, "function": function}]})


def deltas(events: Iterable[dict[str, Any]], name: str, index: int = 0) -> str:
    choices = [one for event in events for one in event["choices"] if one["index"] == index]
    return "".join(one["delta"].get(name) or "" for one in choices)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_chat(size: int) -> None:
    events = [chunk({"content": piece}) for piece in cut(SAID, size)]
    made = told([*events, chunk({}, finish="stop")])
    assert deltas(made, "content") == READ
    assert made[-1]["choices"][0]["finish_reason"] == "stop"
    assert len(made) == len(events) + 1


@pytest.mark.parametrize("ended", ["<PERSON_1>", "PERSON_1", "PERSON", "<"])
def test_what_is_held_is_said_with_the_end_or_without_one(ended: str) -> None:
    read = ended.replace("<PERSON_1>", NAME).replace("PERSON_1", NAME)
    events = [chunk({"content": piece}) for piece in ended]
    assert deltas(told([*events, chunk({}, finish="length")]), "content") == read
    assert deltas(told(events), "content") == read


def test_choices_are_told_apart() -> None:
    events = [chunk({"content": one}, index) for one in SAID for index in (0, 1)]
    ends = [chunk({}, index, "stop") for index in (0, 1)]
    made = told([*events, *ends])
    assert deltas(made, "content", 0) == deltas(made, "content", 1) == READ


def test_a_thought_is_whole_before_the_answer_begins() -> None:
    thoughts = [chunk({"reasoning_content": one}) for one in "Là PERSON_1"]
    answers = [chunk({"content": one}) for one in "Chào PERSON_1"]
    made = told([*thoughts, *answers, chunk({}, finish="stop")])
    assert deltas(made, "reasoning_content") == f"Là {NAME}"
    assert deltas(made[: len(thoughts) + 1], "reasoning_content") == f"Là {NAME}"
    assert deltas(made, "content") == f"Chào {NAME}"


@pytest.mark.parametrize("size", [1, 4, 100])
def test_arguments_of_tools_stay_json(size: int) -> None:
    said = ['{"ten": "<PERSON_1>", "sdt": ["PHONE_1"]}', '{"ten": "\\u003cPERSON_1\\u003e"}']
    events = [call(index, piece) for index in (0, 1) for piece in cut(said[index], size)]
    made = told([*events, chunk({}, finish="tool_calls")])
    arguments = ["", ""]
    for event in made:
        for one in event["choices"][0]["delta"].get("tool_calls") or ():
            arguments[one["index"]] += one["function"]["arguments"]
    assert json.loads(arguments[0]) == {"ten": NAME, "sdt": ["0912 345 678"]}
    assert json.loads(arguments[1]) == {"ten": NAME}


def test_a_text_is_whole_when_a_call_begins_also_with_an_empty_piece() -> None:
    """Else it would come in the middle of the call, and who reads it would end that."""
    words = [chunk({"content": one}) for one in "Gọi PHONE_1"]
    made = told([*words, call(0, "", "f"), call(0, "{}"), chunk({}, finish="tool_calls")])
    assert deltas(made[: len(words) + 1], "content") == "Gọi 0912 345 678"


def test_a_call_is_whole_before_the_next_begins() -> None:
    made = told([call(0, "PHONE_1", "f"), call(1, "", "g"), chunk({}, finish="tool_calls")])
    told_of = [
        one["index"] for event in made for one in event["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert told_of == [0, 0, 1]


def test_what_is_no_text_of_pieces_has_the_values_too() -> None:
    source = {"type": "url_citation", "url_citation": {"title": "Của <PERSON_1>"}}
    (made,) = told([chunk({"content": "a", "annotations": [source], "role": "assistant"})])
    delta = made["choices"][0]["delta"]
    assert delta["annotations"][0]["url_citation"]["title"] == f"Của {NAME}"
    assert (delta["content"], delta["role"]) == ("a", "assistant")


def test_an_answer_that_is_json_stays_json() -> None:
    events = [chunk({"content": one}) for one in '{"ten": "<PERSON_1>"}']
    made = told([*events, chunk({}, finish="stop")], in_json=True)
    assert json.loads(deltas(made, "content")) == {"ten": NAME}


def test_a_call_of_old_and_thoughts_of_openrouter() -> None:
    calls = [chunk({"function_call": {"arguments": one}}) for one in '{"a": "<PERSON_1>"}']
    thoughts = [
        chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": one}]})
        for one in "Là PERSON_1"
    ]
    made = told([*thoughts, *calls, chunk({}, finish="stop")])
    parts = [one["choices"][0]["delta"] for one in made]
    details = [detail for part in parts for detail in part.get("reasoning_details") or ()]
    assert "".join(one["text"] for one in details) == f"Là {NAME}"
    assert {one["type"] for one in details} == {"reasoning.text"}
    arguments = "".join(part.get("function_call", {}).get("arguments", "") for part in parts)
    assert json.loads(arguments) == {"a": NAME}


def test_completions() -> None:
    events = [{"choices": [{"index": 0, "text": one, "finish_reason": None}]} for one in SAID]
    made = told([*events, {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}])
    assert "".join(event["choices"][0]["text"] for event in made) == READ


@pytest.mark.parametrize("size", [1, 5, 100])
def test_anthropics_blocks(size: int) -> None:
    kinds = {"thinking_delta": "thinking", "text_delta": "text", "input_json_delta": "partial_json"}
    said = [SAID, "Gọi PHONE_1", '{"ten": "<PERSON_1>"}']
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {"content": []}}]
    for index, (kind, name) in enumerate(kinds.items()):
        events.append({"type": "content_block_start", "index": index, "content_block": {}})
        events += [
            {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: piece}}
            for piece in cut(said[index], size)
        ]
        events.append({"type": "content_block_stop", "index": index})
    read, open_block = ["", "", ""], -1
    for event in told([*events, {"type": "message_stop"}]):
        if event["type"] == "content_block_start":
            open_block = event["index"]
        if event["type"] == "content_block_delta":
            assert event["index"] == open_block
            read[open_block] += event["delta"][kinds[event["delta"]["type"]]]
    assert read[:2] == [READ, "Gọi 0912 345 678"]
    assert json.loads(read[2]) == {"ten": NAME}


@pytest.mark.parametrize("size", [1, 5, 100])
def test_responses(size: int) -> None:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    said = f"{SAID} PHONE_1"
    read = f"{READ} 0912 345 678"
    texts = [
        {"type": "response.output_text.delta", **place, "delta": piece} for piece in cut(said, size)
    ]
    done = {"type": "response.output_text.done", **place, "text": said}
    call = {"item_id": "fc_1", "output_index": 1}
    arguments = [
        {"type": "response.function_call_arguments.delta", **call, "delta": piece}
        for piece in cut('{"ten": "<PERSON_1>"}', size)
    ]
    whole = {"output": [{"content": [{"type": "output_text", "text": said}]}]}
    last = {"type": "response.completed", "response": whole}
    events = [*texts, done, *arguments, last]
    made = told([{**event, "sequence_number": at} for at, event in enumerate(events)])
    assert [event["sequence_number"] for event in made] == list(range(len(made)))
    parts = [one["delta"] for one in made if one["type"] == "response.output_text.delta"]
    assert "".join(parts) == read
    (one,) = [event for event in made if event["type"] == "response.output_text.done"]
    assert one["text"] == read
    called = [one["delta"] for one in made if "arguments" in one["type"]]
    assert json.loads("".join(called)) == {"ten": NAME}
    assert made[-1]["response"]["output"][0]["content"][0]["text"] == read


@pytest.mark.parametrize("generates", [False, True])
def test_ollamas_lines(generates: bool) -> None:
    def line(text: str, *, done: bool = False) -> dict[str, Any]:
        said = {"response": text} if generates else {"message": {"content": text}}
        return {"model": "m", **said, "done": done}

    said = f"{SAID} PHONE_1"
    made = told([*map(line, said), line("", done=True)])
    texts = [one["response"] if generates else one["message"]["content"] for one in made]
    assert "".join(texts) == f"{READ} 0912 345 678"


def test_the_call_of_a_tool_in_ollamas_lines() -> None:
    call = {"function": {"name": "f", "arguments": {"ten": "<PERSON_1>"}}}
    (made,) = told([{"message": {"content": "", "tool_calls": [call]}, "done": False}])
    assert made["message"]["tool_calls"][0]["function"]["arguments"] == {"ten": NAME}


@given(st.lists(st.integers(1, 40)), st.integers(1, 5))
def test_bytes_cut_anywhere(cuts: list[int], size: int) -> None:
    events = [chunk({"content": piece}) for piece in cut(SAID, size)]
    whole = b": alive\n\n" + b"".join(sse.event(json.dumps(event).encode()) for event in events)
    whole += sse.event(b"[DONE]")
    stream = AnswerStream(redaction())
    made, at = b"", 0
    for width in cuts:
        made += stream.feed(whole[at : at + width])
        at += width
    made += stream.feed(whole[at:]) + stream.end()
    data = [sse.data(event) for event in sse.events(made)]
    assert data[-1] == b"[DONE]"
    said = [json.loads(one) for one in data[:-1] if one]
    assert deltas(said, "content") == READ


def test_names_of_events_are_kept() -> None:
    event = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "a"},
    }
    made = AnswerStream(redaction()).feed(sse.event(json.dumps(event).encode(), event["type"]))
    assert sse.name(made) == "content_block_delta"


def test_what_is_no_answer_passes() -> None:
    said = b"data: not json\n\ndata: [1]\n\n: waiting\n\n"
    stream = AnswerStream(redaction())
    assert stream.feed(said) + stream.end() == said
    error = {"error": {"message": "no <PERSON_1>"}}
    assert told([error]) == [{"error": {"message": f"no {NAME}"}}]


def test_without_placeholders_bytes_pass_as_they_are() -> None:
    stream = AnswerStream(Redaction())
    assert stream.feed(b"data: {half") == b"data: {half"
    assert stream.end() == b""


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, False),
        ({"response_format": {"type": "text"}}, False),
        ({"response_format": {"type": "json_object"}}, True),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, True),
        ({"text": {"format": {"type": "json_schema"}}}, True),
        ({"text": {"format": {"type": "text"}}}, False),
        ({"text": {"verbosity": "low"}}, False),
        ({"format": "json"}, True),
        ({"format": {"type": "object"}}, True),
        ({"format": None, "response_format": None}, False),
    ],
)
def test_a_request_says_that_it_wants_json(said: dict[str, Any], wanted: bool) -> None:
    assert wants_json(said) is wanted
    assert wants_json({name: body.raw(one) for name, one in said.items()}) is wanted
