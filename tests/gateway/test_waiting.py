"""What a caller sees of the queue: the right status first, then its place, and signs of life."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from starlette.types import Message

from noibo import Client
from noibo.assembly import open_supervisor
from noibo.engines.engine import Model
from noibo.engines.upstream import new_session
from noibo.errors import RequestFailed
from noibo.gateway.pipeline import Pipeline, Request
from noibo.gateway.relay import Relay
from noibo.settings import Queue, load
from tests.running import RunningServer, until

SOON = {"NOIBO_ENGINE_PARALLEL": "1", "NOIBO_QUEUE_SAY_AFTER_S": "0.1"}
ENDLESS = {"prefill_ms": 600_000}


@pytest.fixture(scope="module")
def one_slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with one slot for echo; it says soon that one waits."""
    home = tmp_path_factory.mktemp("waiting") / "home"
    with RunningServer(home, **SOON, NOIBO_QUEUE_ALIVE_S="0.2") as server:
        server.load("echo")
        yield server


def ask(server: RunningServer, text: str = "one two", **fields: Any) -> httpx2.Response:
    body = {"model": "echo", "messages": [{"role": "user", "content": text}]} | fields
    return httpx2.post(server.url + "/v1/chat/completions", json=body, timeout=60)


@contextmanager
def taken(server: RunningServer) -> Iterator[threading.Event]:
    """The one slot is taken until the event is set, or to the end of the block."""
    free = threading.Event()

    def hold() -> None:
        body = {"model": "echo", "prompt": "a", "stream": True, "x_echo": ENDLESS}
        with httpx2.stream("POST", server.url + "/v1/completions", json=body, timeout=60):
            free.wait(60)

    with ThreadPoolExecutor(1) as pool, server.client() as client:
        holding = pool.submit(hold)
        until(lambda: len(client.queue().answering) == 1, "the slot is taken")
        try:
            yield free
        finally:
            free.set()
            holding.result()
            until(lambda: not client.queue().answering, "the slot is free")


@contextmanager
def asked(server: RunningServer, text: str = "one two", **fields: Any) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(ask, server, text, **fields)


def waiting(client: Client) -> int:
    return len(client.queue().waiting)


def comments(text: str) -> list[str]:
    return [line[2:] for line in text.splitlines() if line.startswith(": ")]


# ── while it waits ──────────────────────────────────────────────────────────


def test_a_streamed_request_that_waits_is_told_its_place(one_slot: RunningServer) -> None:
    slow = {"stream": True, "x_echo": {"delay_ms": 400}}
    with (
        taken(one_slot) as free,
        one_slot.client() as client,
        asked(one_slot, **slow) as first,
        asked(one_slot, **slow) as second,
    ):
        until(lambda: waiting(client) == 2, "both wait")
        rows = client.queue().waiting
        until(lambda: min(r.waited_s for r in client.queue().waiting) > 0.5, "they are told")
        free.set()
        answers = sorted(
            (first.result(), second.result()), key=lambda a: a.headers["X-Noibo-Queue"]
        )
    assert [row.place for row in rows] == [1, 2]
    near, far = (answer.headers["X-Noibo-Queue"] for answer in answers)
    assert re.fullmatch(r"place=1; (expected=[0-9.]+; )?why=queue", near)
    assert re.fullmatch(r"place=2; (expected=[0-9.]+; )?why=queue", far)
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["X-Noibo-Model"] == "echo"
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.text.endswith("data: [DONE]\n\n")
    places = [said.split(", ")[1] for said in comments(answers[1].text) if "place" in said]
    assert places == ["place 2", "place 1"]
    assert "waiting, place 1" in comments(answers[0].text)[0]


def test_an_unstreamed_request_waits_for_its_status_and_says_how_long(
    one_slot: RunningServer,
) -> None:
    with taken(one_slot) as free, one_slot.client() as client, asked(one_slot) as answer:
        until(lambda: any(r.waited_s > 0.3 for r in client.queue().waiting), "it waits")
        assert not answer.done()
        free.set()
    said = answer.result().headers["X-Noibo-Queue"]
    assert float(said.removeprefix("waited=")) >= 0.3
    assert answer.result().json()["choices"][0]["message"]["content"] == "one two"


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_that_need_not_wait_says_nothing_of_it(
    one_slot: RunningServer, stream: bool
) -> None:
    answer = ask(one_slot, stream=stream)
    assert "X-Noibo-Queue" not in answer.headers
    assert comments(answer.text) == []


