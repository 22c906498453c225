"""What a thinking model thinks comes apart from what it answers, through the real server.

There is no thinking model here: SmolLM2 gets each family's chat template, and a grammar that lets
it say nothing but what a model of that family would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from noibo.modelstore.store import Store
from tests.engines.stocking import stock
from tests.running import RunningServer

THOUGHT, ANSWER = "I think.", "Hello, you."
# What each family's model says after its template's prompt; many prompts have begun its thought.
SAID = {
    "Qwen-Qwen3-0.6B": "<think>\nI think.\n</think>\n\nHello, you.",
    "openai-gpt-oss-120b": "<|channel|>analysis<|message|>I think.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Hello, you.",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": "I think.\n</think>\n\nHello, you.",
    "llama-cpp-deepseek-r1": "I think.\n</think>\n\nHello, you.",
    "deepseek-ai-DeepSeek-V3.2": "I think.</think>Hello, you.",
    "GLM-4.6": "\n<think>I think.</think>\nHello, you.",
    "HuggingFaceTB-SmolLM3-3B": "<think>\nI think.\n</think>\nHello, you.",
    "ByteDance-Seed-OSS": "<seed:think>I think.</seed:think>Hello, you.",
    "Apriel-1.6-15b-Thinker-fixed": "I think.\n[BEGIN FINAL RESPONSE]\nHello, you.\n",
    "mistralai-Ministral-3-14B-Reasoning-2512": "[THINK]I think.[/THINK]Hello, you.",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": "<|START_THINKING|>I think.<|END_THINKING|>"
    "<|START_RESPONSE|>Hello, you.<|END_RESPONSE|>",
    "Cohere2MoE": "I think.<|END_THINKING|><|START_TEXT|>Hello, you.<|END_TEXT|>",
    "Reka-Edge": "I think.\n</think>\n\nHello, you.",
    "StepFun3.5-Flash": "I think.\n</think>\nHello, you.",
    "poolside-Laguna-XS-2.1": "I think.</think>\nHello, you.",
    "poolside-Laguna-XS.2": "I think.</think>\nHello, you.",
    "muse-glimmer": " to=self<|message|>I think.<|eom|><|start|>assistant<|message|>Hello, you.",
}
DEVSTRAL = "unsloth-mistral-Devstral-Small-2507"
CORE = ("Qwen-Qwen3-0.6B", "openai-gpt-oss-120b")
FAMILIES = [name if name in CORE else pytest.param(name, marks=pytest.mark.heavy) for name in SAID]
HI: Any = [{"role": "user", "content": "Hi"}]
pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def server(
    smollm2_gguf: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server with SmolLM2 under every family's name."""
    folder = tmp_path_factory.mktemp("reasoning")
    store = Store(folder / "store")
    for name in (*SAID, DEVSTRAL):
        template = shared / "conformance" / "chat_templates" / f"{name}.jinja"
        stock(store, model(name), smollm2_gguf, template=template.read_text(encoding="utf-8"))
    settings = {
        "NOIBO_STORE_PATH": str(store.folder),
        "NOIBO_ENGINE_CTX_SIZE": "4096",
        "NOIBO_ENGINE_PARALLEL": "1",
        "NOIBO_ENGINE_THREADS": "1",
    }
    with RunningServer(folder / "home", **settings) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0) as made:
        yield made


def model(family: str) -> str:
    return f"{family.lower()}:t"


def forced(family: str, text: str, **more: Any) -> dict[str, Any]:
    """A request whose answer can be nothing but this text."""
    grammar = "root ::= " + json.dumps(text, ensure_ascii=False)
    asked = {"model": model(family), "messages": HI, "max_tokens": 100, "temperature": 0}
    return asked | {"extra_body": {"grammar": grammar, **more}}


def whole(client: openai.OpenAI, request: dict[str, Any]) -> tuple[str, str]:
    """What was thought, and the answer."""
    message = client.chat.completions.create(**request).choices[0].message
    return getattr(message, "reasoning_content", None) or "", message.content or ""


def pieces(client: openai.OpenAI, request: dict[str, Any]) -> list[tuple[str, str]]:
    """The same, of each event of a stream that says anything."""
    deltas = (
        choice.delta
        for event in client.chat.completions.create(stream=True, **request)
        for choice in event.choices
    )
    said = [(getattr(one, "reasoning_content", None) or "", one.content or "") for one in deltas]
    return [one for one in said if any(one)]


