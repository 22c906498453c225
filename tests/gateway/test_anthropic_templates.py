"""What depends on a chat template, thinking and tools: a real model with other templates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from noibo.engines.engine import Model
from noibo.engines.thinking import Thinking
from noibo.modelstore.store import Store
from tests.engines.stocking import stock
from tests.gateway.test_anthropic_api import CALLED, WEATHER, count, create, result
from tests.running import RunningServer

ASK = [{"role": "user", "content": "Name three colours."}]
TEMPLATE = """{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' and message.reasoning_content %}
{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
{%- endif %}{{- message.content + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}{%- else %}{{- '<think>\\n' }}{%- endif %}{%- endif %}"""

CALLING = """{%- if tools %}{{- '<|im_start|>system\\nYou may call these tools:\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
{{- '\\n</tools>\\nCall one as <tool_call>\\n{"name": "x", "arguments": {}}\\n</tool_call>' }}
{{- '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}{%- if message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content }}
{{- '\\n</tool_response><|im_end|>\\n' }}
{%- else %}{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- if message.tool_calls %}{%- for call in message.tool_calls %}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}\\n</tool_call>' }}
{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


@pytest.fixture(scope="module")
def client(
    smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[anthropic.Anthropic]:
    place = tmp_path_factory.mktemp("thinker")
    store = Store(place / "store")
    stock(store, "thinker", smollm2_gguf, template=TEMPLATE)
    stock(store, "caller", smollm2_gguf, template=CALLING)
    wanted = {"NOIBO_STORE_PATH": str(place / "store"), "NOIBO_ENGINE_CTX_SIZE": "2048"}
    with (
        RunningServer(place / "home", NOIBO_ENGINE_PARALLEL="1", **wanted) as server,
        anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0) as made,
    ):
        yield made


def asked(**fields: Any) -> dict[str, Any]:
    fields = {"model": "thinker", "messages": ASK, "max_tokens": 12} | fields
    return fields | {"extra_body": {"temperature": 0}}


@pytest.mark.heavy
def test_a_budget_ends_the_thinking(client: anthropic.Anthropic) -> None:
    enabled = {"type": "enabled", "budget_tokens": 4}
    with client.messages.stream(**asked(thinking=enabled)) as stream:
        kinds = [event.delta.type for event in stream if event.type == "content_block_delta"]
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.content[0].signature  # type: ignore[union-attr]
    assert kinds[0] == "thinking_delta"
    assert "signature_delta" in kinds
    assert final.usage.output_tokens == 12
    assert len(final.content[0].thinking.split()) <= 4  # type: ignore[union-attr]


def test_little_effort_ends_the_thinking_early(client: anthropic.Anthropic) -> None:
    def thought(effort: str) -> str:
        adaptive = {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
        first = client.messages.create(**asked(**adaptive)).content[0]
        assert first.type == "thinking"
        return first.thinking

    low, most = thought("low"), thought("xhigh")
    assert len(low) < len(most)
    assert most.strip().startswith(low.strip())


def test_who_does_not_ask_for_thinking_gets_none(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(**asked(max_tokens=4))
    assert [block.type for block in answer.content] == ["text"]


def test_what_was_thought_is_read_again(client: anthropic.Anthropic) -> None:
    def took(*blocks: dict[str, str]) -> int:
        turns = [*ASK, {"role": "assistant", "content": [*blocks]}, *ASK]
        found = client.messages.count_tokens(model="thinker", messages=turns)  # type: ignore[arg-type]
        return found.input_tokens

    text = {"type": "text", "text": "Red."}
    thought = {"type": "thinking", "thinking": "Which three shall I take?", "signature": "s"}
    assert took(thought, text) > took(text)


def test_a_switch_and_an_effort_are_found_in_a_template() -> None:
    found = Thinking.of(Model("m", "echo", template=TEMPLATE))
    assert found == Thinking(thinks=True, has_switch=True)
    assert Thinking.of(Model("m", "echo")) == Thinking()
    effort = "{{ reasoning_effort }}<|channel|>analysis"
    assert Thinking.of(Model("m", "echo", template=effort)).takes_effort


@pytest.mark.shared
def test_templates_of_models_that_think_are_told_from_others(shared: Path) -> None:
    folder = shared / "conformance" / "chat_templates"
    found = {
        path.stem: Thinking.of(Model("m", "echo", template=path.read_text())).thinks
        for path in folder.glob("*.jinja")
    }
    thinkers = {"Qwen-Qwen3-0.6B", "openai-gpt-oss-120b", "llama-cpp-deepseek-r1", "GLM-4.6"}
    others = {"Qwen-Qwen2.5-7B-Instruct", "google-gemma-2-2b-it", "Qwen3-Coder", "Kimi-K2-Instruct"}
    assert {name for name in thinkers if found[name]} == thinkers
    assert not {name for name in others if found[name]}


def test_results_of_tools_are_read(client: anthropic.Anthropic) -> None:
    rows = [{"type": "text", "text": "38 degrees"}]
    took = {
        str(last): count(client, model="caller", messages=[*CALLED, last], tools=[WEATHER])
        for last in (result("38 degrees"), result(rows), result("38 degrees", is_error=True))
    }
    plain, listed, failed = took.values()
    assert plain == listed < failed
    asked = {"model": "caller", "messages": [*CALLED, result("38 degrees")], "tools": [WEATHER]}
    usage = create(client, **asked, max_tokens=1).usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == plain
    assert count(client, model="caller", messages=asked["messages"]) < plain


@pytest.mark.heavy
def test_what_a_coding_agent_sends_is_answered(client: anthropic.Anthropic) -> None:
    """A long system prompt in blocks that are to be cached, twenty tools, streamed."""
    kept = {"cache_control": {"type": "ephemeral"}}
    system = [{"type": "text", "text": "You help with code. " * 4, **kept} for _ in range(2)]
    tools = [
        {
            "name": f"tool_{number}",
            "description": "It reads.",
            "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
        }
        for number in range(20)
    ]
    text = {"type": "text", "text": "Hello", **kept}
    with client.beta.messages.stream(
        model="caller",
        max_tokens=2,
        system=system,  # type: ignore[arg-type]
        tools=tools,  # type: ignore[arg-type]
        messages=[{"role": "user", "content": [text]}],  # type: ignore[list-item, typeddict-item]
        metadata={"user_id": "someone"},
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        betas=["context-management-2025-06-27"],
    ) as stream:
        final = stream.get_final_message()
    assert final.usage.output_tokens >= 1
    assert final.stop_reason in {"max_tokens", "end_turn", "tool_use"}
