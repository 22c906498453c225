"""Connections that say too much, too little, nothing, or what can be read in two ways."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from noibo.connections.sockets import IDLE_S, prepare
from tests.chaos.echoes import echoes
from tests.chaos.raw import completion, connect, error, head, hear, post, say, statuses
from tests.running import RunningServer, until

STALL_S = 2.0
CLOSE = "Connection: close"
COMPLETIONS = "/v1/completions"
SLOW = {"x_echo": {"delay_ms": 200}}
CAN_UNSHARE = (
    shutil.which("unshare") is not None
    and shutil.which("ip") is not None
    and subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0
)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that loses patience soon."""
    home = tmp_path_factory.mktemp("short") / "home"
    with RunningServer(home, NOIBO_SERVER_STALL_S=str(STALL_S)) as server:
        server.load("echo")
        yield server


def answers(server: RunningServer) -> bool:
    """It serves, and no slot is taken by those who were here before."""
    with server.client() as client:
        return client.chat("still there", "echo").text == "still there"


def slots_taken(server: RunningServer) -> int:
    with server.client() as client:
        return sum(row.requests for row in client.workers())


def chunked(*chunks: bytes) -> bytes:
    """A completion whose body comes in these chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head("POST", COMPLETIONS, "Transfer-Encoding: chunked", CLOSE) + body


@pytest.mark.parametrize(
    ("pieces", "status", "code"),
    [
        pytest.param(
            [b"GET / HTTP/1.1\r\nHost: a\r\nA: ", *[b"x" * 100_000] * 100],
            431,
            "headers_too_large",
            id="a header without end",
        ),
        pytest.param(
            [b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 70_000 + b"\r\n\r\n"],
            431,
            "headers_too_large",
            id="a header of 70 kB",
        ),
        pytest.param(
            [b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"a: b\r\n"] * 200, b"\r\n"],
            431,
            "headers_too_large",
            id="200 headers",
        ),
        pytest.param(
            [b"\r\n" * 50_000] * 10, 431, "headers_too_large", id="empty lines without end"
        ),
        pytest.param(
            [b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"],
            414,
            "address_too_long",
            id="an address of 20 kB",
        ),
        pytest.param(
            [b"GET /", *[b"x" * 100_000] * 100],
            414,
            "address_too_long",
            id="an address without end",
        ),
        pytest.param(
            [head("POST", COMPLETIONS, "Transfer-Encoding: chunked"), *[b"1\r\n \r\n" * 9_999] * 9],
            400,
            "invalid_request",
            id="chunks of one byte without end",
        ),
        pytest.param(
            [
                head("POST", COMPLETIONS, "Transfer-Encoding: chunked"),
                b"1;a=",
                *[b"x" * 99_999] * 9,
            ],
            400,
            "invalid_request",
            id="a chunk's extension without end",
        ),
        pytest.param(
            [chunked(b"{"), b"0\r\nA: ", *[b"x" * 99_999] * 9],
            400,
            "invalid_request",
            id="a trailer without end",
        ),
    ],
)
def test_bombs_are_refused_before_they_are_large(
    short: RunningServer, pieces: list[bytes], status: int, code: str
) -> None:
    heard = say(short.url, *pieces)
    assert statuses(heard) == [status], heard
    assert error(heard)["code"] == code


AMBIGUOUS = {
    "a length and chunks": head(
        "POST", COMPLETIONS, "Content-Length: 4", "Transfer-Encoding: chunked"
    )
    + b"0\r\n\r\n",
    "chunks and a length": head(
        "POST", COMPLETIONS, "Transfer-Encoding: chunked", "Content-Length: 4"
    )
    + b"0\r\n\r\n",
    "two lengths": post(COMPLETIONS, b"abcd", "Content-Length: 3"),
    "a list of lengths": head("POST", COMPLETIONS, "Content-Length: 4, 4") + b"abcd",
    "a length with a sign": head("POST", COMPLETIONS, "Content-Length: +4") + b"abcd",
    "another coding": head("DELETE", "/v1/files/x", "Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "two codings": head("POST", COMPLETIONS, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "a space before the colon": head("POST", COMPLETIONS, "Content-Length : 4") + b"abcd",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a size that overflows": head("POST", COMPLETIONS, "Transfer-Encoding: chunked")
    + b"fffffffffffffffff\r\n",
    "a size below zero": head("POST", COMPLETIONS, "Transfer-Encoding: chunked") + b"-1\r\n",
    "a folded header": head("GET", "/health", "A: b\r\n c"),
    "lines that end in LF": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "two hosts": head("GET", "/health", "Host: elsewhere"),
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /health HTTP/0.9\r\n\r\n",
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030102000100 01fc0303") + b"\x00" * 64,
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
    "NUL in the address": b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a header": head("GET", "/health", "A: b\x00c"),
    "an address that is not ASCII": "GET /đ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    "a tunnel": b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n",
}


@pytest.mark.parametrize("said", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_two_servers_could_read_in_two_ways_is_a_400(
    short: RunningServer, said: bytes
) -> None:
    heard = say(short.url, said, head("GET", "/health"))
    assert statuses(heard) == [400], heard  # and what comes after it is no request
    assert error(heard)["type"] == "invalid_request_error"


def test_an_offer_of_another_protocol_is_passed_over(short: RunningServer) -> None:
    """Java's client offers HTTP/2 with each first request: its body was lost, and its answer."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
    socket_offer = ("Connection: Upgrade", "Upgrade: websocket")
    heard = say(
        short.url,
        post(COMPLETIONS, completion(), *offer) + head("GET", "/health", *socket_offer),
        post(COMPLETIONS, completion(), CLOSE),
    )
    assert statuses(heard) == [200, 200, 200]
    assert heard.count(b'"text":"a b c"') == 2


