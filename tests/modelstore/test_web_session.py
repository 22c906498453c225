from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from noibo.egress import Destination, Door, Purpose
from noibo.errors import EgressRefused, FetchError, SettingsError
from noibo.modelstore.progress import Cancel
from noibo.modelstore.web.address import AddressBook, is_inside, spelled
from noibo.modelstore.web.session import MAX_HOPS, WebSession
from noibo.modelstore.web.transport import WebTransport
from noibo.modelstore.web.waits import Waits
from tests.modelstore.hub_server import Answer, Asked, WebServer
from tests.modelstore.proxy_server import ProxyServer

PUBLIC = "93.184.215.14"


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(record=tmp_path / "egress.jsonl")


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        running.files["/page"] = b"hello"
        yield running


@pytest.fixture
def other() -> Iterator[WebServer]:
    with WebServer() as running:
        running.files["/page"] = b"other"
        yield running


def session(door: Door, *places: str, **options: Any) -> WebSession:
    made = WebSession(door, Purpose.MODEL_FILE, places, **options)
    made.first_pause_s = 0.001
    return made


def departures(door: Door) -> list[str]:
    assert door.record is not None
    if not door.record.exists():
        return []
    return [json.loads(line)["destination"] for line in door.record.read_text().splitlines()]


class Names:
    """What DNS says, answer after answer (the last one stays); it counts the questions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        real = socket.getaddrinfo

        def look_up(host: str, port: Any, *rest: Any, **options: Any) -> Any:
            if host not in self.answers:
                return real(host, port, *rest, **options)
            self.asked.append(host)
            queue = self.answers[host]
            found = queue.pop(0) if len(queue) > 1 else queue[0]
            return [entry for one in found for entry in real(one, port, *rest, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that connections were asked for; those outside of this machine are refused."""
    seen: list[str] = []
    real = socket.create_connection

    def connect(address: tuple[str, int], *rest: Any, **options: Any) -> socket.socket:
        seen.append(address[0])
        if not ipaddress.ip_address(address[0]).is_loopback:
            raise ConnectionRefusedError("no such place in a test")
        return real(address, *rest, **options)

    monkeypatch.setattr(socket, "create_connection", connect)
    return seen


# ── pages ───────────────────────────────────────────────────────────────────


def test_a_page_comes_with_noibos_name_and_is_written_down(door: Door, server: WebServer) -> None:
    with session(door, server.url) as web:
        assert web.get(f"{server.url}/page").text == "hello"
    assert server.asked[0].headers["user-agent"].startswith("noibo/")
    assert departures(door) == [server.url]


def test_a_status_that_is_no_passing_fault_is_the_callers(door: Door, server: WebServer) -> None:
    with session(door, server.url) as web:
        assert web.get(f"{server.url}/nowhere").status_code == 404
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_faults_are_tried_again(door: Door, server: WebServer, status: int) -> None:
    left = [status, status]
    server.answers["/shy"] = lambda _: Answer(left.pop()) if left else Answer(200, b"at last")
    with session(door, server.url) as web:
        assert web.get(f"{server.url}/shy").text == "at last"


def test_a_fault_that_stays_is_the_answer(door: Door, server: WebServer) -> None:
    server.answers["/down"] = Answer(503)
    with session(door, server.url) as web:
        assert web.get(f"{server.url}/down").status_code == 503
    assert len(server.asked) == 4


def test_who_asks_for_a_long_pause_is_left_alone(door: Door, server: WebServer) -> None:
    server.answers["/busy"] = Answer(429, b"", {"Retry-After": "3600"})
    with session(door, server.url) as web:
        assert web.get(f"{server.url}/busy").status_code == 429
    assert len(server.asked) == 1


