"""Engines that send what no engine should: a real server each time, told in two APIs' shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from noibo import settings
from noibo.engines.engine import Model
from noibo.gateway.anthropic import request as anthropic_request
from noibo.gateway.anthropic.teller import MessageTeller
from noibo.gateway.pipeline import Pipeline, Request
from noibo.gateway.relay import Relay
from noibo.wire import anthropic, body
from tests.gateway import bare_engine
from tests.gateway.bare_engine import CHUNK, LAST, PATH, sse

pytestmark = pytest.mark.anyio

DONE = b"data: [DONE]\n\n"
ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


def relay(pipeline: Pipeline, voice: str, *, stream: bool) -> Relay:
    text = json.dumps(ASK | {"stream": stream}).encode()
    if voice == "openai":
        return Relay(pipeline, Request.parse(PATH, text), settings.Queue())
    asked = anthropic_request.read(body.read_fields(text), Model("m", "echo"))
    request = Request.of(PATH, body.read_fields(text))
    teller = MessageTeller(asked)
    return Relay(pipeline, request, settings.Queue(), anthropic.Voice(), teller)


async def told(said: bytes, voice: str, *, stream: bool, **how: Any) -> tuple[int, bytes]:
    """What a caller is told of an engine that says these bytes."""
    return await bare_engine.told(said, lambda one: relay(one, voice, stream=stream), **how)


def event(**fields: Any) -> bytes:
    return sse({"id": "c", **fields})


@pytest.mark.parametrize("voice", ["openai", "anthropic"])
@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
async def test_any_line_end_will_do(voice: str, cut: int, end: bytes) -> None:
    said = (b"\xef\xbb\xbf" + sse(CHUNK, LAST) + DONE).replace(b"\n", end)
    for stream in (True, False):
        status, body = await told(said, voice, stream=stream, cut=cut)
        assert (status, b"xin" in body, b"error" in body) == (200, True, False)


@pytest.mark.parametrize("voice", ["openai", "anthropic"])
async def test_a_huge_event_comes_through(voice: str) -> None:
    huge = event(choices=[{"index": 0, "delta": {"content": "a" * 2**22}}])
    for stream in (True, False):
        status, body = await told(huge + sse(LAST) + DONE, voice, stream=stream, cut=2**18)
        assert (status, body.count(b"a" * 2**22)) == (200, 1)


@pytest.mark.parametrize("voice", ["openai", "anthropic"])
async def test_a_line_that_never_ends_is_given_up(voice: str) -> None:
    said = sse(CHUNK) + b"data: " + b"a" * (2**26 + 2**20)
    status, body = await told(said, voice, stream=False, cut=2**20)
    assert (status, b"an event of more than" in body) == (502, True)
    status, body = await told(said, voice, stream=True, cut=2**20)
    assert (status, b"an event of more than" in body) == (200, True)
    assert len(body) < 2**12


@pytest.mark.parametrize("voice", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "said",
    [
        b"data: \xff\xfe\n\n",
        b'data: {"choices": [{"index": 0, "delta": {"content": "\xff"}}]}\n\n',
        b"data: " + b"[" * 10_000 + b"\n\n",
        event(choices=5),
        event(choices=[5]),
        event(choices=[{"index": 0, "delta": "x"}]),
        event(choices=[{"index": 0, "delta": {"content": 5, "reasoning_content": [5]}}]),
        event(choices=[{"index": 0, "delta": {"tool_calls": 5}}]),
        event(choices=[{"index": 0, "delta": {"tool_calls": [{"index": "x", "function": 5}]}}]),
        event(choices=[{"index": 0, "delta": {"tool_calls": [5]}}]),
        event(choices=[], usage=5),
        event(choices=[], usage={"prompt_tokens": "many"}),
        event(choices=[], timings=[5]),
        event(),
        b"id: 7\nevent: x\nretry: never\n\n",
    ],
)
async def test_nonsense_is_the_engines_fault_or_passed_over(voice: str, said: bytes) -> None:
    """Never a failure of the server, never an answer of another shape."""
    status, body = await told(said + sse(CHUNK, LAST) + DONE, voice, stream=False)
    assert status in {200, 502}
    document = json.loads(body)
    shape = "content" if voice == "anthropic" else "choices"
    assert (shape if status == 200 else "error") in document
    assert b"its log says why" not in body
    _, body = await told(said + sse(CHUNK, LAST) + DONE, voice, stream=True)
    assert b"its log says why" not in body


@pytest.mark.parametrize("voice", ["openai", "anthropic"])
async def test_half_an_event_reaches_nobody(voice: str) -> None:
    said = sse(CHUNK) + b'data: {"choices":[{"index":0,"delta":{"content":"half'
    status, body = await told(said, voice, stream=True)
    assert (status, b"half" in body, b"broke off" in body) == (200, False, True)
    status, body = await told(said, voice, stream=False)
    assert (status, b"broke off" in body) == (502, True)


@pytest.mark.parametrize("voice", ["openai", "anthropic"])
@pytest.mark.parametrize("kind", ["text/html", "application/json", "image/png"])
async def test_what_is_no_stream_is_no_answer(voice: str, kind: str) -> None:
    for said in (b"<html>Hello</html>", b"{}", b'{"choices": []}\n'):
        status, body = await told(said, voice, stream=False, kind=kind)
        assert (status, b"error" in body) == (502, True)


@pytest.mark.parametrize("voice", ["openai", "anthropic"])
@pytest.mark.parametrize("cut", [0, 1])
async def test_a_document_in_place_of_a_stream_is_told_as_what_it_is(voice: str, cut: int) -> None:
    page = b"\n<html>\n\n<body>Log in</body></html>"
    for said, told_of in (
        (page, b"a web page came"),
        (b'{"choices": [{"message": {"content": "xin"}}]}', b"one whole document came"),
        (b'{"error": {"message": "out of credits", "code": 402}}', b"out of credits"),
        (b'{"error": "out of credits"}', b"out of credits"),
    ):
        status, body = await told(said, voice, stream=True, cut=cut)
        assert (status, told_of in body, b"Log in" in body) == (200, True, False)


@pytest.mark.parametrize("voice", ["openai", "anthropic"])
async def test_what_follows_the_end_is_nobodys(voice: str) -> None:
    said = sse(CHUNK, LAST) + DONE + b"\xff\xfe no event"
    status, body = await told(said, voice, stream=False)
    assert (status, b"xin" in body) == (200, True)


async def test_openais_streams_pass_through_unread() -> None:
    odd = b': words\n\ndata: {"odd": "\xe2\x80\xa8 \xc2\x85"}\n\n'
    _, body = await told(odd + sse(CHUNK, LAST) + DONE, "openai", stream=True)
    assert body == odd + sse(CHUNK, LAST) + DONE
