"""HTTP/1.1 to workers: what a relay needs of it, and no more.

A general client looks for proxies, cookies, redirects, encodings and names, and wraps each answer
in what only some callers need. A worker has none of that. aiohttp's took 221 of the 843 µs that a
short chat took noibo (docs/measurements.md).

It connects on this machine. Beyond it, it does so only with a `Leave`, which holds a departure that
the door has written down: there is no default by which anything could leave by mistake.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httptools

from noibo.egress import Departure, Destination, require_loopback
from noibo.errors import EgressRefused
from noibo.networks import Network, is_number

CONNECT_S: Final = 10.0
IDLE_S: Final = 4.0  # few servers close sooner
IDLE_BEYOND_S: Final = 30.0  # a handshake takes three times the way there and back
SOON_S: Final = 1.0  # who closes within it has done nothing yet
LOOKS: Final = 4  # at whether anything comes, in the time it may take
MOST_IDLE: Final = 256
MOST_HEAD: Final = 2**20  # bytes
MOST_BODY: Final = 2**28  # bytes: of an answer that is read whole all are in memory
HIGH: Final = 2**20  # bytes that nobody has taken yet: then no more is read


@dataclass(frozen=True, slots=True)
class Waits:
    """How long one waits, in seconds: for a connection, for the first of an answer, then for the
    next of it. None: for ever."""

    connect_s: float = CONNECT_S
    first_s: float | None = None
    stall_s: float | None = None


USUAL: Final = Waits()


class Unreachable(ConnectionError):
    """Nobody takes connections there: nothing was asked. `errno` says more."""


class Untrusted(Unreachable):
    """Who takes connections there has no certificate for that name that is believed here."""


class Broken(ConnectionError):
    """The connection ended before the answer did. `begun`: something of it had come, or it was
    worked on for a while: it is not to be asked again."""

    def __init__(self, why: str, *, begun: bool) -> None:
        super().__init__(why)
        self.begun = begun


class Silent(ConnectionError):
    """Nothing has come for so long, though somebody waited for it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Nothing came for {seconds:g} s.")
        self.seconds = seconds


