"""Connections beyond this machine: with leave or not at all, to the right place or not at all.

The server is at an address of this machine that is not loopback, so that the way there is the way
out; names are looked up by what a test says they lead to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from noibo.egress import Departure, Destination, Door, Purpose
from noibo.engines import line
from noibo.engines.remote.place import Place
from noibo.errors import EgressRefused, SettingsError
from noibo.networks import Network
from tests.elsewhere_address import OUTER, needs_network
from tests.engines.test_line import whole

pytestmark = pytest.mark.anyio
NAME = "models.example"


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(record=tmp_path / "egress.jsonl")


def departure(door: Door, url: str) -> Departure:
    passed = door.open(Purpose.CLOUD_MODEL, [Destination.of(url)])
    return passed.depart(url, body=b"{}", label="public", request="r", policy="p")


class Server:
    """Answers every request in the same way, over TLS where it has a certificate."""

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            certificate.configure_cert(self._tls)
            self._tls.sni_callback = self._named
        self.names: list[str | None] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def _named(self, _: object, name: str | None, __: object) -> None:
        self.names.append(name)

    async def __aenter__(self) -> Server:
        self.server = await asyncio.start_server(self._talk, OUTER, 0, ssl=self._tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the next turns of the loop

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ended = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        with contextlib.suppress(*ended):
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(2)
                writer.write(b"".join(whole(b"hello")))
                await writer.drain()
        writer.transport.abort()


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """One that this machine believes."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    line._context.cache_clear()
    return ca


