"""Models that think: what they are told, by what their templates know, and what comes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from noibo.engines.engine import Model
from noibo.errors import InvalidRequest
from noibo.llm_service import LLMService
from noibo.llm_service.asking import Question
from noibo.llm_service.config import GenerationConfig
from noibo.llm_service.thinking import told
from tests.llm_service.test_service import Echo

SWITCH = Model("s", "llama_cpp", template="{% if enable_thinking %}<think>{% endif %}")
EFFORT = Model("e", "llama_cpp", template="<|channel|>{{ reasoning_effort }}")
ALWAYS = Model("a", "llama_cpp", template="<think>")
PLAIN = Model("p", "llama_cpp", template="{{ messages }}")
ELSEWHERE = Model("r", "remote", format="remote")
SWITCHED: dict[bool, Any] = {
    on: {"chat_template_kwargs": {"enable_thinking": on}} for on in (True, False)
}


@pytest.mark.parametrize(
    ("model", "on", "off"),
    [
        (SWITCH, SWITCHED[True], SWITCHED[False]),
        (ELSEWHERE, SWITCHED[True], SWITCHED[False]),
        (EFFORT, {}, {"reasoning_effort": "low"}),
        (ALWAYS, {}, {"thinking_budget_tokens": 0}),
    ],
)
def test_it_is_told_as_its_template_knows_it(model: Model, on: object, off: object) -> None:
    assert told(True, model) == on
    assert told(False, model) == off
    assert told(None, model) == {}


def test_a_model_without_thoughts_is_refused_them() -> None:
    assert told(False, PLAIN) == {}
    with pytest.raises(InvalidRequest, match="p does not think") as caught:
        told(True, PLAIN)
    assert caught.value.param == "think"


def test_a_question_says_it_with_its_other_fields() -> None:
    question = Question([], GenerationConfig(think=False), limited=False)
    fields = question.request(SWITCH, foreign=False).fields
    assert msgspec.json.decode(fields["chat_template_kwargs"]) == {"enable_thinking": False}
    plain = Question([], GenerationConfig(), limited=False).request(SWITCH, foreign=False)
    assert "chat_template_kwargs" not in plain.fields
    assert plain.model == "s"


@pytest.mark.anyio
async def test_an_answer_that_is_only_thoughts_is_told(
    echo: Echo, service: LLMService, caplog: pytest.LogCaptureFixture
) -> None:
    echo(reasoning="Let me see", text=" a")  # of which the first token is empty
    answer = service.generate_answer("Hello", max_tokens=1)
    assert (answer, answer.taken.thoughts) == ("", "Let me see")
    assert "max_tokens" in caplog.text
    assert "think=False" in caplog.text
    caplog.clear()
    stream = service.generate_answer_with_streaming("Hello", max_tokens=1)
    assert [piece async for piece in stream] == []
    assert "think=False" in caplog.text
    caplog.clear()
    assert service.generate_answer("Hello", max_tokens=2) == " a"
    assert "think=False" not in caplog.text


def test_thoughts_that_a_model_has_not_are_refused_when_it_is_asked(service: LLMService) -> None:
    service.update_generation_config(think=True)
    with pytest.raises(InvalidRequest, match="echo does not think"):
        service.generate_answer("Hello")
    service.update_generation_config(think=False)
    assert service.generate_answer("Hello") == "Hello"
