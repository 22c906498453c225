"""Where a remote model is: on this machine, in the user's own network, or anywhere.

What is written decides it, before any name is looked up. An address that a name leads to is then
held to that: the name of a public server must lead to a public address, so that nobody who answers
for names (DNS) can turn a request, and the key in it, to a machine of one's own; a name of one's
own network must lead into that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from noibo.egress import Destination, is_loopback
from noibo.errors import EgressRefused, SettingsError

# Endings that no name of the public Internet has.
_OWN_ENDINGS: Final = (".local", ".lan", ".internal", ".intranet", ".localdomain", ".home.arpa")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # an IPv4 address as IPv6-only networks write it


class Network(Enum):
    """How far it is to a server. The value is what a person reads."""

    HERE = "this machine"
    OWN = "your own network"
    PUBLIC = "beyond your network"

    def has(self, address: str) -> bool:
        """True for the number of a server that may be reached as one of this network."""
        found = _number(address)
        if found is None or found.is_unspecified or found.is_multicast:
            return False
        if self is Network.HERE or found.is_loopback:
            return self is Network.HERE and found.is_loopback
        return found.is_global if self is Network.PUBLIC else not found.is_global


@dataclass(frozen=True, slots=True)
class Place:
    """Where one remote model is asked for. `url` has no slash at its end."""

    url: str
    destination: Destination
    network: Network

    @classmethod
    def of(cls, model: str, base_url: str, *, own_network: bool = False) -> Place:
        """`own_network`: it is said that the name leads into the user's own. Raises `SettingsError`
        for an address that is none, or that would carry prompts in the clear."""
        where = f'[models."{model}"] base_url'
        there = _destination(where, base_url)
        network = _network(base_url, there.host, own_network=own_network)
        if network is not Network.HERE and is_number(there.host) and not network.has(there.host):
            raise SettingsError(
                f"{where}: {there} is no address of a server.",
                next_step="Name a server, such as https://openrouter.ai/api/v1.",
            )
        if network is Network.PUBLIC and there.scheme != "https":
            raise SettingsError(
                f"{where}: {there} is beyond your network, and http would carry every prompt and "
                "the key there for all to read.",
                next_step="Write https://; or, for a server in a network of your own, add "
                "own_network = true.",
            )
        return cls(base_url.rstrip("/"), there, network)

    @property
    def outside(self) -> bool:
        """True where to ask it is to let something leave this machine."""
        return self.network is not Network.HERE


def is_number(host: str) -> bool:
    """True for an address that is written as a number."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _destination(where: str, base_url: str) -> Destination:
    try:
        there = Destination.of(base_url)
    except EgressRefused as refused:
        raise SettingsError(
            f"{where}: {refused.message}",
            next_step='Write an address such as "http://127.0.0.1:8000/v1".',
        ) from None
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(
            f"{where}: {there} has a name, a password or a question in its address.",
            next_step="A key goes into api_key; the address is host, port and path.",
        )
    return there


def _network(base_url: str, host: str, *, own_network: bool) -> Network:
    """By what is written alone."""
    if is_loopback(base_url):
        return Network.HERE
    if is_number(host):
        return Network.PUBLIC if Network.PUBLIC.has(host) else Network.OWN
    name = host.rstrip(".")
    if own_network or "." not in name or name.endswith(_OWN_ENDINGS):
        return Network.OWN
    return Network.PUBLIC


def _number(text: str) -> IPv4Address | IPv6Address | None:
    """An address; of one that only carries another (IPv4 in IPv6), that other."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv4Address):
        return found
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1] or found