def test_nobody_there_is_a_fetch_error_with_the_address(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with session(door, url) as web, pytest.raises(FetchError, match=r"127\.0\.0\.1.*refused"):
        web.get(f"{url}/page?token=secret")


def test_a_page_without_end_is_cut(door: Door, server: WebServer) -> None:
    server.files["/long"] = bytes(5000)
    with session(door, server.url) as web, pytest.raises(FetchError, match="more than it should"):
        web.get(f"{server.url}/long", limit=4999)


def test_no_cookie_is_kept(door: Door, server: WebServer) -> None:
    server.answers["/in"] = Answer(200, b"", {"Set-Cookie": "who=me; Path=/"})
    with session(door, server.url) as web:
        web.get(f"{server.url}/in")
        web.get(f"{server.url}/page")
    assert all("cookie" not in one.headers for one in server.asked)


def test_many_threads_share_a_session(door: Door, server: WebServer, other: WebServer) -> None:
    server.files["/big"] = bytes(range(256)) * 400
    server.answers["/far"] = Answer.to(f"{other.url}/page")

    def fetch(number: int) -> bytes:
        if number % 4 == 0:
            return web.get(f"{server.url}/far").content
        headers = {"Range": f"bytes={number * 1000}-{number * 1000 + 999}"}
        with web.open(f"{server.url}/big", headers) as response:
            assert response.status_code == 206
            return b"".join(response.iter_raw())

    shared = session(door, server.url, private_hosts=[other.place])
    with shared as web, ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(fetch, range(64)))
    for number, piece in enumerate(pieces):
        expected = server.files["/big"][number * 1000 : number * 1000 + 1000]
        assert piece == (b"other" if number % 4 == 0 else expected)


# ── the door ────────────────────────────────────────────────────────────────


def test_offline_refuses_before_any_name_is_looked_up(names: Names) -> None:
    names.answers["hub.example"] = [[PUBLIC]]
    with pytest.raises(EgressRefused, match="offline"):
        session(Door(offline=True), "https://hub.example")
    door = Door()
    with session(door, "https://hub.example") as web:
        door.offline = True
        for ask in (web.get, web.admit):
            with pytest.raises(EgressRefused, match="offline"):
                ask("https://hub.example/page")
    assert names.asked == []


def test_a_place_nobody_named_is_refused_without_a_look_up(
    door: Door, server: WebServer, names: Names
) -> None:
    names.answers["else.example"] = [[PUBLIC]]
    with session(door, server.url) as web, pytest.raises(EgressRefused, match="only http://127"):
        web.get("https://else.example/page")
    assert names.asked == []
    assert departures(door) == []


@pytest.mark.parametrize(
    "url", ["http://[::1/x", "http://a.example:99999/", "file:///x", "a.example/x", "//a.example/x"]
)
def test_what_is_no_address_is_refused(door: Door, server: WebServer, url: str) -> None:
    with pytest.raises((EgressRefused, FetchError)), session(door, url) as web:
        web.get(url)
    with session(door, server.url) as web:
        with pytest.raises((EgressRefused, FetchError)):
            web.get(url)
        with pytest.raises((EgressRefused, FetchError)):
            web.admit(url)
        with pytest.raises(FetchError, match="is no address"):
            web.get(f"{server.url}/\x02")
    assert server.asked == []


# ── redirects ───────────────────────────────────────────────────────────────


def test_a_redirect_within_a_place_is_followed(door: Door, server: WebServer) -> None:
    server.answers["/old"] = Answer.to("page")
    with session(door, server.url) as web:
        assert web.get(f"{server.url}/old").text == "hello"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_named_place_is_followed(
    door: Door, server: WebServer, other: WebServer, status: int
) -> None:
    server.answers["/far"] = Answer.to(f"{other.url}/page", status)
    with session(door, server.url, other.url) as web:
        assert web.get(f"{server.url}/far").text == "other"


@pytest.mark.parametrize("listed", ["127.0.0.1", "127.0.0.1:{port}"])
def test_a_redirect_to_a_listed_private_host_is_followed(
    door: Door, server: WebServer, other: WebServer, listed: str
) -> None:
    server.answers["/far"] = Answer.to(f"{other.url}/page")
    with session(door, server.url, private_hosts=[listed.format(port=other.port)]) as web:
        assert web.get(f"{server.url}/far").text == "other"
    assert departures(door) == [server.url, other.url]


