"""Chat templates without tools, taught to say them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest

from noibo.engines.tool_template import tells_tools, with_tools

OWN = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TOOLS = [{"type": "function", "function": {"name": "f"}}]
TALK = [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}]


def rendered(template: str, messages: list[Any], **more: Any) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = json.dumps
    return environment.from_string(template).render(
        messages=messages, add_generation_prompt=True, **more
    )


def test_without_tools_nothing_is_different() -> None:
    talks = [TALK, TALK[1:], [{"role": "user", "content": [{"type": "text", "text": "x"}]}]]
    for talk in talks:
        assert rendered(with_tools(OWN), talk) == rendered(OWN, talk)


def test_tools_calls_and_results_are_said() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    results = [{"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]
    talk = [*TALK, {"role": "assistant", "content": None, "tool_calls": [call]}, *results]
    said = rendered(with_tools(OWN), talk, tools=TOOLS)
    assert '"name": "f"' in said
    assert said.count("<system>") == 1
    assert '<assistant><tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>' in said
    assert said.count("<user>") == 2  # results go together: some models want users to alternate
    assert "<tool_response>\n2\n</tool_response>" in said


def test_a_template_that_refuses_a_system_prompt_gets_it_in_the_first_message() -> None:
    own = "{% if messages[0].role == 'system' %}{{ 1 / 0 }}System role not supported{% endif %}"
    said = rendered(with_tools(own + OWN), TALK, tools=TOOLS)
    assert said.startswith("<user>You may call functions.")
    assert said.endswith("S\nHi\n<assistant>")
    assert rendered(with_tools(own + OWN), TALK[1:]) == rendered(OWN, TALK[1:])


def test_a_template_that_knows_tools_stays_as_it_is() -> None:
    assert with_tools("{% if tools %}{{ messages }}{% endif %}") == ""


def test_a_model_without_a_template_is_taught_the_engines_own() -> None:
    said = rendered(with_tools(""), TALK)
    turns = [f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in TALK]
    assert said == "".join(turns) + "<|im_start|>assistant\n"
    assert '"name": "f"' in rendered(with_tools(""), TALK, tools=TOOLS)


def test_who_is_told_of_tools() -> None:
    assert all(map(tells_tools, ("", OWN, "{% if tools %}{{ messages }}{% endif %}")))
    assert not tells_tools("chatml")  # a name of llama.cpp's


@pytest.mark.shared
def test_the_templates_of_known_models_that_say_tools_are_left_alone(shared: Path) -> None:
    taught = {
        path.name
        for path in (shared / "conformance" / "chat_templates").glob("*.jinja")
        if with_tools(path.read_text())
    }
    assert "google-gemma-2-2b-it.jinja" in taught
    assert "Qwen-Qwen2.5-7B-Instruct.jinja" not in taught
