"""What the receipt and the ledger say of servers that could not be reached: they got nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo.egress_ledger import Departed, departures
from tests.elsewhere_address import OUTER, needs_network
from tests.gateway.leaving.cloud import Cloud, Handler, Sent, answers
from tests.running import RunningServer, clean_environment, until

pytestmark = needs_network
CHAT = "/v1/chat/completions"
TABLES = """
[models.closed]
engine = "remote"
base_url = "http://{closed}/v1"
retries = 2

[models.mistaken]
engine = "remote"
base_url = "https://{cloud}/v1"
retries = 0

[models.busy]
engine = "remote"
base_url = "http://{cloud}/v1"
retries = 1

[virtual.either]
candidates = ["closed", "echo"]
strategy = "hybrid"
simple_threshold = 1.0
complex_threshold = 1.0

[prices.closed]
input = 1.0
output = 2.0
"""


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    """An address where nobody listens, as long as the test has it."""
    with socket.socket() as taken:
        taken.bind((OUTER, 0))
        yield f"{OUTER}:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def server(
    clouds: Cloud, closed: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    home: Path = tmp_path_factory.mktemp("unreached") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(TABLES.format(closed=closed, cloud=clouds.host))
    with RunningServer(home, NOIBO_DEFAULT_MODEL="echo") as running:
        yield running


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Why?"}], **more}


def rows(server: RunningServer, answer: httpx2.Response, count: int) -> list[Departed]:
    """What the ledger has of a request, when all of it is settled."""
    found: list[Departed] = []

    def settled() -> bool:
        request = answer.headers["x-request-id"]
        record = server.home / "egress.jsonl"
        found[:] = [one for one in departures(record) if one.request == request]
        return len(found) == count and not any(one.is_open for one in found)

    until(settled, "all is settled")
    return found


def test_where_nobody_takes_connections_nothing_left(
    front: httpx2.Client, server: RunningServer, closed: str
) -> None:
    answer = front.post(CHAT, json=chat("closed"))
    assert answer.status_code == 502
    receipt = answer.headers["x-noibo-receipt"]
    assert receipt.startswith(f"stayed on this machine; tried=http://{closed}; label=internal;")
    told = front.get(f"/noibo/v1/receipts/{answer.headers['x-request-id']}").json()
    assert (told["receipt"], told["stayed"], told["sent"]) == ("stayed on this machine", True, [])
    assert told["tried"] == [{"destination": f"http://{closed}", "attempts": 3}]
    for row in rows(server, answer, 3):
        assert (row.sent, row.received, row.outcome) == (0, 0, "unreached")


def test_who_speaks_no_tls_got_nothing(
    front: httpx2.Client, server: RunningServer, cloud: Cloud
) -> None:
    answer = front.post(CHAT, json=chat("mistaken"))
    assert answer.status_code == 502
    assert f"; tried=https://{cloud.host}; " in answer.headers["x-noibo-receipt"]
    (row,) = rows(server, answer, 1)
    assert (row.sent, row.outcome) == (0, "unreached")
    assert cloud.sent == []


def test_who_had_no_time_and_was_asked_again_got_it_twice(
    front: httpx2.Client, server: RunningServer, cloud: Cloud
) -> None:
    def busy_once(handler: Handler, sent: Sent) -> None:
        if len(cloud.sent) == 1:
            handler.say(503, {"error": {"message": "later"}})
        else:
            answers(handler, sent)

    cloud.script.answer = busy_once
    answer = front.post(CHAT, json=chat("busy"))
    assert answer.status_code == 200
    receipt = answer.headers["x-noibo-receipt"]
    assert receipt.startswith("left this machine; ") and "tried=" not in receipt
    assert receipt.count("; bytes=") == 2
    found = rows(server, answer, 2)
    assert [row.outcome for row in found] == ["again", "ok"]
    assert [row.sent for row in found] == [len(one.raw) for one in cloud.sent]


def test_who_answers_instead_says_whom_else_was_tried(front: httpx2.Client, closed: str) -> None:
    answer = front.post(CHAT, json=chat("either"))
    assert (answer.status_code, answer.headers["x-noibo-model"]) == (200, "echo")
    receipt = answer.headers["x-noibo-receipt"]
    assert receipt.startswith(f"stayed on this machine; tried=http://{closed}; ")


def test_a_receipt_from_the_ledger_says_the_same(
    server: RunningServer, closed: str, tmp_path: Path
) -> None:
    """By a server that was not there."""
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        answer = client.post(CHAT, json=chat("closed"))
        rows(server, answer, 3)
    with RunningServer(server.home, NOIBO_DEFAULT_MODEL="echo") as later:
        told = httpx2.get(f"{later.url}/noibo/v1/receipts/{answer.headers['x-request-id']}").json()
    assert (told["receipt"], told["stayed"], told["sent"]) == ("stayed on this machine", True, [])
    assert told["tried"] == [{"destination": f"http://{closed}", "attempts": 3}]


def test_the_report_says_that_nothing_was_sent(front: httpx2.Client, server: RunningServer) -> None:
    rows(server, front.post(CHAT, json=chat("closed")), 3)
    command = [sys.executable, "-m", "noibo", "privacy", "report", "--last", "3"]
    said = subprocess.run(
        command, env=clean_environment(server.home), capture_output=True, text=True, check=True
    ).stdout
    heading, *lines = said.splitlines()
    assert heading.split()[3:5] == ["SENT", "OUTCOME"]
    found = [line.split() for line in lines if line.startswith("20")]  # long cells are broken
    assert [cells[4:6] for cells in found] == [["0", "unreached"]] * 3


def test_nothing_was_sent_where_its_caller_leaves_between_two_tries(server: RunningServer) -> None:
    before = list(departures(server.home / "egress.jsonl"))
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{server.url}{CHAT}", json=chat("closed"), timeout=0.15)
    found: list[Departed] = []

    def settled() -> bool:
        found[:] = list(departures(server.home / "egress.jsonl"))[len(before) :]
        return bool(found) and not any(one.is_open for one in found)

    until(settled, "all is settled")
    assert {row.sent for row in found} == {0}
