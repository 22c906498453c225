"""Who may speak to the server: no page from elsewhere, neither across sites nor by DNS rebinding;
pages of other programs of this machine only to ask models."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from noibo.gateway.origin import OPEN
from tests.running import RunningServer

CHAT = {"model": "echo", "prompt": "secret"}
NEIGHBOUR = {"Origin": "http://localhost:3000"}
FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "10.0.0.7:11500"},
    {"Host": "["},
    {"Origin": "https://evil.example"},
    {"Origin": "http://["},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
]
CHANGES = [
    ("POST", "/api/pull"),
    ("POST", "/api/create"),
    ("POST", "/api/copy"),
    ("POST", "/api/push"),
    ("DELETE", "/api/delete"),
    ("POST", "/api/blobs/sha256:" + "0" * 64),
    ("POST", "/noibo/v1/models/pull"),
    ("POST", "/noibo/v1/workers/echo/load"),
    ("GET", "/noibo/v1/search?words=x"),
    ("POST", "/v1/files"),
    ("POST", "/v1/batches"),
    ("DELETE", "/v1/models/echo"),
    ("GET", "/props?model=echo"),
    ("GET", "/lora-adapters?model=echo"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("origin") / "home") as server:
        yield server


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_is_refused(running: RunningServer, headers: dict[str, str]) -> None:
    for path in ("/v1/completions", "/noibo/v1/shutdown"):
        guarded = headers | {"X-Noibo-Client": "1"}
        answer = httpx2.post(running.url + path, json=CHAT, headers=guarded)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden"
    assert running.process.poll() is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:11500"},
        {"Host": "[::1]"},
        {"Host": "host.docker.internal:11500"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "app://obsidian.md"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_this_machine_is_let_in(running: RunningServer, headers: dict[str, str]) -> None:
    answer = httpx2.post(running.url + "/v1/completions", json=CHAT, headers=headers, timeout=30)
    assert answer.status_code == 200


def test_a_page_of_another_program_may_ask_and_read_what_is_answered(
    running: RunningServer,
) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-key"}
    before = httpx2.options(running.url + "/api/chat", headers=NEIGHBOUR | asks)
    assert before.status_code == 200
    assert "POST" in before.headers["access-control-allow-methods"]
    assert "x-key" in before.headers["access-control-allow-headers"]
    said = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
    answer = httpx2.post(running.url + "/api/chat", json=said, headers=NEIGHBOUR, timeout=30)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize("headers", [NEIGHBOUR, {"Sec-Fetch-Site": "same-site"}])
@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_page_of_another_program_changes_and_loads_nothing(
    running: RunningServer, method: str, path: str, headers: dict[str, str]
) -> None:
    guarded = headers | {"X-Noibo-Client": "1"}
    answer = httpx2.request(method, running.url + path, headers=guarded, json={"model": "echo"})
    assert answer.status_code == 403
    assert "a page of this server" in answer.text.lower()
    asks = headers | {"Access-Control-Request-Method": method}
    if "Origin" in headers:
        assert httpx2.options(running.url + path, headers=asks).status_code == 403


def test_what_is_open_is_there(running: RunningServer) -> None:
    with httpx2.Client(base_url=running.url) as client:
        found = {path: client.options(path).status_code for path in OPEN}
    assert set(found.values()) == {405}, found  # 404: a name that was changed


def test_the_servers_own_page_may_do_what_programs_may(running: RunningServer) -> None:
    own = {"Origin": running.url, "Sec-Fetch-Site": "same-origin"}
    answer = httpx2.post(running.url + "/api/push", json={"model": "x"}, headers=own)
    assert "no model leaves this machine" in answer.text
    assert httpx2.get(running.url + "/noibo/v1/status", headers=own).status_code == 200


def test_a_refusal_has_the_shape_of_the_api(running: RunningServer) -> None:
    foreign = {"Origin": "https://evil.example"}
    said = {
        path: httpx2.post(running.url + path, json=CHAT, headers=foreign).json()
        for path in ("/api/chat", "/v1/messages", "/v1/completions")
    }
    assert isinstance(said["/api/chat"]["error"], str)
    assert said["/v1/messages"]["error"]["type"] == "permission_error"
    assert said["/v1/completions"]["error"]["code"] == "forbidden"