class NotHttp(ConnectionError):
    """What came is no answer of HTTP."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave to connect beyond this machine, once: to the destination of a `departure` that the door
    has written down, and to no address but one of that network."""

    departure: Departure
    network: Network


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request goes: on this machine, unless there is leave to go elsewhere."""

    host: str
    port: int
    tls: bool
    target: str
    named: str
    network: Network = Network.HERE

    @classmethod
    def of(cls, url: str) -> _Place:
        """Raises `EgressRefused` for what is not on this machine."""
        return cls._read(require_loopback(url), Network.HERE)

    @classmethod
    def beyond(cls, url: str, leave: Leave) -> _Place:
        """Raises `EgressRefused` for any place but that of the departure."""
        departure = leave.departure
        if not isinstance(departure, Departure):  # whatever the types say: it is the last look
            raise TypeError(f"{departure!r} is no departure")
        if Destination.of(url) != departure.destination:
            raise EgressRefused(
                f"{Destination.of(url)} was to be asked with leave for {departure.destination}."
            )
        return cls._read(url, leave.network)

    @classmethod
    def _read(cls, url: str, network: Network) -> _Place:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname or "", port, tls, target, parts.netloc, network)

    @property
    def key(self) -> Key:
        """What connections are told apart by."""
        return self.host, self.port, self.tls, self.network


_place = functools.lru_cache(maxsize=1024)(_Place.of)
Key = tuple[str, int, bool, Network]
# Addresses that a name leads to, as numbers. Raises `OSError` where it leads nowhere.
Resolve = Callable[[str, int], Awaitable[list[str]]]


async def system_addresses(host: str, port: int) -> list[str]:
    """As the system knows them: its list of hosts, then DNS. IPv4 first: where one of both leads
    nowhere, it is mostly the other."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Response:
    """An answer of which the head has come. What is left of it when it is closed is cancelled."""

    def __init__(self, line: _Line) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._line = line

    async def piece(self) -> bytes:
        """What has come since the last; empty at the end. Raises `Broken`."""
        return await self._line.piece()

    async def read(self) -> bytes:
        """All of it."""
        said = bytearray()
        while piece := await self._line.piece():
            said += piece
        return bytes(said)

    def close(self) -> None:
        """Hear no more of it."""
        self._line.release(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Session:
    """Connections to workers. `keeps`: one whose answer has ended is used again, if that happens
    soon; who closes it at that moment is asked again, once, by a new one."""

    def __init__(self, *, keeps: bool = False, resolve: Resolve = system_addresses) -> None:
        self._keeps = keeps
        self._resolve = resolve
        self._idle: defaultdict[Key, list[_Line]] = defaultdict(list)
        self._closed = False

    def post(
        self,
        url: str,
        data: bytes,
        headers: Mapping[str, str],
        waits: Waits = USUAL,
        leave: Leave | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """The answer to a request with a body. Raises `EgressRefused` for a name that does not lead
        to this machine, or where there is leave for; and `Silent`, then or while it is read, where
        too little comes of it."""
        return self._ask("POST", url, data, headers, waits, leave)

    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        waits: Waits = USUAL,
        leave: Leave | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """The answer to one without."""
        return self._ask("GET", url, b"", headers, waits, leave)

    async def _ask(  # noqa: PLR0913, PLR0917 - a request of HTTP
        self,
        method: str,
        url: str,
        data: bytes,
        headers: Mapping[str, str],
        waits: Waits,
        leave: Leave | None,
    ) -> Response:
        place = _place(url) if leave is None else _Place.beyond(url, leave)
        head = _head(method, place, len(data), headers, self._keeps)
        line = self._idle_one(place)
        if line is not None:
            try:
                return await line.ask(head, data, waits, leave)
            except Broken as broken:
                if broken.begun:
                    raise
        line = await self._connect(place, waits.connect_s)
        return await line.ask(head, data, waits, leave)

    def _idle_one(self, place: _Place) -> _Line | None:
        idle = self._idle.get(place.key)
        while idle:
            line = idle.pop()
            if line.fresh:
                return line
            line.drop()
        return None

    async def _connect(self, place: _Place, connect_s: float) -> _Line:
        loop = asyncio.get_running_loop()
        context = _context() if place.tls else None
        named = not is_number(place.host)  # a name may lead anywhere
        try:
            async with asyncio.timeout(connect_s):
                hosts = await self._addresses(place) if named else [place.host]
                for host in hosts:
                    try:
                        transport, line = await loop.create_connection(
                            lambda: _Line(self, place.key),
                            host,
                            place.port,
                            ssl=context,
                            server_hostname=place.host if context else None,
                        )
                        break
                    except OSError:
                        if host == hosts[-1]:
                            raise
        except ssl.SSLCertVerificationError as exc:
            raise Untrusted(exc.verify_message) from exc
        except (OSError, TimeoutError) as exc:
            failed = Unreachable(str(exc))
            failed.errno = exc.errno
            raise failed from exc
        peer = str(transport.get_extra_info("peername")[0])
        if named and not place.network.has(peer):
            line.drop()
            raise EgressRefused(f"{place.named} is not on {place.network.value}.")
        return line

    async def _addresses(self, place: _Place) -> list[str]:
        """Where a name leads to, in the network that it is to be of: what answers for names can say
        anything. Raises `EgressRefused`."""
        found = await self._resolve(place.host, place.port)
        if fit := [one for one in found if place.network.has(one)]:
            return fit
        leads = f"{place.host} leads to {', '.join(found) or 'nothing'}"
        if place.network is Network.HERE:
            raise EgressRefused(
                f"{leads}, which is not on this machine.",
                next_step="Write 127.0.0.1 instead, or mend the system's list of hosts.",
            )
        if place.network is Network.OWN:
            raise EgressRefused(
                f"{leads}, which is not in your own network, as it is set for it.",
                next_step="Mend what answers for that name, or take out own_network = true.",
            )
        raise EgressRefused(
            f"{leads}, which is in your own network or on this machine: a public server is not "
            "there, and nothing was sent.",
            next_step="Where it is a server of your own, add own_network = true to the model.",
        )

    def take_back(self, line: _Line, key: Key) -> None:
        """Its answer has ended."""
        idle = self._idle[key]
        while idle and not idle[0].fresh:
            idle.pop(0).drop()
        if not self._keeps or self._closed or len(idle) >= MOST_IDLE:
            line.drop()
            return
        line.idle_since = time.monotonic()
        idle.append(line)

    async def close(self) -> None:
        """Close what is idle, and what is used when it is not any more."""
        self._closed = True
        for lines in self._idle.values():
            for line in lines:
                line.drop()
        self._idle.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _head(
    method: str, place: _Place, length: int, headers: Mapping[str, str], keeps: bool
) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    ending = "" if keeps else "Connection: close\r\n"
    said = (
        f"{method} {place.target} HTTP/1.1\r\nHost: {place.named}\r\n"
        f"Content-Length: {length}\r\n{ending}{more}\r\n"
    )
    lines = len(headers) + (4 if keeps else 5)
    if said.count("\n") != lines or said.count("\r") != lines or "\0" in said:
        raise ValueError("a header or an address has a line break in it")
    return said.encode("latin-1")


@functools.cache
def _context() -> ssl.SSLContext:
    """Certificates and names are checked; the authorities are those of the system."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Line(asyncio.Protocol):
    """One connection, which is asked one thing at a time."""

    def __init__(self, session: Session, key: Key) -> None:
        self._heard = False  # something of the present answer
        self.idle_since = 0.0
        self._asked_at = 0.0
        self._session = session
        self._key = key
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._response: Response | None = None
        self._pieces: list[bytes] = []
        self._waiting = 0  # bytes
        self._head = 0  # bytes of the head so far
        self._whole = True
        self._stays = False  # open after this answer
        self._said_head = False
        self._error: ConnectionError | None = None
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._body = 0  # bytes of the present answer's body so far
        self._look: asyncio.TimerHandle | None = None

    @property
    def lives(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def fresh(self) -> bool:
        """Idle for so short a time that it can be asked again."""
        idle_s = IDLE_S if self._key[3] is Network.HERE else IDLE_BEYOND_S
        return self.lives and time.monotonic() - self.idle_since < idle_s

    # ── what is asked ───────────────────────────────────────────────────────

    async def ask(
        self, head: bytes, body: bytes, waits: Waits, leave: Leave | None = None
    ) -> Response:
        """The answer's beginning. Cancelled, it closes."""
        if self._transport is None or self._transport.is_closing():
            raise Broken("The connection was closed.", begun=False)
        response = self._response = Response(self)
        self._parser = httptools.HttpResponseParser(self)
        self._heard = self._said_head = self._whole = self._stays = False
        self._head = self._body = 0
        self._asked_at = time.monotonic()
        if leave is not None:
            leave.departure.written = True
        self._transport.writelines([head, body] if body else [head])
        if waits.first_s is not None:
            self._watch(waits.first_s, waits.stall_s)
        try:
            while not self._said_head:
                if self._error is not None:
                    raise self._error
                await self._news()
        except BaseException:
            self.drop()
            raise
        return response

    async def piece(self) -> bytes:
        """What has come, all of it."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._whole:
                return b""
            await self._news()
        said = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return said

    def release(self, response: Response) -> None:
        """Nobody wants more of that answer."""
        if self._response is not response:
            return
        self._response = None
        self._unwatch()
        unread, self._pieces = bool(self._pieces), []
        self._waiting = 0
        if self._stays and not unread and self.lives:
            self._session.take_back(self, self._key)
        else:
            self.drop()

    def drop(self) -> None:
        """Close it now; what is under way on it ends."""
        self._unwatch()
        if self._transport is not None:
            self._transport.abort()

    async def _news(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _watch(self, first_s: float, stall_s: float | None) -> None:
        """Look from time to time whether somebody waits and nothing comes: nothing is done for it
        when something does."""
        every = (first_s if stall_s is None else min(first_s, stall_s)) / LOOKS
        loop = asyncio.get_running_loop()
        seen = self._waiter
        still = 0.0

        def look() -> None:
            nonlocal seen, still
            still = still + every if self._waiter is not None and self._waiter is seen else 0.0
            seen = self._waiter
            began = self._body or (self._said_head and stall_s is None)
            limit = stall_s if began else first_s
            if limit is None:
                self._look = None
                return
            if still >= limit:
                self._fail(Silent(limit))
                self.drop()
                return
            self._look = loop.call_later(every, look)

        self._look = loop.call_later(every, look)

    def _unwatch(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: ConnectionError) -> None:
        if self._error is None:
            self._error = error
        self._tell()

    # ── what happens ────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._response is None:  # nobody asked
            self.drop()
            return
        if self._whole:  # more than was asked for: not what comes next either
            self._stays = False
            return
        self._heard = True
        if not self._said_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._fail(NotHttp(f"What came is no answer of HTTP/1.1: {exc}."))
            self.drop()
            return
        if not self._said_head and self._head > MOST_HEAD:
            self._fail(NotHttp(f"The head of the answer has over {MOST_HEAD} bytes."))
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._whole:
            if self._said_head and exc is None and self._ends_with_connection():
                self._whole = True
            else:
                self._fail(self._broken())
        self._tell()
        self._transport = None

    def _broken(self) -> Broken:
        begun = self._heard or time.monotonic() - self._asked_at > SOON_S
        return Broken("The connection ended before the answer.", begun=begun)

    def _ends_with_connection(self) -> bool:
        headers = self._response.headers if self._response else {}
        return "content-length" not in headers and "transfer-encoding" not in headers

    # ── what the parser finds ───────────────────────────────────────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is not None and not self._said_head:
            self._response.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        response = self._response
        if response is None or self._whole:
            return
        if status < 200:  # a word before the answer
            response.headers.clear()
            return
        response.status = status
        self._said_head = True
        self._tell()

    def on_body(self, body: bytes) -> None:
        if self._whole:
            return
        self._body += len(body)
        if self._body > MOST_BODY:
            self._fail(NotHttp(f"The answer has over {MOST_BODY >> 20} MiB."))
            self.drop()
            return
        self._pieces.append(body)
        self._waiting += len(body)
        if self._waiting > HIGH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._tell()

    def on_message_complete(self) -> None:
        if self._said_head and not self._whole:
            self._whole, self._stays = True, self._parser.should_keep_alive()
            self._tell()

    def on_message_begin(self) -> None:
        if self._whole:  # another, that nobody asked for
            self._stays = False
