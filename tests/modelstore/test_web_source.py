from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from noibo.egress import Door
from noibo.errors import BadReference, DigestMismatch, EgressRefused, FetchError
from noibo.modelstore.offer import Offer
from noibo.modelstore.origin import Web
from noibo.modelstore.progress import Cancel, ignore
from noibo.modelstore.sources.web import Address, WebSource
from noibo.settings import Fetch
from tests.modelstore.hub_server import Answer, WebServer

MODEL = bytes(range(256)) * 40
DIGEST = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(record=tmp_path / "egress.jsonl")


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        running.files["/models/tiny model.gguf"] = MODEL
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "partial"


def bring(offered: Offer, folder: Path) -> list[bytes]:
    return [one.fetch(folder, 0, ignore, Cancel()).path.read_bytes() for one in offered.files]


def test_a_file_comes_from_its_address(door: Door, server: WebServer, folder: Path) -> None:
    origin = Web(f"{server.url}/models/tiny%20model.gguf?token=secret")
    with WebSource(door, Fetch()).offer(origin, ignore) as offered:
        (file,) = offered.files
        assert (file.role, file.name) == ("model", "tiny model.gguf")
        assert (file.size, file.sha256) == (None, None)
        assert "secret" not in offered.source
        assert "secret" not in repr(offered)
        assert bring(offered, folder) == [MODEL]
    assert server.asked[0].query == {"token": ["secret"]}


@pytest.mark.parametrize("pin", [f"#sha256={DIGEST}", f"#sha256:{DIGEST.upper()}"])
def test_a_pinned_digest_is_kept_to(door: Door, server: WebServer, folder: Path, pin: str) -> None:
    origin = Web(f"{server.url}/models/tiny%20model.gguf{pin}")
    with WebSource(door, Fetch()).offer(origin, ignore) as offered:
        assert offered.files[0].sha256 == DIGEST
        assert bring(offered, folder) == [MODEL]
    server.files["/models/tiny model.gguf"] = MODEL[::-1]
    origin = Web(f"{server.url}/models/tiny%20model.gguf#sha256={'0' * 64}")
    with (
        WebSource(door, Fetch()).offer(origin, ignore) as offered,
        pytest.raises(DigestMismatch),
    ):
        bring(offered, folder)


@pytest.mark.parametrize("fragment", ["x", "sha256=", "sha256=abc", f"md5={DIGEST}"])
def test_a_fragment_that_is_no_pin_is_refused(fragment: str) -> None:
    with pytest.raises(BadReference, match="sha256="):
        Address.of(f"https://host.example/x.gguf#{fragment}")


def test_a_password_goes_to_its_host_and_is_never_shown(
    door: Door, server: WebServer, folder: Path, tmp_path: Path
) -> None:
    with WebServer() as other:
        other.files["/x.gguf"] = MODEL
        server.answers["/models/x.gguf"] = Answer.to(f"{other.url}/x.gguf")
        origin = Web(f"http://us%40er:p%2Fw@{server.place}/models/x.gguf")
        source = WebSource(door, Fetch(private_hosts=(other.place,)))
        with source.offer(origin, ignore) as offered:
            for text in (offered.source, repr(offered), repr(Address.of(origin.url))):
                assert "p%2Fw" not in text
                assert "p/w" not in text
            assert bring(offered, folder) == [MODEL]
        assert {one.authorization for one in other.asked} == {None}
    expected = base64.b64encode(b"us@er:p/w").decode()
    assert {one.authorization for one in server.asked} == {f"Basic {expected}"}
    for path in tmp_path.rglob("*.json*"):
        assert "p%2Fw" not in path.read_text()
        assert "p/w" not in path.read_text()


def test_the_parts_of_a_split_model_come_together(
    door: Door, server: WebServer, folder: Path
) -> None:
    for number in (1, 2):
        server.files[f"/x-0000{number}-of-00002.gguf"] = MODEL[number:]
    origin = Web(f"{server.url}/x-00001-of-00002.gguf")
    with WebSource(door, Fetch()).offer(origin, ignore) as offered:
        assert [one.role for one in offered.files] == ["model", "part"]
        assert bring(offered, folder) == [MODEL[1:], MODEL[2:]]


@pytest.mark.parametrize("ending", [f"?sig=x#sha256={DIGEST}", "?sig=x", f"#sha256={DIGEST}"])
def test_parts_whose_addresses_do_not_follow_are_refused(door: Door, ending: str) -> None:
    origin = Web(f"https://host.example/x-00001-of-00002.gguf{ending}")
    with (
        pytest.raises(BadReference, match="one of 2 parts"),
        WebSource(door, Fetch()).offer(origin, ignore),
    ):
        pass


def test_a_file_that_is_not_there_is_said(door: Door, server: WebServer, folder: Path) -> None:
    origin = Web(f"{server.url}/gone.gguf")
    with (
        WebSource(door, Fetch()).offer(origin, ignore) as offered,
        pytest.raises(FetchError, match="404"),
    ):
        bring(offered, folder)


def test_a_redirect_inside_is_refused_while_downloading(
    door: Door, server: WebServer, folder: Path
) -> None:
    with WebServer() as other:
        other.files["/x.gguf"] = MODEL
        server.answers["/x.gguf"] = Answer.to(f"{other.url}/x.gguf")
        origin = Web(f"{server.url}/x.gguf")
        with (
            WebSource(door, Fetch()).offer(origin, ignore) as offered,
            pytest.raises(EgressRefused, match="on this machine"),
        ):
            bring(offered, folder)
        assert other.asked == []


def test_a_public_address_without_encryption_is_refused(door: Door, folder: Path) -> None:
    origin = Web("http://93.184.215.14/x.gguf")
    with (
        WebSource(door, Fetch()).offer(origin, ignore) as offered,
        pytest.raises(EgressRefused, match="not encrypted"),
    ):
        bring(offered, folder)


def test_offline_asks_nobody(server: WebServer) -> None:
    origin = Web(f"{server.url}/models/tiny%20model.gguf")
    source = WebSource(Door(offline=True), Fetch())
    with pytest.raises(EgressRefused, match="offline"), source.offer(origin, ignore):
        pass
    assert server.asked == []