INSIDE = [
    "http://127.0.0.1:{port}/page",
    "http://127.0.0.2:{port}/page",
    "http://localhost:{port}/page",
    "http://LOCALHOST.:{port}/page",
    "http://127.1:{port}/page",
    "http://2130706433:{port}/page",
    "http://0x7f000001:{port}/page",
    "http://0x7f.0.0.1:{port}/page",
    "http://017700000001:{port}/page",
    "http://127.0.0.1.:{port}/page",
    "http://0.0.0.0:{port}/page",
    "http://0:{port}/page",
    "http://[::1]:{port}/page",
    "http://[::]:{port}/page",
    "http://[::ffff:127.0.0.1]:{port}/page",
    "http://[::ffff:7f00:1]:{port}/page",
    "http://[::127.0.0.1]:{port}/page",
    "http://[64:ff9b::7f00:1]:{port}/page",
    "http://[2002:7f00:1::]:{port}/page",
    "http://user:pw@127.0.0.1:{port}/page",
    "//127.0.0.1:{port}/page",
    "https://127.0.0.1:{port}/page",
    "https://10.0.0.1/page",
    "https://172.16.0.1/page",
    "https://192.168.1.1/page",
    "https://100.64.0.1/page",
    "https://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "https://2852039166/latest/meta-data/",
    "https://[fe80::1]/page",
    "https://[fd00::1]/page",
    "https://[fec0::1]/page",
    "https://[::ffff:169.254.169.254]/page",
    "https://[::ffff:10.0.0.1]/page",
    "https://224.0.0.1/page",
    "https://[ff02::1]/page",
    "https://255.255.255.255/page",
    "https://240.0.0.1/page",
    "https://198.18.0.1/page",
    "https://inside.example/page",
    "https://half-inside.example/page",
]


@pytest.mark.parametrize("target", INSIDE)
def test_a_redirect_inside_is_refused_however_it_is_spelled(
    *,
    door: Door,
    server: WebServer,
    other: WebServer,
    names: Names,
    connected: list[str],
    target: str,
) -> None:
    names.answers["inside.example"] = [["10.1.2.3"]]
    names.answers["half-inside.example"] = [[PUBLIC, "127.0.0.1"]]
    server.answers["/far"] = Answer.to(target.format(port=other.port))
    with session(door, server.url) as web, pytest.raises(EgressRefused) as caught:
        web.get(f"{server.url}/far")
    assert "pw" not in str(caught.value)
    assert other.asked == []
    assert departures(door) == [server.url]
    assert connected == ["127.0.0.1"]  # the first place itself


@pytest.mark.parametrize(
    "target",
    [
        "http://0177.0.0.1:9/page",
        "http://①②⑦.⓪.⓪.①:9/page",
        "file:///etc/passwd",
        "ftp://ftp.example/x",
        "data:text/plain,hello",
        "gopher://127.0.0.1/x",
        "javascript:alert(1)",
        "unix:/var/run/docker.sock",
        "https://a.example:99999/",
        "http://[::1/page",
        "http://exa mple/",
        "http://\x01/",
    ],
)
def test_a_redirect_to_anything_but_a_web_address_is_refused(
    door: Door, server: WebServer, connected: list[str], target: str
) -> None:
    server.answers["/far"] = Answer.to(target)
    with session(door, server.url) as web:
        web.retries = 0
        with pytest.raises((EgressRefused, FetchError)):
            web.get(f"{server.url}/far")
    assert connected == ["127.0.0.1"]  # the place itself
    assert departures(door) == [server.url]


def test_a_circle_ends(door: Door, server: WebServer) -> None:
    server.answers["/round"] = Answer.to("/round")
    with session(door, server.url) as web, pytest.raises(FetchError, match="in a circle"):
        web.get(f"{server.url}/round")
    assert len(server.asked) == MAX_HOPS + 1


def test_ten_hops_are_followed(door: Door, server: WebServer) -> None:
    for number in range(MAX_HOPS):
        server.answers[f"/{number}"] = Answer.to(f"/{number + 1}")
    server.files[f"/{MAX_HOPS}"] = b"there"
    with session(door, server.url) as web:
        assert web.get(f"{server.url}/0").text == "there"


def test_a_second_hop_is_judged_like_the_first(
    door: Door, server: WebServer, other: WebServer
) -> None:
    server.answers["/far"] = Answer.to(f"{other.url}/on")
    with WebServer() as third:
        third.files["/page"] = b"inside"
        other.answers["/on"] = Answer.to(f"{third.url}/page")
        with (
            session(door, server.url, private_hosts=[other.place]) as web,
            pytest.raises(EgressRefused, match=f":{third.port} is on this machine"),
        ):
            web.get(f"{server.url}/far")
        assert third.asked == []


