"""The way to the web: proxies and certificates as pip or the environment has them, and addresses
that stay put.

Without a proxy, a request goes to the very address that the address book judged; the name stays in
the Host header and in the TLS handshake, whose certificate is checked against it. Each place has a
pool of its own, so that no connection made for one name ever carries a request for another.
"""

from __future__ import annotations

import ssl
import threading
from functools import cached_property, partial

import httpx2

from noibo import settings
from noibo.egress import Destination, Pass
from noibo.modelstore.index.network import is_trusted, proxy_for, trust
from noibo.modelstore.index.pip_settings import PipSettings
from noibo.modelstore.web.address import Address, AddressBook, is_inside, spelled
from noibo.modelstore.web.credentials import without_password
from noibo.modelstore.web.faults import is_lasting
from noibo.modelstore.web.waits import PatientNetwork, Waits


class WebTransport(httpx2.BaseTransport):
    """Sends a request where `book` says; a proxy passes the door as well.

    `pip`: proxies, certificates and trusted hosts; without it, those of the environment."""

    def __init__(
        self, guard: Pass, book: AddressBook, waits: Waits, pip: PipSettings | None = None
    ) -> None:
        self._guard = guard
        self._book = book
        self._waits = waits
        self._ways: dict[tuple[Destination | str, bool], httpx2.HTTPTransport] = {}
        self._lock = threading.Lock()
        self._pip = pip or _environment()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return trust(self._pip)

    def judge(self, url: str) -> None:
        """Raise unless `url` may be connected to; what was looked up is kept for the connection."""
        place = Destination.of(url)
        if proxy_for(url, self._pip) is None:
            self._waits.over(partial(self._book.of, place))
        else:
            self._book.judge_by_name(place)

    def is_inside(self, url: str) -> bool:
        """True for a place of this machine or its network: where it answered, if it did."""
        place = Destination.of(url)
        if proxy_for(url, self._pip) is None:
            addresses = self._waits.over(partial(self._book.of, place))
        else:
            addresses = spelled(place.host)
        return bool(addresses) and is_inside(addresses[0])

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        proxy = proxy_for(str(request.url), self._pip)
        if proxy is None:
            return self._send_directly(request)
        self._book.judge_by_name(Destination.of(str(request.url)))
        self._guard.admit(proxy)  # the user's own setting
        self._guard.check(without_password(proxy), "CONNECT")
        return self._way(proxy, str(request.url), proxy).handle_request(request)

    def _send_directly(self, request: httpx2.Request) -> httpx2.Response:
        place = Destination.of(str(request.url))
        way = self._way(place, str(request.url))
        fault: httpx2.TransportError | None = None
        for address in self._book.of(place):
            try:
                response = way.handle_request(_pinned(request, place, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as exc:
                if is_lasting(exc):
                    raise
                fault = exc
                continue
            self._book.prefer(place, address)
            return response
        self._book.forget(place)
        raise fault or httpx2.ConnectError(f"{place.host} has no address")

    def _way(
        self, to: Destination | str, url: str, proxy: str | None = None
    ) -> httpx2.HTTPTransport:
        key = to, is_trusted(url, self._pip.trusted_hosts)
        with self._lock:
            if key not in self._ways:
                context = self._context(*key)
                way = httpx2.HTTPTransport(verify=context, proxy=proxy, trust_env=False)
                self._ways[key] = PatientNetwork.under(way, self._waits)
            return self._ways[key]

    def _context(self, to: Destination | str, is_trusted: bool) -> ssl.SSLContext:
        if isinstance(to, Destination) and to.scheme == "http":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # what is not used is not loaded
        return trust(self._pip, verify=False) if is_trusted else self._trust

    def close(self) -> None:
        with self._lock:
            for way in self._ways.values():
                way.close()


def _environment() -> PipSettings:
    """What the environment says of certificates; of pip's options none."""
    environ = settings.full_environment()
    return PipSettings(ca_bundle=environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE"))


def _pinned(request: httpx2.Request, place: Destination, address: Address) -> httpx2.Request:
    """The same request, to `address`. Its Host header is there already, from the client."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": place.host},
    )
