"""The HTTP clients of `HybridLLM`: one for a server of this house, which keeps to the house, and
one for a server elsewhere, which reaches that and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from noibo import guarded
from noibo.egress import Destination, Door, Pass, Purpose, is_loopback, require_loopback
from noibo.errors import EgressRefused, SettingsError
from noibo.networks import Network

Made = Callable[[], httpx2.Client]
Hook = Callable[[httpx2.Request], None]


class Clients:
    """HTTP clients that are made when they are first needed, each once. For several threads."""

    __slots__ = ("_door", "_made", "_turn")

    def __init__(self, door: Door) -> None:
        self._door = door
        self._made: dict[str, httpx2.Client] = {}
        self._turn = threading.Lock()

    def later(self, url: str, make: Callable[[str, Door], httpx2.Client]) -> Made:
        """What gives the client for an address."""

        def made() -> httpx2.Client:
            with self._turn:
                name = f"{make.__name__} {url}"
                if name not in self._made:
                    self._made[name] = make(url, self._door)
                return self._made[name]

        return made

    def close(self) -> None:
        """End all connections."""
        with self._turn:
            for client in self._made.values():
                client.close()
            self._made.clear()


def require_home(url: str) -> str:
    """An address of this house, by what is written. Raises `SettingsError` for anybody else's."""
    host, network = urlsplit(url).hostname or "", Network.of(url)
    if network.cannot_have(host):
        raise SettingsError(
            f"The local endpoint {host} is no address of a server.",
            next_step="Write http://localhost:8000/v1 for this machine's own.",
        )
    if network is Network.PUBLIC:
        raise SettingsError(
            f"The local endpoint {host} is neither this machine nor in a network of your own.",
            next_step="Name a server of yours, as http://localhost:8000/v1; another goes to api.",
        )
    return url


def require_sealed(url: str) -> str:
    """An address that nobody on the way can read along. Raises `SettingsError` for another."""
    if urlsplit(url).scheme != "https" and not is_loopback(url):
        raise SettingsError(
            f"The api endpoint {urlsplit(url).hostname} is asked without TLS, and every prompt and "
            "the key could be read on the way.",
            next_step="Write https://.",
        )
    return url


def home_client(url: str, door: Door) -> httpx2.Client:
    """A client for the house's own server: this machine's, or one of its network, which is written
    down."""
    held = _held(Network.of(url))
    if is_loopback(url):
        return httpx2.Client(trust_env=False, event_hooks={"request": [_stays, held]})
    way = door.open(Purpose.CLOUD_MODEL, [Destination.of(url)])
    return guarded.client(way, httpx2.HTTPTransport(), event_hooks={"request": [held]})


def away_client(url: str, door: Door) -> httpx2.Client:
    """A client for a server elsewhere, which reaches that and nothing else."""
    way = door.open(Purpose.CLOUD_MODEL, [Destination.of(url)])
    hooks = [_only(way), _held(Network.of(url))]
    return httpx2.Client(trust_env=False, event_hooks={"request": hooks})


def _stays(request: httpx2.Request) -> None:
    require_loopback(str(request.url))


def _held(network: Network) -> Hook:
    """Whoever answers for names must not turn a request to somebody else: the machine that has
    taken a connection is looked at before a byte is written to it."""

    def hold(request: httpx2.Request) -> None:
        told = request.extensions.get("trace")

        def trace(event: str, about: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                _look(about["return_value"], network, request.url.host)
            if told is not None:
                told(event, about)

        request.extensions = {**request.extensions, "trace": trace}

    return hold


def _look(stream: Any, network: Network, host: str) -> None:
    peer = str(stream.get_extra_info("server_addr")[0])
    if not network.has(peer):
        stream.close()
        raise EgressRefused(
            f"{host} leads to {peer}, which is not on {network.value}. Nothing was sent.",
            next_step="Mend what answers for that name, or write the server's number.",
        )


def _only(way: Pass) -> Hook:
    """Departures are written down by `Gate.ask`, with what they carry; here only the place is
    looked at."""

    def check(request: httpx2.Request) -> None:
        if Destination.of(str(request.url)) not in way.destinations:
            raise EgressRefused(f"{request.url.host} is not where this may go.")

    return check
