from __future__ import annotations

import json
import re
from pathlib import Path

import httpx2
import pytest

from noibo import guarded
from noibo.egress import Destination, Door, Purpose, is_loopback, require_loopback
from noibo.errors import EgressRefused

INDEX = "https://index.example/simple/"


def answered(request: httpx2.Request) -> httpx2.Response:
    if request.url.path == "/moved":
        return httpx2.Response(302, headers={"Location": "https://elsewhere.example/x"})
    return httpx2.Response(200, text=str(request.url))


def door_with(tmp_path: Path, *, offline: bool = False) -> Door:
    return Door(offline=offline, record=tmp_path / "deep" / "egress.jsonl")


def test_only_what_was_declared_may_be_reached(tmp_path: Path) -> None:
    passed = door_with(tmp_path).open(Purpose.PACKAGE_INDEX, [Destination.of(INDEX)])
    with guarded.client(passed, httpx2.MockTransport(answered)) as client:
        assert client.get(INDEX).status_code == 200
        for other in ("https://index.example:444/", "http://index.example/", "https://b.example/"):
            with pytest.raises(EgressRefused, match=r"only https://index\.example:443"):
                client.get(other)


def test_a_redirect_is_checked_too(tmp_path: Path) -> None:
    passed = door_with(tmp_path).open(Purpose.PACKAGE_INDEX, [Destination.of(INDEX)])
    transport = httpx2.MockTransport(answered)
    with guarded.client(passed, transport, follow_redirects=True) as client:
        with pytest.raises(EgressRefused, match="elsewhere"):
            client.get("https://index.example/moved")
        passed.admit("https://elsewhere.example/")
        assert client.get("https://index.example/moved").text == "https://elsewhere.example/x"


def test_offline_opens_nothing_and_closes_what_was_open(tmp_path: Path) -> None:
    with pytest.raises(EgressRefused, match="offline"):
        door_with(tmp_path, offline=True).open(Purpose.PACKAGE_INDEX, [Destination.of(INDEX)])
    door = door_with(tmp_path)
    passed = door.open(Purpose.PACKAGE_INDEX, [Destination.of(INDEX)])
    door.offline = True
    with pytest.raises(EgressRefused, match="offline"):
        passed.check(INDEX)


def test_every_departure_is_written_down_and_no_refusal_is(tmp_path: Path) -> None:
    door = door_with(tmp_path)
    passed = door.open(Purpose.PACKAGE_INDEX, [Destination.of(INDEX)])
    passed.check("https://user:secret@index.example/simple/x?token=secret")
    with pytest.raises(EgressRefused):
        passed.check("https://other.example/")
    assert door.record is not None
    text = door.record.read_text()
    assert "secret" not in text
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["purpose"], row["destination"]) for row in rows] == [
        ("package_index", "https://index.example:443")
    ]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80", "http://[::1]:9", "http://localhost/", "http://127.9.9.9"]
)
def test_loopback_is_known(url: str) -> None:
    assert is_loopback(url)
    assert require_loopback(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1.example/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://example/@127.0.0.1",
        "http://localhost.example/",
        "http://2130706433/",
        "not a url",
    ],
)
def test_what_only_looks_like_loopback_is_not(url: str) -> None:
    assert not is_loopback(url)
    with pytest.raises(EgressRefused):
        require_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://a/", "file:///etc/passwd", "//a/b", "https:///x", "http://[::1"),
        *("http://exa mple/", "http://exa%20mple/", "http://a%2eexample/", "http://a\\b/"),
    ],
)
def test_only_http_is_a_destination(url: str) -> None:
    with pytest.raises(EgressRefused):
        Destination.of(url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://A.example/x", "a.example"),
        ("https://ví-dụ.vn", "ví-dụ.vn"),
        ("http://my_host:8000/v1", "my_host"),
        ("http://[fe80::1%eth0]:80/", "fe80::1%eth0"),
    ],
)
def test_names_and_numbers_are_destinations(url: str, host: str) -> None:
    assert Destination.of(url).host == host


def test_nothing_else_in_noibo_makes_outbound_connections() -> None:
    """Modules that can open sockets are few, and each is known to go through the door."""
    source = Path(__file__).parent.parent / "src" / "noibo"
    makers = re.compile(
        r"^\s*(?:import|from) "
        r"(?:httpx2?|httpcore2?|aiohttp|urllib\.request|requests|http\.client|socket)\b"
        r"|\b(?:create|open)_(?:unix_)?connection\(|create_datagram_endpoint\(",
        re.MULTILINE,
    )
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if makers.search(path.read_text())
    }
    assert found <= {
        "guarded.py",  # the door
        "client/connection.py",  # asks the door for any address but loopback
        "client/calls.py",  # types: answers and time limits
        "serving.py",  # listens
        "connections/sockets.py",  # options of sockets that listen
        "engines/line.py",  # workers: require_loopback
        "evaluation/calling.py",  # what is benched: require_loopback
        "engines/echo_process.py",  # listens on loopback
        "engines/hosted/scores.py",  # listens on loopback
        "engines/hosted/shell.py",  # listens on loopback
        "engines/llama_cpp/score_process.py",  # listens on loopback
        "engines/child.py",  # looks for a free port on loopback
        "engines/vllm/process.py",  # looks whether vLLM answers, on loopback
        "engines/isolation/refusals.py",  # names of sockets that a worker may not have
        "engines/isolation/trial.py",  # tries what must be refused, on loopback
        "cli/doctor_isolation.py",  # listens on loopback for that trial
        "routing/clients.py",  # HybridLLM: loopback, or through a pass
        "routing/endpoint.py",  # by the clients of that
        "gateway/watching/collector.py",  # spans: to loopback, or through a pass
        "gateway/watching/spans.py",  # a type, and faults
        "modelstore/index/index_session.py",  # through a pass
        "modelstore/index/network.py",
        "modelstore/index/package_index.py",
        "modelstore/web/session.py",  # through a pass, and to addresses that were judged
        "modelstore/web/transport.py",
        "modelstore/web/waits.py",
        "modelstore/web/address.py",
        "modelstore/sources/hub_library.py",  # the hub's library, held to a web session
        "modelstore/sources/hub_endpoint.py",
        "modelstore/sources/github.py",  # types: answers, faults and credentials of those above
        "modelstore/sources/registry_room.py",
        "modelstore/sources/web.py",
        "modelstore/download/answer.py",
        "modelstore/download/faults.py",
        "modelstore/download/lanes.py",
        "modelstore/download/spans.py",
        "modelstore/index/ranged_file.py",
        "modelstore/download/claim.py",
        "modelstore/web/faults.py",
        "modelstore/web/credentials.py",
        "cli/doctor_network.py",  # is our own port taken; --online through the puller's door
    }