def test_hanging_up_while_it_waits_leaves_the_queue(one_slot: RunningServer) -> None:
    body = {"model": "echo", "prompt": "a", "stream": True}
    url = one_slot.url + "/v1/completions"
    with taken(one_slot), one_slot.client() as client:
        with httpx2.stream("POST", url, json=body, timeout=30) as answer:
            assert answer.headers["X-Noibo-Queue"].startswith("place=1")
            assert waiting(client) == 1
        until(lambda: waiting(client) == 0, "nobody waits")


def test_the_official_client_reads_a_stream_with_comments(one_slot: RunningServer) -> None:
    def read() -> tuple[str, str]:
        with openai.OpenAI(base_url=one_slot.url + "/v1", api_key="k", max_retries=0) as sdk:
            answer = sdk.chat.completions.with_raw_response.create(
                model="echo",
                messages=[{"role": "user", "content": "xin chào"}],
                stream=True,
                extra_body={"x_echo": {"delay_ms": 500}},
            )
            events = list(answer.parse())
            text = "".join(event.choices[0].delta.content or "" for event in events)
            return text, answer.headers["X-Noibo-Queue"]

    with taken(one_slot) as free, one_slot.client() as client, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        until(lambda: any(r.waited_s > 0.5 for r in client.queue().waiting), "it waits")
        free.set()
        text, said = reading.result()
    assert text == "xin chào"
    assert said.startswith("place=1")


def test_our_client_hands_on_what_it_is_told(one_slot: RunningServer) -> None:
    told: list[str] = []
    with taken(one_slot) as free, one_slot.client() as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: list(client.stream("a b", "echo", told=told.append)))
        until(lambda: bool(told), "it was told")
        free.set()
        assert answer.result() == ["a", " b"]
    assert told[0].startswith("waiting, place 1")


# ── while it is silent ──────────────────────────────────────────────────────


def test_a_silent_answer_gives_signs_of_life(one_slot: RunningServer) -> None:
    answer = ask(one_slot, stream=True, x_echo={"prefill_ms": 700})
    assert set(comments(answer.text)) == {"alive"}
    assert answer.text.endswith("data: [DONE]\n\n")


def test_the_official_client_reads_an_answer_with_signs_of_life(one_slot: RunningServer) -> None:
    with openai.OpenAI(base_url=one_slot.url + "/v1", api_key="k", max_retries=0) as sdk:
        events = sdk.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": "a b"}],
            stream=True,
            extra_body={"x_echo": {"delay_ms": 500, "prefill_ms": 500}},
        )
        assert "".join(e.choices[0].delta.content or "" for e in events) == "a b"


@pytest.mark.heavy
def test_a_long_prompt_is_read_with_signs_of_how_far(home: Path, model_store: Path) -> None:
    store = {"NOIBO_STORE_PATH": str(model_store), "NOIBO_QUEUE_ALIVE_S": "0.3"}
    with RunningServer(home, **store) as server:
        server.load("smollm2:135m")
        long = "The grass is green. " * 150
        fields = {"model": "smollm2:135m", "stream": True, "max_tokens": 4}
        answer = ask(server, long, **fields)
        found = [
            re.fullmatch(r"reading the prompt, (\d+) of (\d+) tokens", said)
            for said in comments(answer.text)
        ]
        steps = [(int(one[1]), int(one[2])) for one in found if one]
        assert len(steps) >= 2
        assert steps == sorted(steps)
        assert all(0 <= done <= total for done, total in steps)
        assert "prompt_progress" not in answer.text
        with server.client() as client:
            (row,) = client.workers()
            assert row.tokens_in >= steps[0][1]
            reused = row.tokens_reused
            ask(server, long, **fields)
            (row,) = client.workers()
            assert row.tokens_reused - reused >= steps[0][1] - 1


# ── errors ──────────────────────────────────────────────────────────────────


