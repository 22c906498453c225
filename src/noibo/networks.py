"""How far it is to a server: on this machine, in the user's own network, or anywhere.

What is written decides it, before any name is looked up. An address that a name leads to is then
held to that: the name of a public server must lead to a public address, so that nobody who answers
for names (DNS) can turn a request, and the key in it, to a machine of one's own; a name of one's
own network must lead into that.
"""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from noibo.egress import is_loopback

# Endings that no name of the public Internet has.
_OWN_ENDINGS: Final = (".local", ".lan", ".internal", ".intranet", ".localdomain", ".home.arpa")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # an IPv4 address as IPv6-only networks write it
_ODD: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\.?")  # the last part of 134744072, 0x8.8, 127.1


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

    @classmethod
    def of(cls, url: str, *, own: bool = False) -> Network:
        """By what is written alone. `own`: it is said that the name leads into the user's own."""
        if is_loopback(url):
            return cls.HERE
        host = urlsplit(url).hostname or ""
        if is_number(host):
            return cls.PUBLIC if cls.PUBLIC.has(host) else cls.OWN
        name = host.rstrip(".")
        if is_odd_number(host):
            return cls.PUBLIC
        if own or "." not in name or name.endswith(_OWN_ENDINGS):
            return cls.OWN
        return cls.PUBLIC

    def cannot_have(self, host: str) -> bool:
        """True for a number that no server of this network is asked by: 0.0.0.0, 134744072."""
        if self is Network.HERE:
            return False
        return is_odd_number(host) or (is_number(host) and not self.has(host))


def is_number(host: str) -> bool:
    """True for an address that is written as a number."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_odd_number(host: str) -> bool:
    """True for what some systems read as a number, and nobody writes who means well: 134744072,
    0x08080808, 010.0.0.1, 127.1."""
    return not is_number(host) and _ODD.fullmatch(host.lower(), _last_part(host)) is not None


def _last_part(host: str) -> int:
    return host.rstrip(".").rfind(".") + 1


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
