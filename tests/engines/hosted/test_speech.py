"""Bytes as text, and the parts of a chat's answer, however they are cut into pieces."""

from __future__ import annotations

import itertools

import pytest

from noibo.engines.hosted.chunks import Chunks
from noibo.engines.hosted.speech import Speech, Turn
from noibo.engines.hosted.writing import End, Written

ANSWER = (
    "<think>\nNghĩ một chút…\n</think>\n\nĐể tôi xem."
    '\n<tool_call>\n{"name": "weather", "arguments": {"city": "Huế"}}\n</tool_call>'
    '\n<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>'
)


def parts_of(text: str, length: int, *, thinking: bool = False) -> list[tuple[str, str]]:
    """What is told of a text that comes in pieces, neighbours of one kind joined."""
    turn = Turn(thinking=thinking, calls=True)
    told = [part for i in range(0, len(text), length) for part in turn.tell(text[i : i + length])]
    told += turn.tell("", last=True)
    return [
        (kind, "".join(one[1] for one in group))
        if kind != "call"
        else (kind, "|".join(one[1].strip() for one in group))
        for kind, group in itertools.groupby(told, key=lambda part: part[0])
    ]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 500])
def test_the_parts_are_the_same_in_whatever_pieces(length: int) -> None:
    think, say, call = parts_of(ANSWER, length)
    assert (think[0], think[1].strip()) == ("think", "Nghĩ một chút…")
    assert (say[0], say[1].removesuffix("\n")) == ("say", "Để tôi xem.")  # what follows is unseen
    assert call == (
        "call",
        '{"name": "weather", "arguments": {"city": "Huế"}}|{"name": "time", "arguments": {}}',
    )


@pytest.mark.parametrize("length", [1, 3, 500])
def test_thoughts_that_the_prompt_began_are_thoughts(length: int) -> None:
    found = parts_of("so\n</think>\n\nyes", length, thinking=True)
    assert found == [("think", "so\n"), ("say", "yes")]


def test_an_answer_keeps_its_own_empty_lines() -> None:
    assert parts_of("so</think>\n\n  one\n\ntwo", 1, thinking=True)[1] == ("say", "  one\n\ntwo")


def test_marks_in_the_middle_of_an_answer_are_text() -> None:
    text = "Write <think> and </think> around it, < 3 and <tool_ box."
    assert parts_of(text, 1) == [("say", text)]


def test_a_call_that_was_cut_off_is_the_text_it_is() -> None:
    text = '<tool_call>\n{"name": "we'
    assert parts_of(text, 4) == [("say", text)]


def test_a_call_that_is_no_json_is_the_text_it_is() -> None:
    chunks = Chunks("m", "e", Turn(thinking=False, calls=True), usage=False)
    said = chunks.tell(Written("<tool_call>nothing</tool_call>"))
    end = chunks.tell(End("stop", 1, 0, 1))
    assert b'"content":"<tool_call>nothing</tool_call>"' in said
    assert b'"finish_reason":"stop"' in end


def test_an_answer_with_calls_ends_with_that_reason() -> None:
    chunks = Chunks("m", "e", Turn(thinking=False, calls=True), usage=False)
    said = chunks.tell(Written('<tool_call>{"name":"f","arguments":{"a":1}}</tool_call>'))
    assert b'"name":"f","arguments":"{\\"a\\":1}"' in said
    assert b'"finish_reason":"tool_calls"' in chunks.tell(End("stop", 1, 0, 1))


def test_characters_are_told_whole() -> None:
    speech = Speech()
    told = [speech.say(bytes([byte])) for byte in "Đà".encode()]
    assert told == ["", "Đ", "", "à"]


def test_half_a_character_at_the_end_is_told_as_such() -> None:
    speech = Speech()
    assert speech.say("à".encode()[:1]) + speech.say(b"", last=True) == "\ufffd"


@pytest.mark.parametrize("length", [1, 2, 5, 50])
def test_a_stop_text_is_found_in_whatever_pieces(length: int) -> None:
    speech = Speech(["\n\nUser:", "</s>"])
    said, told = b"Xin ch\n\nUse it\n\nUser: more", ""
    for i in range(0, len(said), length):
        told += speech.say(said[i : i + length])
    assert told == "Xin ch\n\nUse it"
    assert speech.stopped
