"""Pages from elsewhere are not let in: neither across sites nor by DNS rebinding."""

from __future__ import annotations

import httpx2
import pytest

from tests.running import RunningServer

CHAT = {"model": "echo", "prompt": "secret"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "10.0.0.7:11500"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_foreign_page_is_refused(server: RunningServer, headers: dict[str, str]) -> None:
    for path in ("/v1/completions", "/noibo/v1/shutdown"):
        guarded = headers | {"X-Noibo-Client": "1"}
        answer = httpx2.post(server.url + path, json=CHAT, headers=guarded)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden"
    assert server.process.poll() is None


@pytest.mark.parametrize(
    "headers", [{"Host": "localhost:11500"}, {"Host": "[::1]"}, {"Origin": "http://localhost:3000"}]
)
def test_this_machine_is_let_in(server: RunningServer, headers: dict[str, str]) -> None:
    answer = httpx2.post(server.url + "/v1/completions", json=CHAT, headers=headers, timeout=30)
    assert answer.status_code == 200
