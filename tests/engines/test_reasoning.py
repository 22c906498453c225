"""What a request says of thinking, in the prompt that the engine makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engines.chat_cases import CHATS, Chat
from tests.engines.test_chat_templates import by_engine, engine, source

pytestmark = [pytest.mark.anyio, pytest.mark.shared, pytest.mark.heavy]


def said(**more: Any) -> Chat:
    return Chat(CHATS["turns"].messages, said=more)


async def test_the_effort_is_in_the_prompt_of_gpt_oss(smollm2_gguf: Path, tmp_path: Path) -> None:
    async with engine(smollm2_gguf, source("openai-gpt-oss-120b"), tmp_path) as upstream:
        assert "Reasoning: medium" in await by_engine(upstream, said())
        for effort in ("low", "high"):
            text = await by_engine(upstream, said(reasoning_effort=effort))
            assert f"Reasoning: {effort}" in text


@pytest.mark.parametrize(
    ("name", "on", "off"),
    [
        ("Qwen-Qwen3-0.6B", "assistant\n", "assistant\n<think>\n\n</think>\n\n"),
        ("GLM-4.6", "<|assistant|>", "<|assistant|>\n<think></think>"),
        ("poolside-Laguna-XS.2", "<assistant>\n<think>", "<assistant>\n</think>"),
    ],
)
async def test_thinking_is_switched_in_the_prompt(
    smollm2_gguf: Path, tmp_path: Path, name: str, on: str, off: str
) -> None:
    async with engine(smollm2_gguf, source(name), tmp_path) as upstream:
        assert (await by_engine(upstream, said(enable_thinking=True))).endswith(on)
        assert (await by_engine(upstream, said(enable_thinking=False))).endswith(off)


async def test_what_was_thought_goes_back_where_the_template_wants_it(
    smollm2_gguf: Path, tmp_path: Path
) -> None:
    """gpt-oss wants it while tools are being called, and not afterwards."""
    async with engine(smollm2_gguf, source("openai-gpt-oss-120b"), tmp_path) as upstream:
        text = await by_engine(upstream, CHATS["thought, called"])
        assert "<|channel|>analysis<|message|>A tool!<|end|>" in text
        assert "They greet." not in await by_engine(upstream, CHATS["thought"])
