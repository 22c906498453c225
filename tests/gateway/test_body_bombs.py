"""Bodies that grow when they are unpacked, read or kept; many at once; many of something."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import psutil
import pytest

from tests.chaos.raw import connect, error, head, post, say, statuses
from tests.running import RunningServer, until

pytestmark = pytest.mark.heavy  # a server of its own for each kind of test

COMPLETIONS = "/v1/completions"
ROUTES = (COMPLETIONS, "/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/responses")


def ask(url: str, body: bytes, **headers: str) -> httpx2.Response:
    return httpx2.post(url, content=body, headers=headers, timeout=60)


@pytest.mark.parametrize("route", ROUTES)
def test_a_packed_body_is_refused_and_never_unpacked(
    real_server: RunningServer, route: str
) -> None:
    bomb = gzip.compress(b" " * 2**26)
    for packed, coding in ((bomb, "gzip"), (zlib.compress(b"{}"), "deflate"), (b"{}", "zstd")):
        answer = ask(real_server.url + route, packed, **{"content-encoding": coding})
        assert answer.status_code == 415, answer.text
        assert coding in answer.text


def test_a_gzipped_body_that_does_not_say_so_is_no_json(real_server: RunningServer) -> None:
    assert ask(real_server.url + COMPLETIONS, gzip.compress(b"{}")).status_code == 400


def test_a_body_that_says_that_it_is_not_packed_is_read(real_server: RunningServer) -> None:
    body = json.dumps({"model": "echo", "prompt": "a"}).encode()
    answer = ask(real_server.url + COMPLETIONS, body, **{"content-encoding": "identity"})
    assert answer.status_code == 200


@pytest.mark.parametrize("field", ["temperature", "max_tokens", "seed", "n", "top_p", "stream"])
@pytest.mark.parametrize("number", ["1e999999", "-1e999999", "9" * 1_000_000, "0." + "9" * 10**6])
def test_no_number_is_too_long_to_be_refused(
    real_server: RunningServer, field: str, number: str
) -> None:
    body = f'{{"model": "echo", "prompt": "a", "{field}": {number}}}'.encode()
    answer = ask(real_server.url + COMPLETIONS, body)
    assert answer.status_code in {200, 400}, answer.text[:300]
    if "e" in number:  # no float has it
        assert answer.status_code == 400
        assert len(answer.text) < 2_000


MANY: dict[str, dict[str, Any]] = {
    "messages": {"messages": [{"role": "user", "content": "a"}] * 20_000},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 20_000}]},
    "stop": {"stop": ["a"] * 20_000},
    "tools": {
        "tools": [{"type": "function", "function": {"name": f"f{n}"}} for n in range(30_000)]
    },
    "logit_bias": {"logit_bias": {str(n): 1 for n in range(100_000)}},
    "metadata": {"metadata": {str(n): "a" for n in range(100_000)}},
    "unknown fields": {f"x{n}": n for n in range(100_000)},
}


@pytest.mark.parametrize("many", MANY.values(), ids=MANY)
def test_many_of_anything_is_answered_or_refused(real_server: RunningServer, many: Any) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1} | many
    answer = ask(real_server.url + "/v1/chat/completions", json.dumps(body).encode())
    assert answer.status_code in {200, 400}, answer.text[:300]


@pytest.mark.heavy
def test_large_bodies_at_the_same_time_are_bounded_together(home: Path) -> None:
    with RunningServer(home, NOIBO_SERVER_MAX_BODY_BYTES=str(2**20)) as server:
        part = b'{"model": "echo", "prompt": "' + b"a" * 900_000
        with contextlib.ExitStack() as opened:
            for _ in range(4):
                one = opened.enter_context(connect(server.url))
                one.sendall(post(COMPLETIONS, part, length=1_000_000))
            refused: list[bytes] = []

            def is_refused() -> bool:
                heard = say(server.url, post(COMPLETIONS, part + b'"}', "Connection: close"))
                refused.append(heard)
                return statuses(heard) == [429]

            until(is_refused, "there is no room for a fifth")
            assert error(refused[-1])["code"] == "queue_full"
            assert b"retry-after: " in refused[-1].lower()
            small = json.dumps({"model": "echo", "prompt": "a"}).encode()
            assert ask(server.url + COMPLETIONS, small).status_code == 200  # small ones pass
        whole = part + b'"}'
        until(lambda: ask(server.url + COMPLETIONS, whole).status_code == 200, "there is room")


def kept(server: RunningServer) -> set[Path]:
    return {one for one in (server.home / "files").rglob("*") if one.is_file()}


FORM = "Content-Type: multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"x" * 2**20] * 3, id="nothing but what stands before the first part"),
        pytest.param([b"--b\r\nA: ", *[b"x" * 2**20] * 3], id="a part's header without end"),
        pytest.param([b"--b\r\n", *[b"A: b\r\n" * 2**16] * 8], id="a part's headers without end"),
        pytest.param([b"--b\r\nA: b\r\n\r\n\r\n" * 2**16] * 3, id="parts without end"),
        pytest.param(
            [b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n']
            + [b"x" * 2**20] * 3,
            id="a file without end",
        ),
    ],
)
def test_forms_without_end_are_a_400_and_leave_nothing(
    real_server: RunningServer, pieces: list[bytes]
) -> None:
    length = sum(map(len, pieces))
    start = head("POST", "/v1/files", FORM, f"Content-Length: {length}", "Connection: close")
    before = kept(real_server)
    heard = say(real_server.url, start, *pieces)
    assert statuses(heard) == [400], heard
    assert kept(real_server) == before


@pytest.mark.heavy
@pytest.mark.anyio
async def test_ten_thousand_small_uploads_are_taken_or_told_when(server: RunningServer) -> None:
    process = psutil.Process(server.pid)
    found: list[tuple[int, bool]] = []
    gate = asyncio.Semaphore(500)

    async def upload(session: aiohttp.ClientSession, number: int) -> None:
        form = aiohttp.FormData({"purpose": "user_data"})
        form.add_field("file", f"file {number}".encode(), filename="x")
        async with gate, session.post(server.url + "/v1/files", data=form) as response:
            await response.read()
            found.append((response.status, "Retry-After" in response.headers))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(upload(session, number) for number in range(10_000)))
    assert {status for status, _ in found} <= {200, 429, 503}, found
    assert all(told for status, told in found if status != 200)
    assert sum(status == 200 for status, _ in found) > 1_000
    assert process.memory_info().rss < 400 * 2**20
    until(lambda: process.num_fds() < 100, "its descriptors are free")