def test_a_public_place_may_send_to_another_public_one(
    door: Door, server: WebServer, names: Names, connected: list[str]
) -> None:
    names.answers["cdn.example"] = [[PUBLIC]]
    server.answers["/far"] = Answer.to("https://cdn.example/page")
    with session(door, server.url) as web, pytest.raises(FetchError, match="no such place"):
        web.retries = 0
        web.get(f"{server.url}/far")
    assert connected == ["127.0.0.1", PUBLIC]


def test_open_leaves_faults_on_the_way_to_the_download(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with (
        session(door, url) as web,
        pytest.raises(httpx2.ConnectError),
        web.open(f"{url}/page", {}),
    ):
        pass


# ── what is admitted ────────────────────────────────────────────────────────


def test_a_place_that_an_answer_names_is_judged_as_a_redirect(
    door: Door, server: WebServer, other: WebServer
) -> None:
    with session(door, server.url) as web, pytest.raises(EgressRefused, match="private_hosts"):
        web.admit(f"{other.url}/page")
    with session(door, server.url, private_hosts=[other.place]) as web:
        web.admit(f"{other.url}/page", server.url)
        assert web.get(f"{other.url}/page").text == "other"


# ── plain http ──────────────────────────────────────────────────────────────


def test_a_public_place_without_encryption_is_refused(
    door: Door, names: Names, connected: list[str]
) -> None:
    names.answers["plain.example"] = [[PUBLIC]]
    with (
        session(door, "http://plain.example") as web,
        pytest.raises(EgressRefused, match="not encrypted"),
    ):
        web.get("http://plain.example/page")
    with session(door, "http://plain.example", private_hosts=["plain.example"]) as web:
        web.retries = 0
        with pytest.raises(FetchError):
            web.get("http://plain.example/page")
    assert connected == [PUBLIC]


def test_a_named_place_inside_may_be_plain(door: Door, server: WebServer, names: Names) -> None:
    names.answers["mirror.lan"] = [["127.0.0.1"]]
    url = f"http://mirror.lan:{server.port}"
    with session(door, url) as web:
        assert web.get(f"{url}/page").text == "hello"
    assert server.names == {f"mirror.lan:{server.port}"}


# ── names and addresses ─────────────────────────────────────────────────────


def test_a_name_is_looked_up_once_and_its_address_stays(
    door: Door, server: WebServer, names: Names
) -> None:
    names.answers["mirror.lan"] = [["127.0.0.1"], ["127.0.0.2"]]
    url = f"http://mirror.lan:{server.port}"
    with WebServer(host="127.0.0.2", port=server.port) as elsewhere, session(door, url) as web:
        for _ in range(3):
            assert web.get(f"{url}/page").text == "hello"
    assert elsewhere.asked == []
    assert names.asked == ["mirror.lan"]


def test_the_address_that_was_judged_is_the_one_connected_to(
    door: Door, server: WebServer, names: Names, connected: list[str]
) -> None:
    names.answers["rebind.example"] = [[PUBLIC], ["127.0.0.1"]]
    server.answers["/far"] = Answer.to(f"https://rebind.example:{server.port}/page")
    with session(door, server.url) as web:
        web.retries = 0
        with pytest.raises(FetchError):
            web.get(f"{server.url}/far")
        assert connected == ["127.0.0.1", PUBLIC]
        with pytest.raises(EgressRefused, match="on this machine"):  # asked anew, judged anew
            web.get(f"{server.url}/far")
    assert connected == ["127.0.0.1", PUBLIC, "127.0.0.1"]
    assert server.paths() == ["/far", "/far"]


def test_a_second_address_is_tried_when_the_first_does_not_answer(
    door: Door, server: WebServer, names: Names, connected: list[str]
) -> None:
    names.answers["mirror.lan"] = [["127.0.0.3", "127.0.0.1"]]
    url = f"http://mirror.lan:{server.port}"
    with session(door, url) as web:
        assert web.get(f"{url}/page").text == "hello"
        server.answers["/bye"] = Answer(200, b"", {"Connection": "close"})
        web.get(f"{url}/bye")
        assert web.get(f"{url}/page").text == "hello"
    assert connected == ["127.0.0.3", "127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (PUBLIC, False),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", False),
        ("64:ff9b::5db8:d70e", False),
        ("64:ff9b::a00:1", True),
        ("::ffff:93.184.215.14", False),
        ("2002:a00:1::", True),
        ("192.0.2.1", True),
        ("0.0.0.0", True),
    ],
)
def test_addresses_are_known_for_what_they_are(text: str, inside: bool) -> None:
    assert is_inside(ipaddress.ip_address(text)) is inside


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.1", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("a.localhost.", "127.0.0.1"),
     ("::1", "::1"), ("hub.example", None), ("1.2.3.4.5", None)],
)  # fmt: skip
def test_spelled_addresses_are_read_without_dns(host: str, address: str | None) -> None:
    assert [str(one) for one in spelled(host)] == ([address] if address else [])


