"""Speaks HTTP with the places pip is set to, and with those that they point to.

Where an admitted place sends us (a redirect, a file its page links to) is admitted in turn, with
two exceptions: never from https down to http, and never from a public place to an address of this
machine or its own network, so that no index can make us knock on doors inside the house.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

import httpx2
from unearth.collector import SUPPORTED_CONTENT_TYPES, LinkCollectError
from unearth.fetchers import DEFAULT_SECURE_ORIGINS
from unearth.fetchers.sync import LocalFSTransport

from noibo.egress import Destination, Door, Pass, Purpose
from noibo.errors import EgressRefused, FetchError
from noibo.guarded import client as guarded_client
from noibo.modelstore.credentials import Credentials, clean
from noibo.modelstore.faults import PASSING_FAULTS, is_lasting, network_fault, status_fault
from noibo.modelstore.network import PipTransport, proxy_for
from noibo.modelstore.pip_settings import PipSettings
from noibo.version import __version__

MAX_HOPS: Final = 10
MAX_PAGE_BYTES: Final = 64 * 2**20


class IndexSession:
    """What `unearth` asks for pages, and `download` for files. Nothing connects before it must.

    `faults` collects, place by place, why a page could not be read: one index of several may be
    down, and only when nothing is found does it matter why.
    """

    def __init__(self, door: Door, pip: PipSettings, places: Iterable[str]) -> None:
        self.faults: list[str] = []
        self._door = door
        self._pip = pip
        self._places = [place for place in places if place.startswith(("http://", "https://"))]
        self._origin: dict[Destination, bool] = {}

    @cached_property
    def _pass(self) -> Pass:
        return self._door.open(Purpose.PACKAGE_INDEX, map(Destination.of, self._places))

    @cached_property
    def _client(self) -> httpx2.Client:
        return guarded_client(
            self._pass,
            PipTransport(self._pip, self._pass),
            auth=Credentials(self._places, self._pip.netrc),
            timeout=httpx2.Timeout(self._pip.timeout_s or None),
            headers={"User-Agent": f"noibo/{__version__}"},
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections, if there are any."""
        if "_client" in self.__dict__:
            self._client.close()

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """A whole page, with pip's number of tries. `LinkCollectError` when it cannot be had."""
        return self._page("GET", url, headers)

    def head(self, url: str, *, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """The headers of a page."""
        return self._page("HEAD", url, headers)

    @contextmanager
    def get_stream(
        self, url: str, *, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx2.Response]:
        """An answer whose body is still to be read, after redirects."""
        request = self._client.build_request("GET", url, headers=dict(headers or {}))
        response = self._follow(request)
        try:
            yield response
        finally:
            response.close()

    def iter_secure_origins(self) -> Iterable[tuple[str, str, str]]:
        """pip's own list: https, this machine, files, and trusted hosts."""
        yield from DEFAULT_SECURE_ORIGINS
        for trusted in self._pip.trusted_hosts:
            parts = urlsplit(f"//{trusted}")
            yield "*", parts.hostname or "", "*" if parts.port is None else str(parts.port)

    def admit(self, link: str, source: str) -> None:
        """Let in the place of `link`, to which `source`, an admitted place, points."""
        target = Destination.of(link)
        if target in self._pass.destinations:
            return
        if source.startswith("file:"):  # the user's own list
            self._pass.admit(link)
            return
        if urlsplit(source).scheme == "https" and target.scheme == "http":
            raise EgressRefused(
                f"{clean(source)} points from https down to {target}: not followed.",
                next_step="Set pip to an index that serves its files over https.",
            )
        if self._is_inside(target, link) and not self._is_inside(Destination.of(source), source):
            raise EgressRefused(
                f"{clean(source)}, a public place, points to {target}, which is on this machine "
                "or its own network: not followed.",
                next_step="If that is your mirror, name it: PIP_INDEX_URL or extra-index-url.",
            )
        self._pass.admit(link)

    def _page(self, method: str, url: str, headers: Mapping[str, str] | None) -> httpx2.Response:
        if url.startswith("file:"):
            return _local(method, url)
        for attempt in range(self._pip.retries + 1):
            fault = "no answer"
            try:
                response = self._whole(method, url, headers)
                if response.status_code not in PASSING_FAULTS:
                    self.faults.extend(_page_faults(url, response))
                    return response
                fault = f"it answered {response.status_code}"
            except httpx2.TransportError as exc:
                fault = network_fault(exc)
                if is_lasting(exc):
                    break
            if attempt < self._pip.retries:
                time.sleep(min(8.0, 0.25 * 2**attempt))
        self.faults.append(f"{clean(url)}: {fault}")
        raise LinkCollectError(fault)

    def _whole(self, method: str, url: str, headers: Mapping[str, str] | None) -> httpx2.Response:
        response = self._follow(
            self._client.build_request(method, url, headers=dict(headers or {}))
        )
        try:
            taken = bytearray()
            for chunk in response.iter_bytes():
                taken += chunk
                if len(taken) > MAX_PAGE_BYTES:
                    raise FetchError(f"{clean(url)} answers with an endless page.")
        finally:
            response.close()
        plain = {
            name: value
            for name, value in response.headers.items()
            if name not in {"content-encoding", "content-length", "transfer-encoding"}
        }
        return httpx2.Response(
            response.status_code, headers=plain, content=bytes(taken), request=response.request
        )

    def _follow(self, request: httpx2.Request) -> httpx2.Response:
        for _ in range(MAX_HOPS):
            response = self._client.send(request, stream=True)
            if not response.has_redirect_location or response.next_request is None:
                return response
            response.close()
            self.admit(str(response.next_request.url), str(request.url))
            request = response.next_request
        raise FetchError(f"{clean(str(request.url))} redirects in a circle.")

    def _is_inside(self, place: Destination, url: str) -> bool:
        """True for an address of this machine or a private network, by number or by name."""
        if place not in self._origin:
            asks_dns = proxy_for(url, self._pip) is None  # a proxy looks names up itself
            addresses = _addresses(place, _look_up if asks_dns else None)
            self._origin[place] = any(not address.is_global for address in addresses)
        return self._origin[place]


def _addresses(
    place: Destination, look_up: Callable[[Destination], list[str]] | None
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if place.host == "localhost" or place.host.endswith(".localhost"):
        return [ipaddress.IPv4Address("127.0.0.1")]
    try:
        return [ipaddress.ip_address(place.host)]
    except ValueError:
        return [ipaddress.ip_address(one) for one in look_up(place)] if look_up else []


def _look_up(place: Destination) -> list[str]:
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except OSError:
        return []  # the connection itself will say so
    return [str(entry[4][0]).partition("%")[0] for entry in found]


def _local(method: str, url: str) -> httpx2.Response:
    request = httpx2.Request(method, url)
    response = LocalFSTransport().handle_request(request)
    response.request = request
    response.read()
    return response


def _page_faults(url: str, response: httpx2.Response) -> Iterator[str]:
    if response.is_error:
        yield status_fault(url, response.status_code)
    elif not response.headers.get("content-type", "").startswith(SUPPORTED_CONTENT_TYPES):
        yield f"{clean(url)}: this is no index page"
