"""Speaks HTTP with the places a model may come from, and with those that they redirect to.

Redirects are followed here, hop by hop: never from https to http, never to an address of this
machine or its network that nobody named (`web.address`), never with a password meant for another
place, and not for ever. Nothing connects before it must; every request passes the door.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self

import httpx2

from noibo.egress import Destination, Door, Purpose
from noibo.errors import EgressRefused, FetchError
from noibo.guarded import client as guarded_client
from noibo.modelstore.progress import Cancel
from noibo.modelstore.web.address import AddressBook
from noibo.modelstore.web.credentials import clean, without_password
from noibo.modelstore.web.faults import PASSING_FAULTS, is_lasting, network_fault
from noibo.modelstore.web.transport import WebTransport
from noibo.modelstore.web.waits import Waits
from noibo.version import __version__

MAX_HOPS: Final = 10
MAX_PAGE_BYTES: Final = 8 * 2**20
LONGEST_WAIT_S: Final = 10.0  # for a server that says how long; longer ones are the caller's
_SECRETS: Final = ("Authorization", "Proxy-Authorization", "Cookie")


class WebSession:
    """Pages and files of `places`, and of where those send us. Used by several threads at once.

    `auth` is used at the places only, exactly as named (scheme, host and port), and neither it nor
    an Authorization header goes anywhere else. `private_hosts` (HOST or HOST:PORT) may be reached
    though they are inside. `cancel` ends every wait, but that for a file's bytes: those are its
    download's. Raises `EgressRefused` at once when noibo is offline.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - where to, by which rules, until when
        self,
        door: Door,
        purpose: Purpose,
        places: Iterable[str],
        private_hosts: Iterable[str] = (),
        auth: httpx2.Auth | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        self._door = door
        self._purpose = purpose
        self._places = frozenset(map(_place, places))
        self._auth = auth
        self.retries = 3  # of a page; a download bears more, and counts by itself
        self.first_pause_s = 0.25
        self.page_s = 60.0  # for a whole page with all its tries, or until a file begins
        self._cancel = cancel or Cancel()
        self._waits = Waits(self._cancel)
        self._pass = door.open(purpose, self._places)
        book = AddressBook(self._places, private_hosts)
        self._transport = WebTransport(self._pass, book, self._waits)
        self._client = guarded_client(
            self._pass,
            self._transport,
            timeout=httpx2.Timeout(30.0, connect=10.0),
            headers={"User-Agent": f"noibo/{__version__}"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(
        self, url: str, headers: Mapping[str, str] | None = None, *, limit: int = MAX_PAGE_BYTES
    ) -> httpx2.Response:
        """A whole page, whatever its status; passing faults are tried again first.

        `FetchError` when nobody answers, too slowly, or with more than `limit` bytes."""
        with self._waits.page(self.page_s):
            for attempt in range(self.retries + 1):
                is_last = attempt == self.retries
                try:
                    response = self._whole(url, headers or {}, limit)
                except httpx2.TransportError as exc:
                    self._cancel.check()
                    if is_last or is_lasting(exc) or self._waits.is_late:
                        raise FetchError(f"{clean(url)}: {self._fault(exc)}.") from exc
                    self._waits.pause(self._pause(attempt))
                    continue
                pause = self._pause_after(response, attempt)
                if is_last or pause is None:
                    return response
                self._waits.pause(pause)
        raise AssertionError

    @contextmanager
    def open(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """An answer whose body is still to be read, after redirects, whatever its status.

        Faults on the way stay `httpx2.TransportError`: the download bears and counts them."""
        try:
            with self._waits.page(self.page_s):
                response = self._follow(url, headers)
        except httpx2.TransportError:
            self._cancel.check()
            raise
        try:
            yield response
        finally:
            response.close()

    def admit(self, url: str, source: str | None = None) -> None:
        """Let in a place that an answer of `source` names (else: of one of the places).

        Under the rules for redirects; raises `EgressRefused`."""
        sources = {_place(source)} if source else self._places
        self._admit(_place(url), url, sources)

    def _admit(self, target: Destination, url: str, sources: Iterable[Destination]) -> None:
        if target.scheme == "http" and any(one.scheme == "https" for one in sources):
            raise EgressRefused(
                f"{', '.join(sorted(map(str, sources)))} points from https down to {target}: not "
                "followed."
            )
        self._judge(url)
        self._pass.admit(url)

    def _whole(self, url: str, headers: Mapping[str, str], limit: int) -> httpx2.Response:
        with self.open(url, headers) as response:
            taken = bytearray()
            for chunk in response.iter_bytes():
                taken += chunk
                if len(taken) > limit:
                    raise FetchError(f"{clean(url)} answers with more than it should.")
        packed = {"content-encoding", "content-length", "transfer-encoding"}
        plain = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in packed]
        return httpx2.Response(
            response.status_code, headers=plain, content=bytes(taken), request=response.request
        )

    def _pause_after(self, response: httpx2.Response, attempt: int) -> float | None:
        """How long to wait before another try; None when it would not help."""
        if response.status_code not in PASSING_FAULTS:
            return None
        said = response.headers.get("retry-after", "")
        pause = float(said) if said.isdecimal() else self._pause(attempt)
        return pause if pause <= LONGEST_WAIT_S else None

    def _fault(self, exc: httpx2.TransportError) -> str:
        if self._waits.is_late:
            return f"it was not done with its answer in {self.page_s:g} seconds"
        return network_fault(exc).rstrip(".")

    def _pause(self, attempt: int) -> float:
        return self.first_pause_s * 2.0**attempt

    def _follow(self, url: str, headers: Mapping[str, str]) -> httpx2.Response:
        _place(url)  # raises for what is none
        try:
            request = self._client.build_request(
                "GET", without_password(url), headers=dict(headers)
            )
        except httpx2.InvalidURL as exc:
            raise FetchError(f"{clean(url)} is no address: {exc}") from exc
        for _ in range(MAX_HOPS + 1):
            response = self._send(request)
            if not response.has_redirect_location:
                return response
            response.close()
            if response.next_request is None:
                raise FetchError(f"{clean(url)} redirects to what is no address.")
            request = self._redirected(request, response.next_request)
        raise FetchError(f"{clean(url)} redirects in a circle.")

    def _send(self, request: httpx2.Request) -> httpx2.Response:
        """One request, with the places' own credentials where it goes to one of them."""
        place = _place(str(request.url))
        if place in self._pass.destinations:  # what is not will be refused, without a look-up
            self._judge(str(request.url))
        auth = self._auth if place in self._places else None
        return self._client.send(request, auth=auth, stream=True)

    def _judge(self, url: str) -> None:
        self._door.open(self._purpose, ())  # raises when offline: before a name is looked up
        self._transport.judge(url)

    def _redirected(self, request: httpx2.Request, following: httpx2.Request) -> httpx2.Request:
        url = without_password(str(following.url))
        source, target = _place(str(request.url)), _place(url)
        self._admit(target, url, {source})
        following.url = httpx2.URL(url)
        if target != source:
            for name in _SECRETS:
                following.headers.pop(name, None)
        return following


def _place(url: str) -> Destination:
    try:
        return Destination.of(url)
    except ValueError as exc:  # brackets without an address in them
        shown = url.rpartition("@")[2].partition("?")[0][:80]
        raise EgressRefused(f"{shown!r} is not an http(s) address.") from exc
