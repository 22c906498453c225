"""The HTTP clients of `HybridLLM`: where they may connect to."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from noibo.egress import Door
from noibo.errors import EgressRefused, SettingsError
from noibo.networks import Network
from noibo.routing.clients import Clients, _held, home_client, require_home
from noibo.routing.endpoint import Endpoint, Passage
from tests.routing.speaking import Speaker, says, speaking


@pytest.fixture
def server() -> Iterator[Speaker]:
    with speaking(says("Xin chào.")) as speaker:
        yield speaker


def endpoint(url: str, network: Network) -> Iterator[Endpoint]:
    with httpx2.Client(trust_env=False, event_hooks={"request": [_held(network)]}) as client:
        yield Endpoint(url, "", lambda: client)


@pytest.mark.parametrize("network", [Network.OWN, Network.PUBLIC])
def test_who_has_taken_the_connection_is_looked_at_before_a_byte_is_written(
    server: Speaker, network: Network
) -> None:
    passage = Passage()
    for one in endpoint(server.url, network):
        with pytest.raises(EgressRefused, match="Nothing was sent"):
            one.chat(b"{}", passage)
    assert (passage.written, server.asked) == (False, [])


def test_what_was_written_is_known(server: Speaker) -> None:
    passage = Passage()
    for one in endpoint(server.url, Network.HERE):
        one.chat(b"{}", passage)
    assert passage.written
    assert passage.received > 50


def test_a_client_is_made_once_and_reaches_this_machine(server: Speaker) -> None:
    clients = Clients(Door(offline=True))
    made = clients.later(server.url, home_client)
    assert made() is made()
    assert Endpoint(server.url, "", made).first_model() == "first"
    clients.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://0.0.0.0:8000/v1", "no address of a server"),
        ("http://134744072/v1", "no address of a server"),
        ("http://[::ffff:8.8.8.8]/v1", "neither this machine"),
        ("https://api.example.com/v1", "neither this machine"),
    ],
)
def test_what_is_not_of_the_house_is_refused(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        require_home(url)


@pytest.mark.parametrize(
    "url", ["http://localhost/v1", "http://[::1]/v1", "http://local-llm:8000/v1", "http://10.1.2.3"]
)
def test_what_is_of_the_house_is_taken(url: str) -> None:
    assert require_home(url) == url
