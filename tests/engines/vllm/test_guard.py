"""Middleware as vLLM's server runs it: asked as ASGI asks."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from noibo.engines.vllm import guard

KEY = "a-key"
RIGHT = (b"authorization", b"Bearer " + KEY.encode())


def ask(monkeypatch: pytest.MonkeyPatch, path: str, *headers: Any, **scope: Any) -> Any:
    """What was answered: a status, "in" where it was let in, or how a socket was closed."""
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    said: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        said.append("in")

    async def send(message: Any) -> None:
        said.append(message.get("status") or message.get("code") or "body")

    async def receive() -> Any:
        raise AssertionError

    asked = {"type": "http", "method": "POST", "path": path, "headers": list(headers), **scope}
    asyncio.run(guard.Guard(app)(asked, receive, send))
    return said[0]


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/tokenize", "/invocations", "/metrics", "/health/", "/healthz", "//health", ""],
)
def test_every_path_but_one_wants_the_key(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    assert ask(monkeypatch, path) == 401
    assert ask(monkeypatch, path, RIGHT) == "in"


def test_whether_it_lives_may_be_asked_without(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, "/health") == "in"


@pytest.mark.parametrize(
    "said", [b"Bearer another", b"Bearer ", b"a-key", b"bearer a-key", b"Bearer a-key\xff"]
)
def test_another_key_is_none(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    assert ask(monkeypatch, "/tokenize", (b"authorization", said)) == 401
    both = [(b"authorization", said), RIGHT]
    assert ask(monkeypatch, "/tokenize", *both) == 401  # which of both would count?


def test_no_method_and_no_socket_goes_round_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, "/v1/models", method="OPTIONS") == 401
    assert ask(monkeypatch, "/v1/realtime", type="websocket") == 1008
    assert ask(monkeypatch, "", type="lifespan") == "in"


def test_it_needs_nothing_of_noibos() -> None:
    found = importlib.util.find_spec("noibo.engines.vllm.guard")
    assert found is not None
    assert found.origin is not None
    done = subprocess.run([sys.executable, "-I", "-S", found.origin], check=False)
    assert done.returncode == 0