@pytest.mark.heavy
@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_thought_is_apart_from_the_answer(client: openai.OpenAI, family: str) -> None:
    request = forced(family, SAID[family], chat_template_kwargs={"enable_thinking": True})
    thought, answer = whole(client, request)
    assert (thought.strip(), answer.strip()) == (THOUGHT, ANSWER)
    streamed = pieces(client, request)
    assert "".join(one for one, _ in streamed) == thought
    assert "".join(one for _, one in streamed) == answer
    begun = [bool(answered) for _, answered in streamed]
    assert begun == sorted(begun), "the answer begins when the thought has ended"
    assert len(streamed) > 3, "it comes piece by piece"


def test_a_thought_that_is_cut_off_is_no_answer(client: openai.OpenAI) -> None:
    request = forced(CORE[0], "<think>\nI think of it for a long, long while.\n</think>\n\nHello.")
    choice = client.chat.completions.create(**request | {"max_tokens": 12}).choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.content == ""
    assert "I think" in choice.message.reasoning_content  # type: ignore[attr-defined]


def test_the_marks_stay_where_a_request_wants_them(client: openai.OpenAI) -> None:
    raw = forced(CORE[0], SAID[CORE[0]], reasoning_format="none")
    assert whole(client, raw) == ("", SAID[CORE[0]])


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["auto", "deepseek"])
def test_thoughts_are_apart_in_every_other_form(client: openai.OpenAI, form: str) -> None:
    apart = forced(CORE[0], SAID[CORE[0]], reasoning_format=form)
    assert whole(client, apart) == whole(client, forced(CORE[0], SAID[CORE[0]]))


def test_a_request_may_switch_thinking_off(client: openai.OpenAI) -> None:
    off = forced(CORE[0], ANSWER, chat_template_kwargs={"enable_thinking": False})
    assert whole(client, off) == ("", ANSWER)
    with pytest.raises(openai.BadRequestError, match="enable_thinking"):
        whole(client, forced(CORE[0], ANSWER, chat_template_kwargs={"enable_thinking": "no"}))


HANOI = {"type": "string", "enum": ["Hanoi"]}
CITY = {"type": "object", "properties": {"city": HANOI}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
CALLED = {
    "id": "abcdef123",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Hanoi"}'},
}
TURN = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "I need the tool.",
        "tool_calls": [CALLED],
    },
    {"role": "tool", "tool_call_id": "abcdef123", "content": "31"},
    {"role": "assistant", "content": "31"},
]


@pytest.mark.heavy
def test_a_tool_is_called_after_a_thought(client: openai.OpenAI) -> None:
    """No grammar may be given beside tools: the model does what it has seen itself do. How often it
    must have seen it depends on the processor's arithmetic."""
    request: dict[str, Any] = {
        "model": model("deepseek-ai-DeepSeek-V3.2"),
        "tools": [TOOL],
        "max_tokens": 150,
        "temperature": 0,
        "extra_body": {
            "reasoning_budget_tokens": 3,
            "chat_template_kwargs": {"enable_thinking": True},
        },
    }
    for times in (3, 4, 5, 6, 8):
        request["messages"] = [*TURN * times, TURN[0]]
        message = client.chat.completions.create(**request).choices[0].message
        if message.tool_calls:
            break
    assert message.tool_calls, message
    call = message.tool_calls[0].function
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Hanoi"})
    thought = message.reasoning_content  # type: ignore[attr-defined]
    events = list(client.chat.completions.create(stream=True, **request))
    deltas = [choice.delta for event in events for choice in event.choices]
    assert "".join(getattr(one, "reasoning_content", None) or "" for one in deltas) == thought
    calls = [one.function for delta in deltas for one in delta.tool_calls or ()]
    assert "".join(one.arguments or "" for one in calls) == call.arguments


@pytest.mark.heavy
def test_a_template_that_reads_no_thoughts_is_told_none(client: openai.OpenAI) -> None:
    """The engine would lose the answer with the thought."""

    def tokens(**more: Any) -> int:
        said = {"role": "assistant", "content": "Hello, you.", **more}
        messages: Any = [*HI, said, *HI]
        answer = client.chat.completions.create(
            model=model(DEVSTRAL), messages=messages, max_tokens=1
        )
        assert answer.usage is not None
        return answer.usage.prompt_tokens

    assert tokens(reasoning_content="They greet.") == tokens()
