"""Addresses of callers: which are this machine's own, and which are one household's."""

from __future__ import annotations

import functools
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address


@functools.lru_cache(maxsize=1024)
def is_own(text: str) -> bool:
    """True for a number that is this machine's own; also for IPv4 written as IPv6."""
    found = _number(text)
    return found is not None and found.is_loopback


def is_address(text: str) -> bool:
    """True for a number of either kind."""
    return _number(text) is not None


def household(text: str) -> str:
    """What is to be counted as one: an address, of IPv6 the network that one house has all of."""
    found = _number(text)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> 64 << 64, 64)))
    return text if found is None else str(found)


def _number(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
