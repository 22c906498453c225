"""What is read out of a request, and how it is made to fit a model: without a server."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest

from noibo.engines.engine import Model
from noibo.errors import InvalidRequest
from noibo.gateway.callers import Caller
from noibo.gateway.openai import model as openai_model
from noibo.gateway.openai.asked import Asked, read
from noibo.wire.body import read_fields
from tests.gateway.openai_calls import ASK, TOOLS

PLAIN = Model("m", "llama_cpp", template="{{ messages }}")
SWITCH = Model("s", "llama_cpp", template="{% if enable_thinking %}<think>{% endif %}")
ALWAYS = Model("a", "llama_cpp", template="{{ messages }}<think>")
EFFORT = Model("e", "llama_cpp", template="{{ reasoning_effort }} developer <|channel|>")


def chat(**fields: Any) -> Asked:
    body = json.dumps({"model": "m", "messages": ASK} | fields).encode()
    return read("/v1/chat/completions", read_fields(body), Caller("somebody"))


def text(**fields: Any) -> Asked:
    body = json.dumps({"model": "m", "prompt": "a"} | fields).encode()
    return read("/v1/completions", read_fields(body), Caller("somebody"))


def value(asked: Asked, name: str) -> Any:
    raw = asked.request.fields.get(name)
    return None if raw is None else msgspec.json.decode(raw)


def test_a_usual_chat_passes_as_it_is() -> None:
    for fields in ({}, {"stream": True}, {"temperature": 1, "tools": TOOLS, "top_k": 3}):
        asked = chat(**fields)
        assert asked.plain
        assert not openai_model.needs_model(asked.request)
        assert value(asked, "messages") == ASK
    for fields in ({"n": 2}, {"logprobs": True}, {"functions": [{"name": "f"}]}):
        assert not chat(**fields).plain


def test_what_is_recorded_is_logged_without_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "noibo.gateway.recorded"):
        asked = chat(user="Trang Nguyen", metadata={"case": "secret"}, store=True)
    assert set(asked.request.fields) == {"model", "messages"}
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("somebody sent metadata ")
    assert "user " in line
    assert "Trang" not in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("seed", "sent"), [(5, 5), (0, 0), (-1, -1), (-5, 2**32 - 6), (2**32 - 1, 0), (2**40, 256)]
)
def test_any_seed_is_one_that_engines_have(seed: int, sent: int) -> None:
    assert value(chat(seed=seed), "seed") == sent


def test_prompts_are_texts_or_ids() -> None:
    assert text().prompts == ["a"]
    assert text(prompt=["a", "b"]).prompts == ["a", "b"]
    assert text(prompt=[1, 2]).prompts == [[1, 2]]
    assert text(prompt=[[1, 2], [3]]).prompts == [[1, 2], [3]]
    for wrong in ([1, "a"], ["a", [1]], [[]], [-1], [True], [[1.5]]):
        with pytest.raises(InvalidRequest) as caught:
            text(prompt=wrong)
        assert caught.value.param == "prompt"


def test_llama_cpps_name_for_n_is_taken() -> None:
    assert chat(n_cmpl=3).shape.choices == 3
    with pytest.raises(InvalidRequest) as caught:
        chat(n_cmpl=0)
    assert caught.value.param == "n_cmpl"


@pytest.mark.parametrize(
    ("model", "effort", "sent", "switch"),
    [
        (SWITCH, "none", None, False),
        (SWITCH, "minimal", None, False),
        (SWITCH, "high", None, True),
        (EFFORT, "high", "high", None),
        (PLAIN, "none", None, None),
    ],
)
def test_effort_is_said_as_the_model_takes_it(
    model: Model, effort: str, sent: str | None, switch: bool | None
) -> None:
    asked = openai_model.fit(chat(reasoning_effort=effort), model)
    assert value(asked, "reasoning_effort") == sent
    assert (value(asked, "chat_template_kwargs") or {}).get("enable_thinking") == switch


@pytest.mark.parametrize(("model", "effort"), [(PLAIN, "low"), (ALWAYS, "none"), (EFFORT, "none")])
def test_effort_that_a_model_does_not_take_is_refused(model: Model, effort: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        openai_model.fit(chat(reasoning_effort=effort), model)
    assert caught.value.param == "reasoning_effort"


def test_a_call_that_must_be_is_held_to_its_form_unless_the_model_thinks_first() -> None:
    asked = openai_model.fit(chat(tools=TOOLS, tool_choice="required"), PLAIN)
    assert asked.shape.forced
    assert value(asked, "tool_choice") == "none"
    named = {"type": "function", "function": {"name": "now"}}
    one = openai_model.fit(chat(tools=TOOLS, tool_choice=named), SWITCH)
    assert value(one, "json_schema")["properties"]["name"] == {"const": "now"}
    assert value(one, "chat_template_kwargs") == {"enable_thinking": False}
    left = openai_model.fit(chat(tools=TOOLS, tool_choice="required"), ALWAYS)
    assert not left.shape.forced
    assert value(left, "tool_choice") == "required"


def test_old_words_are_said_in_new_ones() -> None:
    call = {"name": "f", "arguments": "{}"}
    talk = [
        {"role": "developer", "content": "d"},
        *ASK,
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": None, "refusal": "no"},
    ]
    said = value(openai_model.fit(chat(messages=talk), PLAIN), "messages")
    assert [message["role"] for message in said] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert said[2]["tool_calls"][0]["id"] == said[3]["tool_call_id"]
    assert said[2]["tool_calls"][0]["function"] == call
    assert said[4]["content"] == "no"
    kept = value(openai_model.fit(chat(messages=talk), EFFORT), "messages")
    assert kept[0]["role"] == "developer"
