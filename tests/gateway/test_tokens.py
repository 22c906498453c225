"""Tokens of an answer of which the engine says no count, as of one that is cancelled."""

from __future__ import annotations

import json
from typing import Any

import pytest

from noibo.gateway.tokens import Tokens
from tests.gateway.bare_engine import OneWorker

DONE = b"data: [DONE]\n\n"


def event(compact: bool = True, reason: str | None = None, **said: Any) -> bytes:
    choice = {"finish_reason": reason, "index": 0, **said}
    separators = (",", ":") if compact else None  # as engines in C++, or in Python, write it
    return b"data: " + json.dumps({"choices": [choice]}, separators=separators).encode() + b"\n\n"


def chat(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"reason": reason, "delta": delta}


CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "now", "arguments": ""}}
QUOTED = 'it said "role", "finish_reason":"stop" and [DONE]'


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        # llama.cpp, vLLM, and servers that name the role in each event
        ([chat(role="assistant", content=None), chat(content="a"), chat("stop")], 1),
        ([chat(role="assistant", content=""), chat(content="a"), chat("stop", content="")], 1),
        ([chat(role="assistant", content="a"), chat(role="assistant", content=" b")], 2),
        ([chat(content="a"), chat("length", content=" b")], 2),
        ([chat(role="assistant", reasoning_content="a"), chat(role="assistant", reasoning="b")], 2),
        ([chat(role="assistant", content=None, tool_calls=[CALL]), chat("tool_calls")], 1),
        ([chat(role="assistant", content=""), chat(content=QUOTED), chat("stop")], 1),
        ([{"text": "a"}, {"text": " b", "reason": "length"}, {"text": "", "reason": "stop"}], 2),
    ],
)
def test_only_what_is_written_counts(
    events: list[dict[str, Any]], tokens: int, *, compact: bool
) -> None:
    blocks = [event(compact, **one) for one in events]
    for together in (False, True):
        worker = OneWorker("").worker
        counted = Tokens(worker)
        for block in [b"".join([*blocks, DONE])] if together else [*blocks, DONE]:
            counted.count(block, reads=False)
        assert (counted.written, worker.tokens_out) == (tokens, tokens)