def test_a_body_in_chunks_of_a_byte_is_read(short: RunningServer) -> None:
    said = chunked(*(bytes([one]) for one in completion())) + b"0\r\nX-Noibo-Priority: x\r\n\r\n"
    assert b'"text":"a b c"' in say(short.url, said)


def test_who_waits_to_be_told_to_go_on_is_told(short: RunningServer) -> None:
    heard = say(short.url, post(COMPLETIONS, completion(), "Expect: 100-continue", CLOSE))
    assert statuses(heard) == [100, 200]
    heard = say(short.url, head("POST", "/v1/nowhere", "Expect: 100-continue", CLOSE))
    assert 100 not in statuses(heard)


def test_a_flood_of_requests_sent_ahead_is_answered_up_to_a_bound(short: RunningServer) -> None:
    heard = say(short.url, head("GET", "/health") * 5_000)
    assert set(statuses(heard)) == {200}
    assert 2 <= len(statuses(heard)) <= 40
    heard = say(short.url, post(COMPLETIONS, completion(**SLOW)) + head("GET", "/health") * 5_000)
    assert len(statuses(heard)) == 17
    assert b'"text":"a b c"' in heard


def test_nonsense_sent_ahead_does_not_touch_the_answer_before_it(short: RunningServer) -> None:
    said = post(COMPLETIONS, completion(stream=True, **SLOW))
    heard = say(short.url, said + b"\x00nonsense\r\n\r\n")
    assert statuses(heard) == [200]
    assert heard.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_who_leaves_with_requests_sent_ahead_frees_its_slot(short: RunningServer) -> None:
    slow = completion(prompt="word " * 500, stream=True, **SLOW)
    with connect(short.url) as one:
        one.sendall(post(COMPLETIONS, slow) * 3)
        assert one.recv(100)
        assert slots_taken(short) == 1
    until(lambda: slots_taken(short) == 0, "its slot is free", patience=20)


def test_half_open_connections_are_closed_and_nothing_else_is(short: RunningServer) -> None:
    form = "Content-Type: multipart/form-data; boundary=x"
    half = {
        "nothing": b"",
        "half a line": b"GET /hea",
        "half of the headers": head("GET", "/health")[:-2],
        "half a body": post(COMPLETIONS, b'{"mod', length=100),
        "half a chunk": chunked(b"{") + b"ffff\r\n{",
        "half an upload": post("/v1/files", b"--x\r\n", form, length=10_000),
        "half a body for nobody": post("/health", b"{", length=100),
        "a second request's half": head("GET", "/health") + b"GET /hea",
    }
    with contextlib.ExitStack() as opened:
        busy = opened.enter_context(connect(short.url))
        busy.sendall(post(COMPLETIONS, completion(prompt="word " * 25, **SLOW), CLOSE))
        all_of_them = {name: opened.enter_context(connect(short.url)) for name in half}
        for name, one in all_of_them.items():
            one.sendall(half[name])
        heard = {name: hear(one) for name, one in all_of_them.items()}
        slow_but_sound = hear(busy)
    found = {name: statuses(said) for name, said in heard.items()}
    assert found == {
        "nothing": [],
        "half a line": [408],
        "half of the headers": [408],
        "half a body": [408],
        "half a chunk": [408],
        "half an upload": [408],
        "half a body for nobody": [405],
        "a second request's half": [200, 408],
    }
    assert error(heard["half an upload"])["code"] == "too_slow"
    assert statuses(slow_but_sound) == [200]  # it took 5 s, and owed nothing meanwhile


def test_headers_that_come_byte_by_byte_take_only_so_long(short: RunningServer) -> None:
    letters = [bytes([one]) for one in head("GET", "/health", "A: " + "x" * 100)]
    with connect(short.url) as slow:
        heard = b""
        with contextlib.suppress(ConnectionError):
            slow.settimeout(0.1)
            for letter in letters:
                slow.sendall(letter)
                with contextlib.suppress(TimeoutError):
                    heard += slow.recv(2**16)
                if heard:
                    break
        assert statuses(heard) == [408]


