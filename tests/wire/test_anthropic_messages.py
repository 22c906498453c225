"""Anthropic's blocks said in OpenAI's messages: what costs much when it is done badly."""

from __future__ import annotations

import msgspec
import pytest

from noibo.errors import InvalidRequest
from noibo.wire.anthropic.messages import read_messages
from noibo.wire.body import Json, raw


def read(*messages: Json) -> list[Json]:
    return read_messages([raw(message) for message in messages], sees_images=False)


def test_many_thoughts_are_put_together_in_one_go() -> None:
    """Copied for each of them, they would take minutes here."""
    thought = {"type": "thinking", "thinking": "x" * 500}
    (said,) = read({"role": "assistant", "content": [thought] * 40_000})
    assert said["reasoning_content"] == "x" * 500 * 40_000
    assert said["content"] == ""
    assert len(msgspec.json.encode(said)) < 2**25


def test_of_calls_without_results_a_few_are_named() -> None:
    calls = [{"type": "tool_use", "id": f"c{n}", "name": "f", "input": {}} for n in range(10_000)]
    with pytest.raises(InvalidRequest, match="'c0', 'c1'") as refused:
        read({"role": "assistant", "content": calls})
    assert len(refused.value.message) < 100
