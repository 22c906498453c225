from __future__ import annotations

import json
from typing import Any

import pytest

from noibo.wire.tally import Progress, Tally, progress, tally


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


TIMINGS = {"cache_n": 430, "prompt_n": 1, "predicted_n": 3, "predicted_ms": 145.3}
USAGE = {"prompt_tokens": 431, "completion_tokens": 3, "total_tokens": 434}
CACHED = {"prompt_tokens_details": {"cached_tokens": 430}}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"timings": TIMINGS}, Tally(431, 430, 3)),
        ({"usage": USAGE}, Tally(431, 0, 3)),
        ({"usage": USAGE | CACHED, "timings": TIMINGS}, Tally(431, 430, 3)),
        ({"usage": USAGE | {"prompt_tokens_details": None}}, Tally(431, 0, 3)),
    ],
)
def test_the_last_events_say_what_an_answer_took(event: dict[str, Any], told: Tally) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "x"}}]}
    assert tally(sse(chunk, {"choices": [], **event}) + b"data: [DONE]\n\n") == told


@pytest.mark.parametrize(
    "block",
    [
        b"data: [DONE]\n\n",
        sse({"choices": [{"delta": {"content": '{"completion_tokens": 5}'}}]}),
        sse({"choices": [{"delta": {"content": "completion_tokens"}}], "usage": None}),
        sse({"usage": {"prompt_tokens": "many", "completion_tokens": 1}}),
        b'data: {"completion_tokens"\n\n',
        b'data: \xff"completion_tokens"\n\n',
        b"data: " + b"[" * 100_000 + b'"predicted_n"\n\n',
    ],
)
def test_what_says_nothing_of_tokens_is_passed_over(block: bytes) -> None:
    assert tally(block) is None


def test_progress_is_the_last_that_is_told() -> None:
    steps = [{"prompt_progress": {"total": 431, "cache": 7, "processed": n}} for n in (64, 128)]
    assert progress(sse(*steps)) == Progress(431, 7, 128)
    assert progress(sse({"choices": []})) is None
    assert progress(b'data: {"prompt_progress":{"total":"x"}}\n\n') is None
