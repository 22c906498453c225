"""Answers of engines that are not llama.cpp, over every API: the worker shell round a small model,
and a server that answers as vLLM does and knows no other fields than vLLM."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from noibo import settings
from noibo.engines.engine import Model
from noibo.engines.hosted.adapter import Transformers
from noibo.engines.vllm.adapter import Vllm
from noibo.engines.vllm.dialect import Vllm as Dialect
from noibo.gateway import pipeline
from noibo.gateway.anthropic import request as anthropic_request
from noibo.gateway.anthropic.teller import MessageTeller
from noibo.gateway.callers import Caller
from noibo.gateway.ollama.asked import Asked
from noibo.gateway.ollama.teller import OllamaTeller, as_message
from noibo.gateway.ollama.turns import Chat
from noibo.gateway.pipeline import Pipeline, Request
from noibo.gateway.relay import Relay
from noibo.gateway.responses import request as responses_request
from noibo.wire import anthropic, body, ollama, sse
from noibo.wire.management import MODEL_HEADER
from tests.engines.hosted.bigram import Bigram
from tests.engines.hosted.shells import KEY, running
from tests.gateway import bare_engine
from tests.gateway.bare_engine import PATH, OneWorker

pytestmark = pytest.mark.anyio
HELLO = [{"role": "user", "content": "Hi"}]
NAMES = {
    "writer": Model("writer:latest", "vllm"),
    "help": Model("writer:latest", "vllm", adapter="writer-support"),
}
# What vLLM 0.32 knows of what noibo may send it; a strict server refuses all else.
KNOWN = {"model", "messages", "stream", "stream_options", "max_tokens", "stop", "temperature"} | {
    "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty"
}  # fmt: skip


def chunk(reason: str | None = None, stopped_by: str | None = None, **delta: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {"id": "c", "choices": [choice | ({"stop_reason": stopped_by} if reason else {})]}


class VllmServer:
    """Says two words and is stopped by a text; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.asked.append(asked)
        if unknown := asked.keys() - KNOWN:
            return web.json_response({"error": {"message": f"unknown: {unknown}"}}, status=400)
        stop = asked.get("stop") or [None]
        words = [
            chunk(role="assistant", content=""),
            chunk(content="Xin"),
            chunk(content=" chào"),
            chunk("stop", stop[0], content=""),
        ]
        if (asked.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 37, "total_tokens": 39, "completion_tokens": 2}
            words.append({"id": "c", "choices": [], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in words:  # one by one, as it does
            said = msgspec.json.encode(word | {"model": asked["model"]})
            await response.write(b"data: " + said + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response


class Asking:
    """Asks one worker over one API or another."""

    def __init__(self, worker: OneWorker, model: Model, server: VllmServer | None = None) -> None:
        self.worker = worker.worker
        self.sent = server.asked if server else []
        self._worker, self._model = worker, model

    async def _resolve(self, name: str) -> Model:
        return NAMES.get(name, self._model)

    async def _get(self, relay: Callable[[Pipeline], Relay]) -> tuple[dict[str, str], bytes]:
        status, headers, said = await bare_engine.through(self._worker, relay, self._resolve)
        assert status == 200, said
        return headers, said

    async def chat(self, **fields: Any) -> tuple[dict[str, str], list[Any]]:
        """Headers and events of OpenAI's chat."""
        asked = {"model": "writer", "messages": HELLO, "stream": True} | fields
        request = Request.parse(PATH, json.dumps(asked).encode())
        headers, said = await self._get(lambda one: Relay(one, request, settings.Queue()))
        *events, last = [sse.data(event) for event in sse.events(said)]
        assert last == sse.DONE
        return headers, [json.loads(event) for event in events]

    async def message(self, *, stream: bool, **fields: Any) -> dict[str, Any]:
        """The message of Anthropic's API: of a stream, what its events come to."""
        asked = {"model": "m", "messages": HELLO, "max_tokens": 12, "stream": stream} | fields
        read = anthropic_request.read(body.read_fields(json.dumps(asked).encode()), self._model)
        request = Request(PATH, read.fields, "writer", stream, False, Caller(), None)
        voice, queue, teller = anthropic.Voice(), settings.Queue(), MessageTeller(read)
        _, said = await self._get(lambda one: Relay(one, request, queue, voice, teller))
        if not stream:
            whole: dict[str, Any] = json.loads(said)
            return whole
        events = [json.loads(data) for one in sse.events(said) if (data := sse.data(one))]
        (ending,) = [one for one in events if one["type"] == "message_delta"]
        deltas = [one["delta"].get("text", "") for one in events if "delta" in one]
        return {"content": [{"text": "".join(deltas)}], "usage": ending["usage"], **ending["delta"]}

    async def ollama(self, **fields: Any) -> dict[str, Any]:
        """The last line of Ollama's stream."""
        said = {"model": "writer", "messages": HELLO} | fields
        asked_fields = body.read_fields(json.dumps(said).encode())
        asked, turn = Asked.parse(asked_fields), Chat.parse(asked_fields)
        ready = turn.fields(asked, NAMES["writer"])
        request = Request(PATH, ready, asked.model, True, False, Caller(), None)
        teller, queue = OllamaTeller(asked, as_message, 0.0), settings.Queue()
        _, lines = await self._get(lambda one: Relay(one, request, queue, ollama.Voice(), teller))
        last: dict[str, Any] = json.loads(lines.splitlines()[-1])
        return last


@asynccontextmanager
async def vllm() -> AsyncIterator[Asking]:
    server, model = VllmServer(), NAMES["writer"]
    async with bare_engine.listening(server.answer) as url:
        dialect = Dialect(model.name, adapters=frozenset({"writer-support"}))
        worker = OneWorker(url, Vllm(lambda: None), model, dialect)
        yield Asking(worker, model, server)


@asynccontextmanager
async def hosted() -> AsyncIterator[Asking]:
    """Of `user: Hi`, a line break, it knows only how the alphabet begins."""
    writer = Bigram("user: Hi\nabcdefgh abcdefgh abcdefgh ")
    async with running(writer) as asker:
        model = Model("small", "transformers", format="safetensors")
        yield Asking(OneWorker(asker.url, Transformers(), model, key=KEY), model)


# ── Anthropic's API ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [True, False])
async def test_messages_are_answered_by_the_worker_shell(stream: bool) -> None:
    async with hosted() as asking:
        plain = await asking.message(stream=stream, temperature=0)
        stopped = await asking.message(stream=stream, temperature=0, stop_sequences=["zz", "def"])
    assert plain["content"][0]["text"] == "abcdefgh abc"
    assert (plain["stop_reason"], plain["usage"]["output_tokens"]) == ("max_tokens", 12)
    assert stopped["content"][0]["text"] == "abc"
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "def")


@pytest.mark.parametrize("stream", [True, False])
async def test_messages_are_answered_by_vllm(stream: bool) -> None:
    async with vllm() as asking:
        plain = await asking.message(stream=stream)
        stopped = await asking.message(stream=stream, stop_sequences=["END"])
    assert plain["content"][0]["text"] == "Xin chào"
    assert (plain["stop_reason"], plain["stop_sequence"]) == ("end_turn", None)
    assert (plain["usage"]["input_tokens"], plain["usage"]["output_tokens"]) == (37, 2)
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "END")


async def test_the_worker_shell_counts_a_message() -> None:
    asked = {"model": "m", "messages": HELLO, "stop_sequences": ["END"], "stream": True}
    fields = body.read_fields(json.dumps(asked).encode())
    read = anthropic_request.read(fields, Model("m", "transformers"), counts=True)
    said = {name: json.loads(bytes(value)) for name, value in read.fields.items()}
    async with running(Bigram()) as asker:
        status, found = await asker.post(f"{PATH}/input_tokens", **said)
    assert (status, found) == (200, {"input_tokens": len("user: Hi\n")})


# ── what vLLM's answers took ────────────────────────────────────────────────


async def test_the_tokens_of_a_stream_are_counted_and_its_caller_hears_what_it_asked_for() -> None:
    async with vllm() as asking:
        _, events = await asking.chat()
        worker = asking.worker
    assert [len(one["choices"]) for one in events] == [1, 1, 1, 1]  # none that only counts
    assert (worker.tokens_in, worker.tokens_out, worker.prompts) == (37, 2, 1)


async def test_who_asks_for_what_it_took_is_told() -> None:
    async with vllm() as asking:
        _, events = await asking.chat(stream_options={"include_usage": True})
    assert events[-1]["usage"]["completion_tokens"] == 2


async def test_ollamas_api_has_both_counts() -> None:
    async with vllm() as asking:
        last = await asking.ollama()
        (sent,) = asking.sent
    assert (last["done"], last["prompt_eval_count"], last["eval_count"]) == (True, 37, 2)
    assert sent["repetition_penalty"] == 1.1  # usual there


# ── adapters ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "name"), [("help", "writer-support"), ("writer", "writer:latest")]
)
async def test_vllm_is_asked_for_the_adapter_that_a_name_leads_to(asked: str, name: str) -> None:
    async with vllm() as asking:
        headers, events = await asking.chat(model=asked)
        await asking.ollama(model=asked)
        worker = asking.worker
        assert [one["model"] for one in asking.sent] == [name, name]
    assert events[0]["model"] == headers[MODEL_HEADER.lower()] == name
    assert worker.model.adapter == ""


async def test_a_name_that_is_an_adapters_may_be_an_alias_of_the_model() -> None:
    async with vllm() as asking:
        await asking.chat(model="writer-support")  # which is found to be the model itself
        assert asking.sent[0]["model"] == "writer:latest"


async def test_a_response_is_asked_of_what_was_named() -> None:
    said = {"model": "help", "input": "Hi", "store": False}

    async def stored() -> Any:
        raise AssertionError

    fields = body.read_fields(json.dumps(said).encode())
    prepared = await responses_request.prepare(fields, Caller(), stored, 2**20)
    chat = await prepared.chat(NAMES["help"], Caller(), fields, streamed=True)
    assert chat.request.model == "help"  # the model's own name would be the model's answer
    assert json.loads(bytes(chat.request.fields["model"])) == "writer-support"


async def test_a_claim_is_for_the_model_without_its_adapter() -> None:
    request = pipeline.Request.parse(PATH, json.dumps({"model": "help"}).encode())
    assert request.claim(NAMES["help"]).model.adapter == ""
    assert request.claim(NAMES["writer"]).model is NAMES["writer"]