@pytest.mark.parametrize(
    "entry", ["", "a/b", "user@host", "host:port", "https://host", "a b:99999"]
)
def test_a_private_host_that_is_none_is_said(entry: str) -> None:
    with pytest.raises(SettingsError, match="private_hosts"):
        AddressBook([], [entry])


@pytest.mark.parametrize("entry", ["::1", "[::1]", "[::1]:8080", "Mirror.LAN", "mirror.lan:8080"])
def test_private_hosts_are_hosts_with_or_without_a_port(entry: str) -> None:
    book = AddressBook([], [entry])
    host = "[::1]" if ":" in entry[:3] else "mirror.lan"
    assert book.is_listed(Destination.of(f"http://{host}:8080"))
    assert book.is_listed(Destination.of(f"http://{host}:9")) is ("8080" not in entry)
    assert not book.is_listed(Destination.of("http://other.lan:8080"))


# ── credentials ─────────────────────────────────────────────────────────────


def test_credentials_go_to_their_place_only(
    door: Door, server: WebServer, other: WebServer
) -> None:
    server.answers["/far"] = Answer.to(f"{other.url}/page")
    server.answers["/near"] = Answer.to("/page")
    auth = httpx2.BasicAuth("user", "password")
    with session(door, server.url, private_hosts=[other.place], auth=auth) as web:
        web.get(f"{server.url}/near")
        web.get(f"{server.url}/far")
        web.get(f"{server.url}/far", {"Authorization": "Bearer own", "Cookie": "a=b"})
        web.admit(other.url)
        web.get(f"{other.url}/page")
    assert all(one.authorization for one in server.asked)
    assert len(other.asked) == 3
    assert all(one.authorization is None for one in other.asked)
    assert all("cookie" not in one.headers for one in other.asked)


def test_a_header_of_the_callers_goes_no_further_than_its_place(
    door: Door, server: WebServer, other: WebServer
) -> None:
    server.answers["/far"] = Answer.to(f"{other.url}/back")
    other.answers["/back"] = Answer.to(f"{server.url}/page")
    with session(door, server.url, other.url) as web:
        web.get(f"{server.url}/far", {"Authorization": "Bearer own"})
    assert [one.authorization for one in (*server.asked, *other.asked)] == [
        "Bearer own",
        None,
        None,
    ]


def test_a_password_in_a_redirect_is_not_used(door: Door, server: WebServer) -> None:
    server.answers["/far"] = Answer.to(f"http://user:pw@{server.place}/page")
    with session(door, server.url) as web:
        web.get(f"{server.url}/far")
    assert [one.authorization for one in server.asked] == [None, None]


# ── certificates ────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[WebServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("models.example").configure_cert(context)
    with WebServer(tls=context) as running:
        running.files["/page"] = b"secure"
        yield running


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_the_name_stays_in_the_handshake_though_the_address_is_pinned(
    *,
    door: Door,
    secure: WebServer,
    bundle: str,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, bundle)
    names.answers["models.example"] = [["127.0.0.1"]]
    url = f"https://models.example:{secure.port}"
    with session(door, url) as web:
        assert web.get(f"{url}/page").text == "secure"
    assert secure.names == {f"models.example:{secure.port}"}


