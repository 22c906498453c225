"""The server's life: readiness, graceful stop, sudden death."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from pathlib import Path

import httpx2
import psutil
import pytest

from noibo.errors import RequestFailed, ServerUnreachable
from tests.running import RunningServer, run_noibo, until

SLOW = {"x_echo": {"delay_ms": 100}}


def speak(server: RunningServer, words: int) -> tuple[threading.Thread, list[object]]:
    """Start an answer of so many slow words in a thread; its words, or its error, at the end."""
    said: list[object] = []

    def listen() -> None:
        try:
            with server.client() as client:
                said.extend(client.stream(" ".join(map(str, range(words))), "echo", **SLOW))
        except (RequestFailed, ServerUnreachable) as exc:
            said.append(exc)

    server.load("echo")
    thread = threading.Thread(target=listen)
    thread.start()
    with server.client() as client:
        until(lambda: client.workers()[0].requests == 1, "the answer has begun")
    return thread, said


def test_health_and_readiness(server: RunningServer) -> None:
    assert httpx2.get(server.url + "/health").json() == {"status": "ok"}
    assert httpx2.get(server.url + "/ready").json() == {"status": "ready"}


@pytest.mark.heavy
@pytest.mark.shared
def test_a_model_that_cannot_be_loaded_shows_in_readiness(
    home: Path, tmp_path: Path, shared: Path
) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes((shared / "hostile" / "gguf" / "own_tensor_name_traversal.gguf").read_bytes())
    added = run_noibo("add", str(bad), "--name", "bad", home=home)
    if added.returncode:
        assert "Traceback" not in added.stderr
        return
    with RunningServer(home, "bad") as server:
        until(lambda: "reason" in httpx2.get(server.url + "/ready").json(), "the load has failed")
        answer = httpx2.get(server.url + "/ready")
        assert answer.status_code == 503
        assert "bad" in answer.json()["reason"]
        with server.client() as client, pytest.raises(RequestFailed, match="did not start"):
            client.chat("x", "bad")


def test_a_graceful_stop_lets_answers_finish_and_takes_no_new_ones(home: Path) -> None:
    with RunningServer(home) as server:
        thread, said = speak(server, 20)
        workers = server.workers()
        server.process.send_signal(signal.SIGTERM)
        thread.join(30)
        assert "".join(map(str, said)) == " ".join(map(str, range(20)))
        assert server.process.wait(20) == 0
        with server.client() as client, pytest.raises(ServerUnreachable):
            client.chat("x", "echo")
    assert not any(worker.is_running() for worker in workers)
    assert not (home / "server.json").exists()


@pytest.mark.heavy
def test_an_answer_longer_than_the_deadline_is_ended_with_an_error(home: Path) -> None:
    with RunningServer(home, NOIBO_SERVER_SHUTDOWN_GRACE_S="1") as server:
        thread, said = speak(server, 1000)
        server.process.send_signal(signal.SIGTERM)
        thread.join(30)
        assert server.process.wait(20) == 0
        assert isinstance(said[-1], RequestFailed | ServerUnreachable)
        assert len(said) > 3


def test_the_shutdown_route_needs_the_header_no_web_page_can_send(server: RunningServer) -> None:
    refused = httpx2.post(server.url + "/noibo/v1/shutdown")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "forbidden"
    assert server.process.poll() is None
    with server.client() as client:
        assert client.shutdown().done
    assert server.process.wait(20) == 0


@pytest.mark.heavy
@pytest.mark.parametrize("model", ["echo", "smollm2:135m"])
def test_killing_the_server_leaves_no_worker(home: Path, model_store: Path, model: str) -> None:
    with RunningServer(home, NOIBO_STORE_PATH=str(model_store)) as server:
        server.load(model)
        workers = server.workers()
        assert workers
        os.kill(server.process.pid, signal.SIGKILL)
        until(lambda: not any(alive(worker) for worker in workers), "the workers are gone")


@pytest.mark.heavy
def test_killing_the_server_while_a_model_loads_leaves_no_worker(
    home: Path, model_store: Path
) -> None:
    with RunningServer(home, "smollm2:135m", NOIBO_STORE_PATH=str(model_store)) as server:
        until(lambda: bool(server.workers()), "the worker has started")
        workers = server.workers()
        os.kill(server.process.pid, signal.SIGKILL)
        until(lambda: not any(alive(worker) for worker in workers), "the workers are gone")


def test_killing_a_worker_fails_its_own_requests_and_the_next_one_starts_afresh(
    server: RunningServer,
) -> None:
    thread, said = speak(server, 1000)
    (worker,) = server.workers()
    worker.kill()
    thread.join(30)
    assert isinstance(said[-1], RequestFailed)
    assert "SIGKILL" in str(said[-1])
    assert said[-1].server_code == "worker_died"
    with server.client() as client:
        assert client.chat("again", "echo").text == "again"
        assert client.workers()[0].pid != worker.pid


@pytest.mark.heavy
def test_a_worker_that_dies_before_the_first_word_is_a_502(server: RunningServer) -> None:
    body = {"model": "echo", "prompt": "a b", "x_echo": {"die_after": 0}}
    answer = httpx2.post(server.url + "/v1/completions", json=body, timeout=30)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "worker_died"
    assert "scripted death" in answer.json()["error"]["message"]


@pytest.mark.heavy
def test_an_answer_that_breaks_off_is_an_error_and_not_an_end(server: RunningServer) -> None:
    body = {"model": "echo", "prompt": "a b c d", "x_echo": {"cut_after": 2, "delay_ms": 20}}
    whole = httpx2.post(server.url + "/v1/completions", json=body, timeout=30)
    assert whole.status_code == 502
    streamed = httpx2.post(server.url + "/v1/completions", json=body | {"stream": True}, timeout=30)
    assert "[DONE]" not in streamed.text
    last = streamed.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "worker_died"


def test_a_taken_port_is_a_clear_error(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_noibo("serve", "--port", str(port), home=home)
    assert ended.returncode == 9
    assert f"Port {port} on 127.0.0.1 is taken" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.heavy
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_only_loopback_is_listened_on(home: Path, host: str) -> None:
    ended = run_noibo("serve", "--host", host, "--port", "0", home=home)
    assert ended.returncode == 2
    assert "not listen" in ended.stderr


def test_the_server_listens_on_loopback_only(server: RunningServer) -> None:
    server.load("echo")
    processes = [psutil.Process(server.process.pid), *server.workers()]
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
