from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.routing.demand import Demand, text_tokens

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)


def chat(content: Any, **more: Any) -> Demand:
    return Demand.of_chat({"messages": [{"role": "user", "content": content}], **more})


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({}, set()),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": {"type": "json_object"}}, {"json"}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"schema"}),
        ({"logprobs": True}, {"logprobs"}),
    ],
)
def test_fields_say_what_is_needed(fields: dict[str, Any], needs: set[str]) -> None:
    assert chat("hi", **fields).needs == needs


def test_pictures_and_sound_need_who_sees_and_hears() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 40_000, "format": "wav"}}
    demand = chat([{"type": "text", "text": "what is it?"}, picture, sound])
    assert demand.needs == {"vision", "audio"}
    assert demand.tokens < 3000  # a picture is no text


@pytest.mark.parametrize(
    ("text", "fewest", "most"),  # by tokenizers that know Vietnamese, and by SmolLM2's, as counted
    [
        ("The quick brown fox jumps over the lazy dog. " * 20, 200, 201),
        ("Hà Nội là thủ đô của nước Cộng hoà xã hội chủ nghĩa Việt Nam. " * 20, 340, 1001),
        ("def f(x):\n    return [i for i in range(x) if i % 2 == 0]\n" * 10, 180, 260),
    ],
)
def test_what_a_text_takes_lies_between_least_and_most(text: str, fewest: int, most: int) -> None:
    demand = chat(text)
    assert demand.least <= fewest
    assert most <= demand.most
    assert demand.least <= text_tokens(text) <= demand.most


def test_the_answer_that_was_asked_for_is_part_of_it() -> None:
    assert chat("hi", max_tokens=100).whole - chat("hi").whole == 100
    assert chat("hi", max_completion_tokens=7).answer_tokens == 7


def test_turns_are_those_of_the_user() -> None:
    rows = [{"role": role, "content": "x"} for role in ("system", "user", "assistant", "user")]
    assert Demand.of_chat({"messages": rows}).turns == 2


@given(
    st.dictionaries(st.sampled_from(["messages", "tools", "response_format", "max_tokens"]), JSON)
)
def test_any_body_is_read(body: dict[str, Any]) -> None:
    demand = Demand.of_chat(body)
    assert demand.tokens >= 0
    assert demand.turns >= 1
