"""What is personal leaves redacted and is told back, over every API, whole and streamed; and what
nobody can look through stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.elsewhere_address import needs_network
from tests.gateway.leaving.cloud import Cloud
from tests.gateway.leaving.conftest import TABLES
from tests.running import RunningServer

pytestmark = needs_network
EMAIL = "lan.nguyen@congty-abc.vn"
TEXT = f"Viết cho {EMAIL} nhé."
TURNS = [{"role": "user", "content": TEXT}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": TURNS},
    "/v1/completions": {"prompt": TEXT},
    "/v1/messages": {"messages": TURNS, "max_tokens": 50},
    "/v1/responses": {"input": TEXT, "store": False},
    "/api/chat": {"messages": TURNS},
    "/api/generate": {"prompt": TEXT},
}


def words(value: Any) -> str:
    """All that is said in one event, where an API says pieces."""
    if not isinstance(value, dict):
        return ""
    choices = value.get("choices") or [{}]
    delta = value.get("delta")
    return str(
        (choices[0].get("delta") or {}).get("content")
        or choices[0].get("text")
        or (value.get("message") or {}).get("content")
        or value.get("response")
        or (delta.get("text") if isinstance(delta, dict) else delta)
        or ""
    )


@pytest.mark.parametrize("path", BODIES)
def test_it_is_told_back_whole(front: httpx2.Client, cloud: Cloud, path: str) -> None:
    body = BODIES[path] | {"model": "cloud", "stream": False}
    answer = front.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert EMAIL in answer.text and "EMAIL_1" not in answer.text
    assert EMAIL not in cloud.everything() and "EMAIL_1" in cloud.everything()


@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("path", BODIES)
def test_it_is_told_back_in_a_stream(
    front: httpx2.Client, cloud: Cloud, path: str, pieces: int
) -> None:
    cloud.script.pieces = pieces
    body = BODIES[path] | {"model": "cloud", "stream": True}
    with front.stream("POST", path, json=body) as answer:
        raw = answer.read().decode()
    assert answer.status_code == 200, raw
    said = ""
    for line in raw.splitlines():
        if (data := line.removeprefix("data: ")).startswith("{"):
            event = json.loads(data)
            if not isinstance(event.get("response"), dict):  # the whole, again
                said += words(event)
    assert TEXT in said, raw
    assert "EMAIL_1" not in raw
    assert EMAIL not in cloud.everything()


@pytest.fixture(scope="module", params=["late", "off"])
def blind(
    clouds: Cloud, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One whose detector has no time, or is not there."""
    home: Path = tmp_path_factory.mktemp("blind") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(TABLES.format(url=clouds.url))
    late = {"NOIBO_PRIVACY_DETECT_S": "0.0000001"}
    off = {"NOIBO_PRIVACY_DETECT": "false"}
    environ = {"NOIBO_DEFAULT_MODEL": "echo"} | (late if request.param == "late" else off)
    with RunningServer(home, **environ) as server:
        yield server


def test_what_nobody_looks_through_stays_where_it_would_be_redacted(
    blind: RunningServer, cloud: Cloud
) -> None:
    with httpx2.Client(base_url=blind.url, timeout=60) as client:
        label = {"X-Noibo-Label": "personal"}
        body = {"model": "cloud", "messages": TURNS}
        answer = client.post("/v1/chat/completions", json=body, headers=label)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "must_stay")
        assert cloud.sent == []


def test_a_detector_without_time_lets_nothing_out(
    blind: RunningServer, cloud: Cloud, request: pytest.FixtureRequest
) -> None:
    """Where the house has turned it off, what nobody labels leaves by its default label."""
    turned_off = "off" in request.node.callspec.id
    with httpx2.Client(base_url=blind.url, timeout=60) as client:
        body = {"model": "cloud", "messages": TURNS}
        answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == (200 if turned_off else 403)
    assert len(cloud.sent) == turned_off
