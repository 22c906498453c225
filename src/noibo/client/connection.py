"""The way to a server, waited for in a thread or on an event loop."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx2
import msgspec

from noibo import settings
from noibo.client.answers import Steps, failure
from noibo.client.calls import CONNECT_S, Call
from noibo.egress import Destination, Door, Purpose, is_loopback
from noibo.errors import ServerUnreachable, SettingsError
from noibo.wire.management import GUARD_HEADER, PRIORITY_HEADER, STATE_FILE, Urgency
from noibo.wire.models import ProgressRow

T = TypeVar("T")
_FIRST: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Running(msgspec.Struct, frozen=True):
    """What a server wrote down of itself, for who runs it. `token` lets the commands in, also where
    everybody else needs a key; `certificate` is the file of its own."""

    url: str
    pid: int = 0
    token: str = ""
    certificate: str = ""


def find_server(tree: settings.Settings) -> str:
    """Address of this user's server: of the one that runs, else the one in the settings."""
    return find_running(tree).url


def find_running(tree: settings.Settings) -> Running:
    """This user's server that runs, else the address in the settings."""
    try:
        state = msgspec.json.decode((tree.home / STATE_FILE).read_bytes(), type=Running)
        os.kill(state.pid, 0)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, OverflowError):
        return Running(tree.url)
    return state


class Address:
    """Where the server is and what is sent along with every request."""

    def __init__(self, base_url: str | None, api_key: str | None, priority: Urgency | None) -> None:
        running = find_running(settings.load())
        self.base_url = (base_url or running.url).rstrip("/").removesuffix("/v1")
        if self.base_url != running.url:
            running = Running("")  # another one: it is told nothing of this one
        self._certificate = running.certificate
        if not is_loopback(self.base_url):
            tree = settings.load()
            door = Door(offline=tree.offline, record=tree.home / "egress.jsonl")
            destination = Destination.of(self.base_url)
            door.open(Purpose.NOIBO_SERVER, [destination]).check(self.base_url, "CONNECT")
        self.headers = {GUARD_HEADER: "1"}
        if api_key or running.token:
            self.headers["Authorization"] = f"Bearer {api_key or running.token}"
        if priority:
            self.headers[PRIORITY_HEADER] = priority

    def options(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "headers": self.headers,
            "timeout": httpx2.Timeout(None, connect=CONNECT_S),
            "trust_env": False,
        } | ({"verify": _only(self._certificate)} if self._certificate else {})

    def unreachable(self, exc: Exception) -> ServerUnreachable:
        return ServerUnreachable(
            f"No noibo server answers at {self.base_url} ({type(exc).__name__}).",
            next_step="Start one with `noibo serve`.",
        )


def _only(certificate: str) -> ssl.SSLContext:
    """Trusts the server that has this certificate, under whatever name it is called."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        said = _FIRST.search(Path(certificate).read_text())  # who signed it is not trusted
        context.load_verify_locations(cadata=said[0] if said else "")
    except (OSError, ValueError) as exc:
        raise SettingsError(f"The server's certificate {certificate} cannot be read.") from exc
    return context


class Connection:
    """Sends calls and waits for their answers. With the priority `batch` they go last."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        priority: Urgency | None = None,
    ) -> None:
        self._address = Address(base_url, api_key, priority)
        self._http = httpx2.Client(**self._address.options())

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._address.base_url

    def _send(self, call: Call[T]) -> T:
        try:
            return call.read(self._http.request(call.method, call.path, **call.options()))
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    def _chunks(self, call: Call[T]) -> Generator[bytes, None, None]:
        try:
            with self._http.stream(call.method, call.path, **call.options()) as response:
                if response.status_code >= 400:
                    raise failure(response.status_code, response.read(), response.headers)
                yield from response.iter_bytes()
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    def _follow(self, call: Call[T]) -> Iterator[ProgressRow | T]:
        reader = Steps(call.kind)
        with contextlib.closing(self._chunks(call)) as chunks:
            for chunk in chunks:
                yield from reader.feed(chunk)
        reader.end()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


class AsyncConnection:
    """The same as `Connection`, on an event loop."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        priority: Urgency | None = None,
    ) -> None:
        self._address = Address(base_url, api_key, priority)
        self._http = httpx2.AsyncClient(**self._address.options())

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._address.base_url

    async def _send(self, call: Call[T]) -> T:
        try:
            return call.read(await self._http.request(call.method, call.path, **call.options()))
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    async def _chunks(self, call: Call[T]) -> AsyncGenerator[bytes, None]:
        try:
            async with self._http.stream(call.method, call.path, **call.options()) as response:
                if response.status_code >= 400:
                    body = await response.aread()
                    raise failure(response.status_code, body, response.headers)
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx2.RequestError as exc:
            raise self._address.unreachable(exc) from exc

    async def _follow(self, call: Call[T]) -> AsyncIterator[ProgressRow | T]:
        reader = Steps(call.kind)
        async with contextlib.aclosing(self._chunks(call)) as chunks:
            async for chunk in chunks:
                for step in reader.feed(chunk):
                    yield step
        reader.end()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()
