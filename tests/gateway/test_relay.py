"""The relay with engines that do not speak exactly as llama.cpp does: a real server each time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from noibo import settings
from noibo.gateway.pipeline import Pipeline, Request
from noibo.gateway.relay import Relay
from tests.gateway.bare_engine import CHUNK, LAST, PATH, sse, told

pytestmark = pytest.mark.anyio


async def relayed(said: bytes, *, stream: bool, **how: Any) -> tuple[int, bytes]:
    """What a caller gets of an engine that answers with these bytes."""
    body = json.dumps({"model": "m", "messages": [], "stream": stream}).encode()

    def relay(pipeline: Pipeline) -> Relay:
        return Relay(pipeline, Request.parse(PATH, body), settings.Queue())

    return await told(said, relay, **how)


@pytest.mark.parametrize(
    "end",
    [
        b"data: [DONE]\n\n",
        b"data:[DONE]\n\n",
        b"data: [DONE]\r\n\r\n",
        b"data: [DONE]\n\n: bye\n\n",
        b"data: [DONE]",
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 7])
async def test_a_whole_stream_is_whole_however_it_ends(end: bytes, cut: int) -> None:
    status, body = await relayed(sse(CHUNK, LAST) + end, stream=True, cut=cut)
    assert (status, b"error" in body) == (200, False)
    assert body.count(b"[DONE]") == 1
    status, body = await relayed(sse(CHUNK, LAST) + end, stream=False, cut=cut)
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "xin"


@pytest.mark.parametrize(
    "said",
    [
        sse(CHUNK),
        sse(CHUNK) + b"data: {broken\n\n",
        sse(CHUNK) + b"data: 5\n\n",
        sse(CHUNK) + b"data: \xff\n\n",
        sse(CHUNK, {"error": "boom"}),
        sse(CHUNK, {"error": {"message": "boom", "code": 500}}),
        b"",
        b"<html>not a stream</html>",
    ],
)
async def test_an_unstreamed_answer_that_breaks_off_is_a_502(said: bytes) -> None:
    status, body = await relayed(said, stream=False)
    assert status == 502
    assert json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    "error", [b'{"id":"c","error":{"message":"x"}}', b'{"error":{"message":"x"}}', b'{"error":"x"}']
)
async def test_an_engines_error_in_a_stream_reaches_the_caller(error: bytes) -> None:
    _, body = await relayed(sse(CHUNK) + b"data: " + error + b"\n\n", stream=True)
    assert b'"error"' in body
    assert b"[DONE]" not in body


@pytest.mark.parametrize("status", [400, 404, 418, 500, 503])
@pytest.mark.parametrize(
    "said", [b'{"error":{"message":"no","type":"t"}}', b"\xff", b"[" * 100_000, b'{"error":"\xff"}']
)
async def test_an_engines_refusal_keeps_its_status(status: int, said: bytes) -> None:
    got, body = await relayed(said, stream=True, status=status)
    assert got == status
    assert json.loads(body)["error"]["message"]


@pytest.mark.parametrize("status", [201, 206, 302])
async def test_a_status_that_is_no_answer_is_a_502(status: int) -> None:
    got, _ = await relayed(b"{}", stream=False, status=status)
    assert got == 502


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": None},
        {"tool_calls": [{"index": None, "function": {"name": "f"}}]},
        {"content": None, "reasoning_content": None},
        {},
    ],
)
async def test_odd_but_harmless_deltas_are_taken(delta: dict[str, Any]) -> None:
    odd = {"id": "c", "choices": [{"index": 0, "delta": delta}]}
    status, body = await relayed(sse(odd, LAST) + b"data: [DONE]\n\n", stream=False)
    assert status == 200, body


async def test_a_tool_call_index_from_nowhere_is_refused() -> None:
    calls = [{"index": 10**9, "function": {"name": "f"}}]
    odd = {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": calls}}]}
    status, _ = await relayed(sse(odd, LAST) + b"data: [DONE]\n\n", stream=False)
    assert status == 502
