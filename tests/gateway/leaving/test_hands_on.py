"""A proxy on this machine, which asks others: by its address nothing would leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from noibo.egress_ledger import departures
from noibo.engines.remote.place import Place
from noibo.model_settings import ModelSettings
from tests.gateway.leaving.cloud import Cloud, Script
from tests.gateway.leaving.test_routed import CHAT, EASY, HARD, KEY, chat, route
from tests.running import RunningServer

HERE = "127.0.0.1"
EMAIL = "lan.nguyen@congty-abc.vn"
TABLES = """
[models.proxied]
engine = "remote"
base_url = "{url}"
hands_on = true
retries = 0

[models.near]
engine = "remote"
base_url = "{url}"
retries = 0
"""


@pytest.fixture(scope="module")
def proxies() -> Iterator[Cloud]:
    with Cloud(HERE) as server:
        yield server


@pytest.fixture(scope="module")
def house() -> Iterator[Cloud]:
    with Cloud(HERE) as server:
        yield server


@pytest.fixture(scope="module")
def server(
    house: Cloud, proxies: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """The seed's command too, with both of its sides on this machine."""
    home: Path = tmp_path_factory.mktemp("hands_on") / "home"
    home.mkdir()
    (home / "noibo.toml").write_text(TABLES.format(url=proxies.url))
    with RunningServer(
        home,
        LLM_STRATEGY="hybrid",
        LOCAL_LLM_URL=house.url,
        OPENROUTER_API_KEY="sk-or-test",
        NOIBO_ROUTING_API_ENDPOINT=proxies.url,
    ) as running:
        yield running


@pytest.fixture
def front(server: RunningServer, proxies: Cloud, house: Cloud) -> Iterator[httpx2.Client]:
    for one in (proxies, house):
        one.script = Script()
        one.sent.clear()
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client


def asked(server: Cloud) -> list[Any]:
    return [one.body for one in server.sent if one.body is not None]


def test_what_goes_to_it_is_judged_redacted_and_written_down(
    front: httpx2.Client, server: RunningServer, proxies: Cloud
) -> None:
    answer = front.post(CHAT, json=chat("proxied", f"Viết cho {EMAIL}."))
    assert answer.json()["choices"][0]["message"]["content"] == f"Viết cho {EMAIL}."
    assert EMAIL not in proxies.everything()
    assert answer.headers["x-noibo-receipt"].startswith(
        f"left this machine; to=http://{proxies.host}; "
    )
    assert "redacted=EMAIL:1" in answer.headers["x-noibo-receipt"]
    row = list(departures(server.home / "egress.jsonl"))[-1]
    assert (row.destination, row.outcome) == (f"http://{proxies.host}", "ok")


def test_a_secret_stays(front: httpx2.Client, proxies: Cloud) -> None:
    answer = front.post(CHAT, json=chat("proxied", f"The key is {KEY}."))
    assert answer.json()["error"]["code"] == "must_stay"
    assert proxies.sent == []


def test_a_server_here_that_hands_nothing_on_is_told_everything(
    front: httpx2.Client, proxies: Cloud
) -> None:
    answer = front.post(CHAT, json=chat("near", f"The key is {KEY}."))
    assert answer.headers["x-noibo-receipt"] == "stayed on this machine"
    assert KEY in proxies.everything()


def test_what_is_called_the_api_is_elsewhere_at_whichever_address(
    front: httpx2.Client, proxies: Cloud, house: Cloud
) -> None:
    assert route(front.post(CHAT, json=chat("auto", EASY)))["class"] == "simple"
    assert len(asked(house)) == 1 and asked(proxies) == []
    answer = front.post(CHAT, json=chat("auto", f"{HARD} Write to {EMAIL}."))
    assert route(answer)["model"] == "openai/gpt-4o-mini"
    assert len(asked(proxies)) == 1 and EMAIL not in proxies.everything()
    front.post(CHAT, json=chat("auto", f"{HARD} The key is {KEY}."))
    assert len(asked(proxies)) == 1 and len(asked(house)) == 2


@pytest.mark.parametrize(
    ("name", "outside"),
    [("gpt-oss:120b-cloud", True), ("minimax-m2:cloud", True), ("cloudy:7b", False)],
)
def test_what_ollama_hands_on_is_known_by_its_name(name: str, outside: bool) -> None:
    own = ModelSettings(engine="ollama", base_url="http://127.0.0.1:11434")
    assert Place.of_model(name, own).outside is outside