@contextlib.asynccontextmanager
async def a_session(*leads: str) -> AsyncIterator[line.Session]:
    """One for which every name leads to these addresses."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(leads)

    async with line.Session(keeps=True, resolve=resolve) as session:
        yield session


async def ask(session: line.Session, url: str, leave: line.Leave | None) -> bytes:
    async with await session.post(url, b"{}", {}, leave=leave) as response:
        return await response.read()


# ── without leave ───────────────────────────────────────────────────────────


@needs_network
async def test_without_leave_nothing_is_reached() -> None:
    async with Server() as server, a_session(OUTER) as session:
        for host in (OUTER, NAME):
            with pytest.raises(EgressRefused, match="not on this machine"):
                await ask(session, f"http://{host}:{server.port}/", None)
        assert server.connections == 0


@needs_network
async def test_leave_is_for_one_place(door: Door) -> None:
    async with Server() as server, a_session(OUTER) as session:
        url = f"http://{OUTER}:{server.port}"
        leave = line.Leave(departure(door, url), Network.OWN)
        assert await ask(session, url + "/v1/x", leave) == b"hello"
        for other in (f"http://{OUTER}:{server.port + 1}", f"http://{NAME}:{server.port}"):
            with pytest.raises(EgressRefused, match="leave for"):
                await ask(session, other, leave)


async def test_what_is_no_departure_is_no_leave() -> None:
    class Lookalike:
        destination = Destination.of("http://192.0.2.9")

    async with a_session("192.0.2.9") as session:
        leave = line.Leave(Lookalike(), Network.OWN)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="no departure"):
            await ask(session, "http://192.0.2.9", leave)


async def test_offline_gives_no_leave(tmp_path: Path) -> None:
    door = Door(offline=True, record=tmp_path / "egress.jsonl")
    with pytest.raises(EgressRefused, match="offline"):
        departure(door, "https://models.example")
    assert not (tmp_path / "egress.jsonl").exists()


# ── where names lead ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "leads",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "::1",
        "fd00::1",
        "::ffff:10.0.0.1",
    ],
)
async def test_a_public_name_that_leads_inside_is_refused(door: Door, leads: str) -> None:
    url = f"https://{NAME}/v1"
    async with a_session(leads) as session:
        with pytest.raises(EgressRefused, match="own_network") as refused:
            await ask(session, url, line.Leave(departure(door, url), Network.PUBLIC))
    assert leads in str(refused.value)


async def test_a_name_of_ones_own_network_that_leads_out_is_refused(door: Door) -> None:
    url = "http://gpu-box:8000"
    async with a_session("8.8.8.8") as session:
        with pytest.raises(EgressRefused, match="not in your own network"):
            await ask(session, url, line.Leave(departure(door, url), Network.OWN))


@needs_network
async def test_of_several_addresses_only_those_of_its_network_are_tried(door: Door) -> None:
    async with Server() as server, a_session("127.0.0.1", "8.8.8.8", OUTER) as session:
        url = f"http://gpu-box:{server.port}"
        assert await ask(session, url, line.Leave(departure(door, url), Network.OWN)) == b"hello"


# ── TLS ─────────────────────────────────────────────────────────────────────


@needs_network
async def test_its_certificate_is_checked_by_its_name(door: Door, authority: trustme.CA) -> None:
    async with Server(authority.issue_cert("gpu.local")) as server, a_session(OUTER) as session:
        url = f"https://gpu.local:{server.port}"
        assert await ask(session, url, line.Leave(departure(door, url), Network.OWN)) == b"hello"
        assert server.names == ["gpu.local"]
        other = f"https://other.local:{server.port}"
        with pytest.raises(line.Untrusted, match="Hostname mismatch"):
            await ask(session, other, line.Leave(departure(door, other), Network.OWN))
        assert server.heads and b"Host: gpu.local:" in server.heads[0]
        assert len(server.heads) == 1


@needs_network
async def test_a_certificate_of_nobody_is_not_believed(door: Door, authority: trustme.CA) -> None:
    stranger = trustme.CA().issue_cert("gpu.local")
    async with Server(stranger) as server, a_session(OUTER) as session:
        url = f"https://gpu.local:{server.port}"
        with pytest.raises(line.Untrusted):
            await ask(session, url, line.Leave(departure(door, url), Network.OWN))
        assert server.heads == []


@needs_network
async def test_a_connection_is_used_again_and_each_use_has_its_own_leave(
    door: Door, authority: trustme.CA
) -> None:
    async with Server(authority.issue_cert("gpu.local")) as server, a_session(OUTER) as session:
        url = f"https://gpu.local:{server.port}"
        for _ in range(3):
            await ask(session, url, line.Leave(departure(door, url), Network.OWN))
        with pytest.raises(EgressRefused):
            await ask(session, url, None)
        assert server.connections == 1
    rows = [json.loads(row) for row in (door.record or Path()).read_text().splitlines()]
    assert [row["kind"] for row in rows].count("departure") == 3


# ── what is written ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("http://127.0.0.1:8000/v1", Network.HERE),
        ("http://localhost:8000/v1", Network.HERE),
        ("http://[::1]:8000/v1", Network.HERE),
        ("http://10.0.0.5:8000/v1", Network.OWN),
        ("http://100.64.0.1:8000/v1", Network.OWN),
        ("http://local-llm:8000/v1", Network.OWN),
        ("http://gpu.lan/v1", Network.OWN),
        ("https://openrouter.ai/api/v1", Network.PUBLIC),
        ("https://8.8.8.8/v1", Network.PUBLIC),
        ("https://127.0.0.1.example.com/v1", Network.PUBLIC),
        ("https://localhost.example.com/v1", Network.PUBLIC),
    ],
)
def test_how_far_it_is_stands_in_the_address(url: str, network: Network) -> None:
    assert Place.of("m", url).network is network


def test_a_name_can_be_said_to_be_of_ones_own_network() -> None:
    assert Place.of("m", "http://llm.company.vn/v1", own_network=True).network is Network.OWN


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://api.example.com/v1", "for all to read"),
        ("http://8.8.8.8/v1", "for all to read"),
        ("https://user:pass@api.example.com/v1", "api_key"),
        ("https://api.example.com/v1?key=x", "question"),
        ("https://0.0.0.0/v1", "no address of a server"),
        ("https://224.0.0.1/v1", "no address of a server"),
        ("http://134744072/v1", "no address of a server"),
        ("https://0x7f.1/v1", "no address of a server"),
        ("ftp://api.example.com/v1", "not an http"),
    ],
)
def test_what_cannot_be_is_refused_with_the_settings(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Place.of("m", url)


# ── what of it went ─────────────────────────────────────────────────────────


async def test_nothing_of_it_goes_where_a_name_leads_nowhere(door: Door) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    url = f"https://{NAME}/v1"
    left = departure(door, url)
    async with line.Session(keeps=True, resolve=resolve) as session:
        with pytest.raises(line.Unreachable):
            await ask(session, url, line.Leave(left, Network.PUBLIC))
    assert not left.written


@needs_network
async def test_nothing_of_it_goes_to_a_certificate_that_is_not_believed(door: Door) -> None:
    stranger = trustme.CA().issue_cert("gpu.local")
    async with Server(stranger) as server, a_session(OUTER) as session:
        url = f"https://gpu.local:{server.port}"
        left = departure(door, url)
        with pytest.raises(line.Untrusted):
            await ask(session, url, line.Leave(left, Network.OWN))
        assert not left.written
        assert server.heads == []


@needs_network
async def test_what_was_given_to_a_kept_connection_may_have_gone(door: Door) -> None:
    """Though it turns out to be closed, and nobody takes another."""
    async with Server() as server, a_session(OUTER) as session:
        url = f"http://gpu-box:{server.port}"
        await ask(session, url, line.Leave(departure(door, url), Network.OWN))
        server.server.close()
        for task in server._tasks:
            task.cancel()
        left = departure(door, url)
        with pytest.raises(line.Unreachable):
            await ask(session, url, line.Leave(left, Network.OWN))
        assert left.written
