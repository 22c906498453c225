"""Whoever sent a request says how good its answer was; nobody else does, and nobody twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from noibo.gateway.routed.outcomes import LEAST, VOTED, Outcomes
from noibo.wire.access import KeyWanted
from tests.running import RunningServer, run_noibo

VOTE = "/noibo/v1/feedback"
TABLES = """
[virtual.two]
candidates = ["echo", "gone"]
strategy = "hybrid"
"""
ASKED = {"model": "two", "messages": [{"role": "user", "content": "What is the capital of Laos?"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home: Path = tmp_path_factory.mktemp("votes") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(TABLES)
    with RunningServer(home) as running:
        yield running


@pytest.fixture
def here(server: RunningServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client


def asked(client: httpx2.Client) -> str:
    answer = client.post("/v1/chat/completions", json=ASKED)
    assert (answer.status_code, answer.headers["x-noibo-model"]) == (200, "echo")
    return str(answer.headers["x-request-id"])


def vote(client: httpx2.Client, request: str, said: str = "down") -> httpx2.Response:
    return client.post(VOTE, json={"request_id": request, "vote": said})


def test_only_who_asked_votes_and_once(here: httpx2.Client, server: RunningServer) -> None:
    with server.client() as owner:
        key = owner.make_key(KeyWanted(name="another")).key
    request = asked(here)
    with httpx2.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}) as other:
        assert vote(other, request).status_code == 404
        own = vote(other, asked(other), "up")
    assert (own.status_code, own.json()["model"]) == (200, "echo")
    assert vote(here, request).status_code == 200
    assert vote(here, request).status_code == 404
    assert vote(here, "req_none").status_code == 404
    assert vote(here, asked(here), "maybe").status_code == 400


def test_votes_move_the_chance_and_are_told(here: httpx2.Client, server: RunningServer) -> None:
    for _ in range(LEAST):
        assert vote(here, asked(here)).status_code == 200
    outcomes = Outcomes(server.home / "outcomes.jsonl")
    found = outcomes.calibration("echo")
    assert found is not None and found.of(0.8).p < 0.6
    answer = here.post("/v1/chat/completions", json=ASKED)
    assert "of your own answers" in answer.headers["x-noibo-route-why"]
    said = run_noibo("route", "explain", "What is it?", "--model", "two", home=server.home)
    assert "of your own answers" in said.stdout
    assert 0 < VOTED < 1
    assert "Laos" not in (server.home / "outcomes.jsonl").read_text()
