"""A caller that hangs up frees its slot: streamed or not, while decoding and in prefill.

That it is freed, by the engine's own word, is tested here; how fast is a benchmark's business.
"""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from tests.running import RunningServer, until

MODEL = "smollm2:135m"
LONG = "The sky is blue and the grass is green. " * 150
# Far longer than any test waits: a slot that is not freed is seen.
ENDLESS = {"max_tokens": 1900, "temperature": 0, "ignore_eos": True}
SOME = {"max_tokens": 200, "temperature": 0, "ignore_eos": True}  # after a long prompt


def busy(server: RunningServer) -> int:
    with server.client() as client:
        return sum((row.slots_busy or 0) + row.requests for row in client.workers())


def post(server: RunningServer, body: dict[str, object]) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname is not None
    connection = socket.create_connection((address.hostname, address.port or 80))
    payload = json.dumps({"model": MODEL} | body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: [::1]\r\nContent-Length: {len(payload)}\r\n\r\n"
    connection.sendall(head.encode() + payload)
    return connection


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_hanging_up_while_decoding_frees_the_slot(real_server: RunningServer, stream: bool) -> None:
    with post(real_server, {"prompt": "Once", "stream": stream, **ENDLESS}):
        until(lambda: busy(real_server) == 2, "the request is being answered")
        time.sleep(0.5)
    until(lambda: busy(real_server) == 0, "the slot is free", patience=15)


def seconds_per_batch(server: RunningServer) -> float:
    """How long this machine, busy as it is now, takes to read a batch of prompt tokens."""
    body = {"prompt": f"{time.time()} {LONG}", "stream": True, "return_progress": True, **SOME}
    reports: list[float] = []
    with post(server, body) as connection:
        for line in connection.makefile("rb"):
            if b'"prompt_progress"' in line:
                reports.append(time.monotonic())
            if len(reports) == 3:
                break
    until(lambda: busy(server) == 0, "the slot is free")
    return (reports[2] - reports[0]) / 2


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_hanging_up_during_prefill_frees_the_slot(real_server: RunningServer, stream: bool) -> None:
    batch = seconds_per_batch(real_server)
    prompt = f"{time.time()} {LONG}"  # nothing of it is in the prompt cache: some 24 batches
    with post(real_server, {"prompt": prompt, "stream": stream, **SOME}):
        until(lambda: busy(real_server) >= 1, "the request is being read")
        time.sleep(batch)
    until(lambda: busy(real_server) == 0, "the slot is free", patience=2 + 8 * batch)


def test_hanging_up_during_a_start_leaves_the_start_to_others(server: RunningServer) -> None:
    with post(server, {"model": "echo", "prompt": "a", "x_echo": {"prefill_ms": 60_000}}):
        until(lambda: busy(server) >= 1, "the worker is up")
    until(lambda: busy(server) == 0, "nobody waits")
    with server.client() as client:
        assert client.chat("still here", "echo").text == "still here"


def test_a_caller_that_reads_slowly_holds_up_nobody(server: RunningServer) -> None:
    words = "word " * 20_000
    with post(server, {"model": "echo", "prompt": words, "stream": True}) as slow:
        slow.recv(100)
        with server.client() as client:
            for _ in range(5):
                assert client.chat("hello", "echo").text == "hello"
