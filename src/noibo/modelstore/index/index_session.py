"""Speaks HTTP with the places pip is set to, and with those that they point to.

Where an admitted place sends us (a redirect, a file its page links to) is admitted in turn, with
two exceptions: never from https down to http, and never from a public place to an address of this
machine or its own network, so that no index can make us knock on doors inside the house
(`web.address`). An index that is inside itself may point anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
from noibo.modelstore.index.pip_settings import PipSettings
from noibo.modelstore.progress import Cancel
from noibo.modelstore.web.address import AddressBook
from noibo.modelstore.web.credentials import Credentials, clean
from noibo.modelstore.web.faults import PASSING_FAULTS, is_lasting, network_fault, status_fault
from noibo.modelstore.web.transport import WebTransport
from noibo.modelstore.web.waits import Waits
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
        self._book = AddressBook(map(Destination.of, self._places), (), plain_outside=True)
        self.waits = Waits(Cancel())
        self.page_s = 300.0  # for a page with all its tries, or until a file begins

    @cached_property
    def _pass(self) -> Pass:
        return self._door.open(Purpose.PACKAGE_INDEX, map(Destination.of, self._places))

    @cached_property
    def _transport(self) -> WebTransport:
        return WebTransport(self._pass, self._book, self.waits, self._pip)

    @cached_property
    def _client(self) -> httpx2.Client:
        return guarded_client(
            self._pass,
            self._transport,
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
        try:
            with self.waits.page(self.page_s):
                response = self._follow(request)
        except httpx2.TransportError:
            self.waits.cancel.check()
            raise
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
        try:
            with self.waits.page(self.page_s):
                self._admit(link, source)
        except httpx2.TransportError as exc:
            self.waits.cancel.check()
            raise FetchError(f"{clean(link)}: {network_fault(exc)}.") from exc

    def _admit(self, link: str, source: str) -> None:
        target = Destination.of(link)
        if target in self._pass.destinations:
            return
        if source.startswith("file:"):  # the user's own list
            self._book.name(target)
            self._pass.admit(link)
            return
        if urlsplit(source).scheme == "https" and target.scheme == "http":
            raise EgressRefused(
                f"{clean(source)} points from https down to {target}: not followed.",
                next_step="Set pip to an index that serves its files over https.",
            )
        if self._transport.is_inside(source):
            self._book.name(target)
        try:
            self._transport.judge(link)
        except EgressRefused:
            raise EgressRefused(
                f"{clean(source)}, a public place, points to {target}, which is on this machine "
                "or its own network: not followed.",
                next_step="If that is your mirror, name it: PIP_INDEX_URL or extra-index-url.",
            ) from None
        self._pass.admit(link)

    def _page(self, method: str, url: str, headers: Mapping[str, str] | None) -> httpx2.Response:
        if url.startswith("file:"):
            return _local(method, url)
        with self.waits.page(self.page_s):
            return self._tried(method, url, headers)

    def _tried(self, method: str, url: str, headers: Mapping[str, str] | None) -> httpx2.Response:
        fault = "no answer"
        for attempt in range(self._pip.retries + 1):
            try:
                response = self._whole(method, url, headers)
                if response.status_code not in PASSING_FAULTS:
                    self.faults.extend(_page_faults(url, response))
                    return response
                fault = f"it answered {response.status_code}"
            except httpx2.TransportError as exc:
                self.waits.cancel.check()
                fault = network_fault(exc)
                if is_lasting(exc) or self.waits.is_late:
                    break
            if attempt < self._pip.retries:
                self.waits.pause(min(8.0, 0.25 * 2**attempt))
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
            self._admit(str(response.next_request.url), str(request.url))
            request = response.next_request
        raise FetchError(f"{clean(str(request.url))} redirects in a circle.")


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
