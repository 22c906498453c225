"""What leaves for an answer, seen from outside: to the one place that is declared, for what may
leave, and to nobody when offline."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.elsewhere_address import OUTER, needs_network
from tests.gateway.leaving.cloud import Cloud
from tests.running import PATIENCE_S, RunningServer
from tests.watch.watching import Watch

pytestmark = [pytest.mark.watch, pytest.mark.usefixtures("no_process_left"), needs_network]
KEY = "sk-proj-" + "Zk3vQ9mLx2RbT7nYw5Hc" * 2 + "A1b2"
TABLES = """
[models.cloud]
engine = "remote"
base_url = "{url}"
retries = 0

[models.lost]
engine = "remote"
base_url = "https://models.example.invalid/v1"
retries = 0

[virtual.both]
candidates = ["cloud", "lost", "echo"]
strategy = "cascade"
"""
PATHS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "{}"}]},
    "/v1/completions": {"prompt": "{}"},
    "/v1/messages": {"messages": [{"role": "user", "content": "{}"}], "max_tokens": 9},
    "/v1/responses": {"input": "{}", "store": False},
    "/api/chat": {"messages": [{"role": "user", "content": "{}"}], "stream": False},
    "/api/generate": {"prompt": "{}", "stream": False},
    "/v1/embeddings": {"input": "{}"},
}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as server:
        yield server


@contextlib.contextmanager
def watched(home: Path, cloud: Cloud, calls: Path, **environ: str) -> Iterator[httpx2.Client]:
    """A client of a server under the watcher."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "noibo.toml").write_text(TABLES.format(url=cloud.url))
    command = Watch(calls).command
    environ |= {"NOIBO_DEFAULT_MODEL": "echo"}
    with RunningServer(home, wrapper=command, **environ) as server:
        with server.client() as client:
            pid = client.status().pid
        try:
            with httpx2.Client(base_url=server.url, timeout=60) as client:
                yield client
        finally:
            psutil.Process(pid).terminate()
            server.process.wait(PATIENCE_S)


def asked(client: httpx2.Client, model: str, text: str, **headers: str) -> list[int]:
    """Everything, over every API: the statuses."""
    said = json.dumps(text)[1:-1]
    bodies: list[tuple[str, Any]] = [
        (path, json.loads(json.dumps(body).replace("{}", said))) for path, body in PATHS.items()
    ]
    return [
        client.post(path, json=body | {"model": model}, headers=headers).status_code
        for path, body in bodies
    ]


def test_what_must_stay_makes_no_connection(home: Path, tmp_path: Path, cloud: Cloud) -> None:
    watch = Watch(tmp_path / "calls")
    with watched(home, cloud, tmp_path / "calls") as client:
        assert set(asked(client, "cloud", f"The key is {KEY}")) == {403}
        assert set(asked(client, "cloud", "Hello", **{"X-Noibo-Label": "secret"})) == {403}
        asked(client, "both", f"The key is {KEY}")
        asked(client, "lost", f"The key is {KEY}")
    assert watch.inet(), "it was watched"
    assert watch.departures() == []
    assert cloud.sent == []


def test_what_may_leave_goes_to_its_place_alone(home: Path, tmp_path: Path, cloud: Cloud) -> None:
    watch = Watch(tmp_path / "calls")
    with watched(home, cloud, tmp_path / "calls") as client:
        assert set(asked(client, "cloud", "Hello")) == {200}
        asked(client, "both", "Hello")
    there = (OUTER, int(cloud.url.rpartition(":")[2].removesuffix("/v1")))
    assert {(one.host, one.port) for one in watch.departures()} == {there}
    assert watch.departures({there}) == []


def test_offline_nothing_leaves_whatever_its_label(
    home: Path, tmp_path: Path, cloud: Cloud
) -> None:
    watch = Watch(tmp_path / "calls")
    with watched(home, cloud, tmp_path / "calls", NOIBO_OFFLINE="1") as client:
        for label in ("public", "internal"):
            assert set(asked(client, "cloud", "Hello", **{"X-Noibo-Label": label})) == {403}
        assert asked(client, "both", "Hello")[0] == 200  # by a model of this machine
        asked(client, "lost", "Hello")
    assert watch.inet(), "it was watched"
    assert watch.departures() == []
    assert cloud.sent == []
