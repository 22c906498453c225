from __future__ import annotations

from typing import Any

import msgspec
import pytest

from noibo.errors import InvalidRequest
from noibo.wire.body import raw
from noibo.wire.openai.messages import translate

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def said(*messages: dict[str, Any]) -> Any:
    fields = {"messages": raw(list(messages))}
    translate(fields, knows_developer=False)
    return msgspec.json.decode(fields["messages"])


def test_what_is_null_is_not_there() -> None:
    message = {"role": "user", "content": "Hi", "name": None, "tool_calls": None, "refusal": None}
    assert said(message) == [{"role": "user", "content": "Hi"}]


def test_who_calls_may_say_nothing() -> None:
    (message,) = said({"role": "assistant", "content": None, "tool_calls": [CALL]})
    assert message == {"role": "assistant", "content": None, "tool_calls": [CALL]}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"role": "user", "content": None}, "no content"),
        ({"role": "user", "content": "x", "function_call": CALL["function"]}, "calls nothing"),
        ({"role": "tool", "content": "x", "tool_calls": [CALL]}, "calls nothing"),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{half"}},
            "are no JSON",
        ),
    ],
)
def test_what_no_engine_could_read_is_refused(message: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        said({"role": "system", "content": "Be brief."}, message)
    assert caught.value.param == "messages"
    assert str(caught.value).startswith("messages[1]")
