"""Engines that send what no engine should: a real server each time, told in two APIs' shapes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from starlette.types import Message

from noibo import settings
from noibo.engines.engine import Model
from noibo.engines.upstream import new_session
from noibo.gateway.anthropic import request as anthropic_request
from noibo.gateway.anthropic.teller import MessageTeller
from noibo.gateway.pipeline import Pipeline, Request
from noibo.gateway.relay import Relay
from noibo.wire import anthropic, body
from tests.gateway.test_relay import CHUNK, LAST, OneWorker, sse

pytestmark = pytest.mark.anyio

DONE = b"data: [DONE]\n\n"
ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
PATH = "/v1/chat/completions"


def relay(pipeline: Pipeline, voice: str, *, stream: bool) -> Relay:
    text = json.dumps(ASK | {"stream": stream}).encode()
    if voice == "openai":
        return Relay(pipeline, Request.parse(PATH, text), settings.Queue())
    asked = anthropic_request.read(body.read_fields(text), Model("m", "echo"))
    request = Request.of(PATH, body.read_fields(text))
    teller = MessageTeller(asked)
    return Relay(pipeline, request, settings.Queue(), anthropic.Voice(), teller)


async def told(
    said: bytes, voice: str, *, stream: bool, kind: str = "text/event-stream", cut: int = 0
) -> tuple[int, bytes]:
    """What a caller is told of an engine that says these bytes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        for at in range(0, len(said), cut or len(said) or 1):
            await response.write(said[at : at + (cut or len(said))])
        return response

    app = web.Application()
    app.router.add_post(PATH, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sent: list[Message] = []

    async def resolve(name: str) -> Model:
        return Model(name, "echo")

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async with new_session() as session:
        supervisor = OneWorker(f"http://127.0.0.1:{runner.addresses[0][1]}")
        pipeline = Pipeline(resolve, supervisor, session)  # type: ignore[arg-type]
        await relay(pipeline, voice, stream=stream)({"type": "http"}, receive, send)
    await runner.cleanup()
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


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
async def test_what_follows_the_end_is_nobodys(voice: str) -> None:
    said = sse(CHUNK, LAST) + DONE + b"\xff\xfe no event"
    status, body = await told(said, voice, stream=False)
    assert (status, b"xin" in body) == (200, True)


async def test_openais_streams_pass_through_unread() -> None:
    odd = b': words\n\ndata: {"odd": "\xe2\x80\xa8 \xc2\x85"}\n\n'
    _, body = await told(odd + sse(CHUNK, LAST) + DONE, "openai", stream=True)
    assert body == odd + sse(CHUNK, LAST) + DONE
