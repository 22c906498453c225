"""An answer's head and the first of its body go out in one write; a head alone does not wait."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import pytest

from noibo.connections.cork import Cork
from tests.running import RunningServer

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
pytestmark = pytest.mark.anyio


class Written:
    """What a transport was told."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.said.append(b"".join(parts))

    def close(self) -> None:
        self.said.append(b"closed")


@pytest.fixture
def out() -> Written:
    return Written()


@pytest.fixture
def cork(out: Any) -> Cork:
    return Cork(out)


async def test_a_whole_answer_is_one_write(cork: Cork, out: Written) -> None:
    cork.write(HEAD)
    cork.write(b"body")
    await asyncio.sleep(0)
    assert out.said == [HEAD + b"body"]


async def test_the_head_of_a_stream_goes_at_once_and_its_events_as_they_come(
    cork: Cork, out: Written
) -> None:
    cork.write(HEAD)
    await asyncio.sleep(0)
    assert out.said == [HEAD]
    cork.write(b"one")
    cork.write(b"two")
    assert out.said == [HEAD, b"one", b"two"]


async def test_closing_writes_what_was_kept_first(cork: Cork, out: Written) -> None:
    cork.write(HEAD)
    cork.close()
    await asyncio.sleep(0)
    assert out.said == [HEAD, b"closed"]


async def test_go_on_is_no_head(cork: Cork, out: Written) -> None:
    cork.write(GO_ON)
    assert out.said == [GO_ON]
    cork.write(HEAD)
    cork.write(b"body")
    assert out.said == [GO_ON, HEAD + b"body"]


async def test_a_part_that_looks_like_a_head_is_none(cork: Cork, out: Written) -> None:
    cork.write(HEAD)
    cork.write(b"one")
    cork.write(HEAD)
    assert out.said == [HEAD + b"one", HEAD]


def test_a_server_answers_whoever_asks_in_the_rarer_ways(server: RunningServer) -> None:
    server.load("echo")
    body = json.dumps({"model": "echo", "prompt": "a b", "max_tokens": 2}).encode()
    post = b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n"
    asked = post % len(body)
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), 20) as wire:
        wire.sendall(asked + b"Expect: 100-continue\r\n\r\n")
        assert wire.recv(65536) == GO_ON
        wire.sendall(body)
        head, _, said = wire.recv(65536).partition(b"\r\n\r\n")  # in one piece
        assert head.startswith(b"HTTP/1.1 200")
        assert json.loads(said)["choices"][0]["text"].split() == ["a", "b"]

        wire.sendall(b"HEAD /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert wire.recv(65536).endswith(b"\r\n\r\n")

        wire.sendall((asked + b"\r\n" + body) * 2)  # the second is sent ahead
        heard = b""
        while heard.count(b'"text":"a b"') < 2:
            heard += wire.recv(65536)
        assert heard.count(b"HTTP/1.1 200") == 2

        wire.sendall(b"HEAD /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + b"nonsense\r\n\r\n")
        heard = b""
        while piece := wire.recv(65536):
            heard += piece
        assert heard.startswith(b"HTTP/1.1 200")
