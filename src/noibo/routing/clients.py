"""The HTTP clients of `HybridLLM`: one for a server of this house, which keeps to the house, and
one for a server elsewhere, which reaches that and nothing else.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from noibo import guarded
from noibo.egress import Destination, Door, Pass, Purpose, is_loopback, require_loopback
from noibo.errors import EgressRefused, SettingsError

Made = Callable[[], httpx2.Client]
_OWN_ENDINGS: Final = (".local", ".lan", ".internal", ".intranet", ".localdomain", ".home.arpa")
_DIGITS: Final = tuple("0123456789")


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
    host = urlsplit(url).hostname or ""
    if not is_loopback(url) and not _is_own(host):
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
    if is_loopback(url):
        return httpx2.Client(trust_env=False, event_hooks={"request": [_stays]})
    way = door.open(Purpose.CLOUD_MODEL, [Destination.of(url)])
    return guarded.client(way, httpx2.HTTPTransport(), event_hooks={"request": [_leads_home]})


def away_client(url: str, door: Door) -> httpx2.Client:
    """A client for a server elsewhere, which reaches that and nothing else."""
    way = door.open(Purpose.CLOUD_MODEL, [Destination.of(url)])
    return httpx2.Client(trust_env=False, event_hooks={"request": [_only(way)]})


def _is_own(host: str) -> bool:
    """By what is written alone."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        name = host.rstrip(".").lower()
        if name.rpartition(".")[2].startswith(_DIGITS):  # a number, as some systems read them
            return False
        return "." not in name or name.endswith(_OWN_ENDINGS)


def _leads_home(request: httpx2.Request) -> None:
    """Whoever answers for names must not turn what stays in the house to somebody else."""
    try:
        found = socket.getaddrinfo(request.url.host, request.url.port, type=socket.SOCK_STREAM)
    except OSError:
        return  # nobody is reached
    if any(ip_address(str(one[4][0]).partition("%")[0]).is_global for one in found):
        raise EgressRefused(
            f"{request.url.host} is the name of a server of this house, and leads out of it.",
            next_step="Name the server by its number, as http://192.168.1.20:8000/v1.",
        )


def _stays(request: httpx2.Request) -> None:
    require_loopback(str(request.url))


def _only(way: Pass) -> Any:
    """Departures are written down by `Gate.ask`, with what they carry; here only the place is
    looked at."""

    def check(request: httpx2.Request) -> None:
        if Destination.of(str(request.url)) not in way.destinations:
            raise EgressRefused(f"{request.url.host} is not where this may go.")

    return check