def test_a_certificate_of_another_name_is_refused_at_once(
    door: Door, secure: WebServer, bundle: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    names.answers["other.example"] = [["127.0.0.1"]]
    url = f"https://other.example:{secure.port}"
    with session(door, url) as web:
        web.retries = 100
        with pytest.raises(FetchError, match="certificate is not trusted"):
            web.get(f"{url}/page")
    assert secure.asked == []


def test_one_address_with_two_names_is_two_connections(
    door: Door, secure: WebServer, bundle: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose certificate was checked for one name never serves another."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    names.answers["models.example"] = names.answers["other.example"] = [["127.0.0.1"]]
    good, bad = (f"https://{name}.example:{secure.port}" for name in ("models", "other"))
    with session(door, good, bad) as web:
        assert web.get(f"{good}/page").text == "secure"
        with pytest.raises(FetchError, match="certificate"):
            web.get(f"{bad}/page")


def test_https_never_becomes_http(
    *,
    door: Door,
    secure: WebServer,
    server: WebServer,
    bundle: str,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    names.answers["models.example"] = [["127.0.0.1"]]
    url = f"https://models.example:{secure.port}"
    secure.answers["/down"] = Answer.to(f"{server.url}/page")
    with session(door, url, server.url, private_hosts=[server.place]) as web:
        with pytest.raises(EgressRefused, match="from https down to"):
            web.get(f"{url}/down")
        with pytest.raises(EgressRefused, match="from https down to"):
            web.admit(f"{server.url}/page", url)
    assert server.asked == []


def test_a_header_does_not_climb_from_http_to_https(
    *,
    door: Door,
    secure: WebServer,
    server: WebServer,
    bundle: str,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another port is another place, though clients count this step as the same one."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    names.answers["models.example"] = [["127.0.0.1"]]
    ports = {80: server.port, 443: secure.port}  # which only root may listen on
    real = socket.create_connection

    def connect(address: tuple[str, int], *rest: Any, **options: Any) -> socket.socket:
        return real((address[0], ports.get(address[1], address[1])), *rest, **options)

    monkeypatch.setattr(socket, "create_connection", connect)
    server.answers["/up"] = Answer.to("https://models.example/page")
    with session(door, "http://models.example", private_hosts=["models.example"]) as web:
        answer = web.get("http://models.example/up", {"Authorization": "Bearer own"})
    assert answer.text == "secure"
    assert server.asked[0].authorization == "Bearer own"
    assert secure.asked[0].authorization is None


# ── proxies ─────────────────────────────────────────────────────────────────


def test_the_environments_proxy_is_used_and_passes_the_door(
    door: Door,
    secure: WebServer,
    bundle: str,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    names.answers["models.example"] = [["10.9.9.9"]]  # never asked: the proxy looks names up
    with ProxyServer("secret", {"models.example": secure.port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with session(door, "https://models.example") as web:
            assert web.get("https://models.example/page").text == "secure"
        assert proxy.asked == ["CONNECT models.example:443"]
    assert names.asked == []
    assert departures(door) == ["https://models.example:443", f"http://127.0.0.1:{proxy.port}"]


def test_no_proxy_is_heeded(door: Door, server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with ProxyServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with session(door, server.url) as web:
            assert web.get(f"{server.url}/page").text == "hello"
        assert proxy.asked == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "localhost", "169.254.169.254", "[::1]"]
)
def test_a_proxy_is_not_sent_inside_either(
    door: Door, server: WebServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    def redirect(_: Asked) -> Answer:
        return Answer.to(f"https://{host}:9/page")

    server.answers["/far"] = redirect
    with ProxyServer() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        with (
            session(door, server.url) as web,
            pytest.raises(EgressRefused, match="on this machine"),
        ):
            web.get(f"{server.url}/far")
        assert proxy.asked == [f"GET {server.url}/far"]


def test_the_way_itself_sends_no_proxy_inside(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    with ProxyServer() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        way = WebTransport(door.open(Purpose.MODEL_FILE, ()), AddressBook((), ()), Waits(Cancel()))
        with pytest.raises(EgressRefused, match="on this machine"):
            way.handle_request(httpx2.Request("GET", "https://169.254.169.254/x"))
        assert proxy.asked == []