def test_a_full_queue_is_a_429_that_says_when_to_come_again(home: Path) -> None:
    with RunningServer(home, **SOON, NOIBO_QUEUE_LONGEST="1") as server:
        server.load("echo")
        with taken(server) as free, server.client() as client, asked(server) as waiter:
            until(lambda: waiting(client) == 1, "the queue is full")
            for stream in (True, False):
                refused = ask(server, stream=stream)
                assert refused.status_code == 429
                assert int(refused.headers["Retry-After"]) >= 1
                assert refused.json()["error"]["code"] == "queue_full"
            with (
                openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as sdk,
                pytest.raises(openai.RateLimitError) as caught,
            ):
                sdk.completions.create(model="echo", prompt="a")
            assert caught.value.code == "queue_full"
            with pytest.raises(RequestFailed) as told:
                client.chat("a", "echo")
            assert told.value.http_status == 429
            assert told.value.retry_after_s is not None
            assert told.value.retry_after_s >= 1
            headers = {"X-Noibo-Client": "1"}
            url = server.url + "/noibo/v1/workers/echo/load"
            loaded = httpx2.post(url, json={}, headers=headers, timeout=30)
            assert loaded.status_code == 200  # which needs no slot
            free.set()
            assert waiter.result().status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("say_after_s", "stream", "status"), [(2.0, True, 503), (2.0, False, 503), (0.01, True, 200)]
)
async def test_a_load_that_fails_is_a_status_as_long_as_nothing_was_said(
    say_after_s: float, stream: bool, status: int
) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def resolve(name: str) -> Model:
        return Model(name, "echo", options={"start_fails": "no such tensor"})

    supervisor = open_supervisor(load())
    async with new_session() as session:
        body = json.dumps({"model": "m", "prompt": "a", "stream": stream}).encode()
        relay = Relay(
            Pipeline(resolve, supervisor, session),
            Request.parse("/v1/completions", body),
            Queue(say_after_s=say_after_s),
        )
        await relay({"type": "http"}, asyncio.Event().wait, send)  # type: ignore[arg-type]
    await supervisor.close()
    said = b"".join(message.get("body", b"") for message in sent[1:])
    assert sent[0]["status"] == status
    assert b"no such tensor" in said
    assert said.startswith(b": loading the model, place 1") is (status == 200)


def test_an_error_after_the_wait_was_told_is_an_event(one_slot: RunningServer) -> None:
    with (
        taken(one_slot) as free,
        one_slot.client() as client,
        asked(one_slot, stream=True, x_echo={"status": 418}) as answer,
    ):
        until(lambda: any(r.waited_s > 0.5 for r in client.queue().waiting), "it waits")
        free.set()
    said = answer.result()
    assert said.status_code == 200
    *_, last = said.text.strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "scripted failure"
    assert "[DONE]" not in said.text


@pytest.mark.heavy
def test_stopping_a_model_tells_who_waits_for_it(home: Path) -> None:
    with RunningServer(home, **SOON) as server, server.client() as client:
        server.load("echo")
        with taken(server), asked(server, stream=True) as answer:
            until(lambda: any(r.waited_s > 0.5 for r in client.queue().waiting), "it waits")
            client.stop_worker("echo")
            *_, last = answer.result().text.strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"]


# ── what is counted, loaded and pinned ──────────────────────────────────────


def test_tokens_are_counted_streamed_and_not(one_slot: RunningServer) -> None:
    with one_slot.client() as client:
        for stream in (True, False):
            (before,) = client.workers()
            ask(one_slot, "one two three", stream=stream, max_tokens=2)
            (after,) = client.workers()
            assert after.tokens_in - before.tokens_in == 3
            assert after.tokens_out - before.tokens_out == 2


def test_tokens_are_counted_while_they_are_written(one_slot: RunningServer) -> None:
    with one_slot.client() as client:
        (before,) = client.workers()
        stream = client.stream("a b c", "echo", x_echo={"delay_ms": 300})
        next(stream)
        until(lambda: client.workers()[0].tokens_out > before.tokens_out, "a token is counted")
        assert list(stream)
        assert client.workers()[0].tokens_out == before.tokens_out + 3


@pytest.mark.heavy
def test_keep_alive_does_not_reach_the_engine_and_is_kept(server: RunningServer) -> None:
    with server.client() as client:
        client.chat("a", "echo", keep_alive="1h")
        (row,) = client.workers()
        assert row.keep_until is not None
        assert row.keep_until > row.used_at + 3000
        client.chat("a", "echo", keep_alive=-1)
        assert client.workers()[0].keep_until is None
        client.chat("a", "echo", keep_alive=0)
        until(lambda: client.workers() == [], "it is unloaded")


def test_a_model_is_loaded_and_pinned_before_it_is_asked_for(server: RunningServer) -> None:
    with server.client() as client:
        row = client.load("echo", keep_alive="90s", pinned=True)
        assert (row.model, row.state, row.pinned, row.requests) == ("echo", "ready", True, 0)
        assert client.pin("echo", False).pinned is False
        client.stop_worker("echo")
        with pytest.raises(RequestFailed, match="not running"):
            client.pin("echo")
        with pytest.raises(RequestFailed, match="keep_alive"):
            client.load("echo", keep_alive="soon")


def test_loading_and_pinning_need_the_header_no_web_page_can_send(server: RunningServer) -> None:
    for what, body in (("load", {}), ("pin", {"pinned": True})):
        url = f"{server.url}/noibo/v1/workers/echo/{what}"
        assert httpx2.post(url, json=body).status_code == 403
