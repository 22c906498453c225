"""Where a name leads: looked up once, judged, and only what was judged is connected to.

A public place must not make noibo knock on doors inside the house: by a redirect to an address of
this machine or its network, however it is spelled (`127.1`, `0x7f000001`, `::ffff:7f00:1`), by a
name that leads there, or by a name that leads elsewhere the second time it is asked (DNS
rebinding). Places that the user or the settings named may be anywhere.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx2

from noibo.egress import Destination
from noibo.errors import EgressRefused, SettingsError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are IPv4


class AddressBook:
    """Addresses of places, judged by who named the place. Used from several threads at once.

    `plain_outside`: places outside may be reached without TLS, where somebody else minds that."""

    def __init__(
        self,
        named: Iterable[Destination],
        private_hosts: Iterable[str],
        *,
        plain_outside: bool = False,
    ) -> None:
        self._named = set(named)
        self._listed = tuple(map(_host_and_port, private_hosts))
        self._plain_outside = plain_outside
        self._known: dict[Destination, tuple[Address, ...]] = {}
        self._lock = threading.Lock()

    def of(self, place: Destination) -> tuple[Address, ...]:
        """Where to connect for `place`, best first.

        Raises `EgressRefused` for what may not be reached, `httpx2.ConnectError` for a name that
        leads nowhere."""
        with self._lock:
            known = self._known.get(place)
        if known is None:
            known = look_up(place)
            self._judge(place, known)
            with self._lock:
                known = self._known.setdefault(place, known)
        return known

    def name(self, place: Destination) -> None:
        """`place` may be anywhere from now on: one that may say so named it."""
        with self._lock:
            self._named.add(place)

    def judge_by_name(self, place: Destination) -> None:
        """As far as it goes without asking DNS: a proxy looks names up itself."""
        self._judge(place, spelled(place.host))

    def prefer(self, place: Destination, address: Address) -> None:
        """Try `address`, which answered, first from now on."""
        with self._lock:
            known = self._known.get(place, ())
            if address in known:
                self._known[place] = (address, *(one for one in known if one != address))

    def forget(self, place: Destination) -> None:
        """None of its addresses answers: the next caller asks, and judges, anew."""
        with self._lock:
            self._known.pop(place, None)

    def is_listed(self, place: Destination) -> bool:
        """True for a host that `fetch.private_hosts` names."""
        return any(host == place.host and port in {None, place.port} for host, port in self._listed)

    def _judge(self, place: Destination, addresses: tuple[Address, ...]) -> None:
        inside = [is_inside(address) for address in addresses]
        if self.is_listed(place):
            return
        if any(inside) and place not in self._named:
            raise EgressRefused(
                f"{place} is on this machine or its own network, and no place you named: not "
                "followed there.",
                next_step=f"If it is yours, list it: fetch.private_hosts = "
                f'["{place.host}:{place.port}"].',
            )
        if self._plain_outside:
            return
        if place.scheme == "http" and not (inside and all(inside)):
            raise EgressRefused(
                f"{place} is not encrypted: anybody on the way could change what comes.",
                next_step=f"Use its https:// address; if it is on your own network, list it: "
                f'fetch.private_hosts = ["{place.host}:{place.port}"].',
            )


def look_up(place: Destination) -> tuple[Address, ...]:
    """Every address of a name, in the system's order of preference."""
    if place.host != "localhost" and (known := spelled(place.host)):
        return known
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise httpx2.ConnectError(f"{place.host} has no address ({exc})") from exc
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return tuple(ipaddress.ip_address(text) for text in texts)


def spelled(host: str) -> tuple[Address, ...]:
    """The address that `host` spells, in any way programs read one; nothing for a name."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return (ipaddress.IPv4Address("127.0.0.1"),)
    try:
        return (ipaddress.ip_address(host.partition("%")[0]),)
    except ValueError:
        pass
    try:  # 2130706433, 0x7f.1, 0177.0.0.1
        return (ipaddress.IPv4Address(socket.inet_aton(host)),)
    except (OSError, UnicodeError):
        return ()


def is_inside(address: Address) -> bool:
    """True for this machine, private networks, link-local, multicast and what is reserved."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return is_inside(embedded)
        if address.is_site_local or address.is_reserved:
            return True
    return not address.is_global or address.is_multicast


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for, where gateways would go on to it."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo


def _host_and_port(entry: str) -> tuple[str, int | None]:
    text = f"[{entry}]" if entry.count(":") > 1 and not entry.startswith("[") else entry
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and not parts.path and parts.username is None:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise SettingsError(
        f"fetch.private_hosts: {entry!r} is no host.",
        next_step="Write HOST or HOST:PORT, as mirror.lan:8443.",
    )