@pytest.mark.heavy
def test_who_does_not_read_is_dropped_and_frees_its_slot(short: RunningServer) -> None:
    prompt = json.dumps("word " * 40)
    flood = completion(prompt=prompt * 1_500, stream=True)
    with connect(short.url, receive_bytes=4096) as deaf, connect(short.url) as sound:
        deaf.sendall(post(COMPLETIONS, flood))
        sound.sendall(post(COMPLETIONS, flood, CLOSE))
        assert deaf.recv(100).startswith(b"HTTP/1.1 200")
        assert hear(sound).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        until(lambda: slots_taken(short) == 0, "the slot is free", patience=20)
        assert b"[DONE]" not in hear(deaf)
    (said,) = [x for x in short.log.read_text().splitlines() if "does not read its answer" in x]
    assert COMPLETIONS not in said  # a path is its caller's, and may have line breaks in it
    assert answers(short)


def test_who_reads_slowly_gets_all_of_its_answer(short: RunningServer) -> None:
    text = "word " * 20_000
    with connect(short.url, receive_bytes=4096) as slow:
        slow.sendall(post(COMPLETIONS, completion(prompt=text), CLOSE))
        heard = bytearray()
        while piece := slow.recv(512):
            heard += piece
    assert json.loads(bytes(heard).partition(b"\r\n\r\n")[2])["choices"][0]["text"] == text


def test_bombs_leave_no_memory_and_no_descriptor_behind(short: RunningServer) -> None:
    process = psutil.Process(short.pid)
    with connect(short.url) as one:
        say(short.url, b"GET /health HTTP/1.1\r\nHost: a\r\nA: ", *[b"x" * 2**20] * 8)
    until(lambda: answers(short), "it answers")
    files, memory = process.num_fds(), process.memory_info().rss
    crowd = [connect(short.url) for _ in range(100)]
    for one in crowd:
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                one.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 2**18)
    for one in crowd:
        hear(one)
        one.close()
    until(lambda: process.num_fds() <= files + 2, "its descriptors are free")
    assert process.memory_info().rss - memory < 40 * 2**20  # 500 MB were sent


@pytest.mark.heavy
def test_one_connection_too_many_is_told_so_and_idle_ones_give_way(home: Path) -> None:
    with RunningServer(home, NOIBO_SERVER_CONNECTIONS="8") as server:
        server.load("echo")
        slow = post(COMPLETIONS, completion(prompt="word " * 300, stream=True, **SLOW))
        with contextlib.ExitStack() as opened:
            idle = [opened.enter_context(connect(server.url)) for _ in range(8)]
            busy = [opened.enter_context(connect(server.url)) for _ in range(8)]
            for one in busy:
                one.sendall(slow)
            assert not any(hear(one) for one in idle)  # closed without a word
            late = say(server.url)
            assert statuses(late) == [503]
            assert error(late)["code"] == "too_many_connections"
            assert b"retry-after: " in late.lower()
        until(lambda: statuses(say(server.url, head("GET", "/health", CLOSE))) == [200], "places")


def test_connections_are_told_to_notice_that_nobody_is_there() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        prepare(listener, stall_s=60)
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            one, _ = listener.accept()
            with one:
                assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == IDLE_S
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    waits = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                    assert waits == 70_000


def test_a_reset_in_the_middle_of_a_body_is_no_error(short: RunningServer) -> None:
    said_before = short.log.read_text()
    for _ in range(20):
        one = connect(short.url)
        one.sendall(post(COMPLETIONS, b'{"model": "echo"', length=1000))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
    assert answers(short)
    assert "Traceback" not in short.log.read_text().removeprefix(said_before)


@pytest.mark.heavy
@pytest.mark.skipif(not CAN_UNSHARE, reason="no network of its own can be made here")
def test_callers_that_vanish_without_a_word_are_noticed() -> None:
    command = ["unshare", "-n", sys.executable, "-m", "tests.chaos.vanishing"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    noticed = json.loads(done.stdout.splitlines()[-1])
    assert set(noticed) == {"streams", "waits", "idle"}


@pytest.mark.heavy
def test_more_silent_connections_than_descriptors_shut_out_nobody(home: Path) -> None:
    with echoes(home, {"a": {}}, wrapper=("prlimit", "--nofile=64")) as server:
        server.load("a")
        process = psutil.Process(server.pid)
        with contextlib.ExitStack() as opened:
            for _ in range(200):
                opened.enter_context(connect(server.url))
            before = process.cpu_times().user
            time.sleep(3)
            assert process.cpu_times().user - before < 1  # it does not turn in a circle
            assert process.num_fds() < 64
            for _ in range(10):
                assert statuses(say(server.url, head("GET", "/health", CLOSE))) == [200]
