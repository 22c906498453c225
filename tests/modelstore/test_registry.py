"""Models of a registry: a real one on this machine, honest and hostile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from noibo.egress import Door
from noibo.errors import (
    AccessNeeded,
    DigestMismatch,
    EgressRefused,
    FetchError,
    NoiboError,
    NotOffered,
    StoreError,
)
from noibo.modelstore.offer import Fetched, Offer
from noibo.modelstore.origin import Registry, parse
from noibo.modelstore.progress import Cancel, Progress, ignore
from noibo.modelstore.reference import Reference
from noibo.modelstore.sources.registry import RegistrySource
from noibo.modelstore.sources.registry_room import RegistryRoom, addresses
from noibo.settings import Fetch
from tests.modelstore.registry_server import DOCKER, OLLAMA, RegistryServer, digest_of

MODEL = b"GGUF\x03\0\0\0" + bytes(range(256)) * 400
PROJECTOR = b"GGUF\x03\0\0\0 projector"
ADAPTER = b"GGUF\x03\0\0\0 adapter"
TINY = "library/tiny:latest"
REFUSED = r"not followed|is not an http\(s\) address|is no address"


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def store() -> Iterator[RegistryServer]:
    """Another place, where blobs lie."""
    with RegistryServer() as server:
        yield server


def source(registry: RegistryServer, **fetch: Any) -> RegistrySource:
    return RegistrySource(Door(), Fetch(registry=registry.origin, connections=2, **fetch))


def named(name: str = "ollama.com/library/tiny") -> Registry:
    found = parse(name)
    assert isinstance(found, Registry)
    return found


def offered(registry: RegistryServer, name: str = "ollama.com/library/tiny", **fetch: Any) -> Offer:
    with source(registry, **fetch).offer(named(name), lambda _: None) as offer:
        return offer


def pulled(registry: RegistryServer, folder: Path, **fetch: Any) -> list[Fetched]:
    with source(registry, **fetch).offer(named(), lambda _: None) as offer:
        return [file.fetch(folder, 0, lambda _: None, Cancel()) for file in offer.files]


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_a_model_comes_with_all_that_belongs_to_it(
    registry: RegistryServer, tmp_path: Path
) -> None:
    registry.add(
        TINY,
        [
            ("model", MODEL),
            ("projector", PROJECTOR),
            ("adapter", ADAPTER),
            ("adapter", ADAPTER + b"2"),
            ("template", b"{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"),
            ("system", b"Be kind."),
            ("params", b'{"stop": ["<user>"], "temperature": 0.5}'),
            ("license", b"MIT License\n\nCopyright (c) 2026 Acme\n"),
            ("messages", b'[{"role": "user", "content": "hi"}]'),
            ("unheard.of", b"never fetched"),
        ],
    )
    with source(registry).offer(named(), lambda _: None) as offer:
        got = [file.fetch(tmp_path, 0, lambda _: None, Cancel()) for file in offer.files]
    assert [(file.role, file.name) for file in offer.files] == [
        ("model", "tiny.gguf"),
        ("projector", "tiny-projector.gguf"),
        ("adapter", "tiny-adapter.gguf"),
        ("adapter", "tiny-adapter-2.gguf"),
    ]
    assert [one.path.read_bytes() for one in got] == [MODEL, PROJECTOR, ADAPTER, ADAPTER + b"2"]
    assert f"sha256:{got[0].sha256}" == digest_of(MODEL)
    assert offer.source == "ollama.com/library/tiny:latest"
    assert offer.licence == "MIT License"
    assert offer.licence_text and "Acme" in offer.licence_text
    assert offer.licence_link == "https://ollama.com/library/tiny:latest"
    assert offer.defaults.template and "go.messages" in offer.defaults.template
    assert offer.defaults.system == "Be kind."
    assert offer.defaults.parameters == {"stop": ["<user>"], "temperature": 0.5}
    assert offer.defaults.messages == ({"role": "user", "content": "hi"},)
    assert not registry.asked(digest_of(b"never fetched"))
    assert DOCKER in registry.asked("/manifests/")[0]["accept"]


def test_other_namespaces_tags_and_hosts_have_their_own_addresses(registry: RegistryServer) -> None:
    registry.add("acme/tiny:8b-q4_0", [("model", MODEL)])
    assert offered(registry, "ollama.com/acme/tiny:8b-q4_0").files
    host = registry.origin.removeprefix("http://")
    elsewhere = RegistrySource(Door(), Fetch(registry="https://unused.invalid"))
    with elsewhere.offer(named(f"{host}/acme/tiny:8b-q4_0"), lambda _: None) as offer:
        assert offer.files[0].sha256 == digest_of(MODEL).removeprefix("sha256:")
    assert offer.licence_link is None


def test_the_scheme_follows_from_the_host() -> None:
    def of(host: str, *private: str) -> tuple[str, ...]:
        return addresses(Reference("x", host=host), Fetch(private_hosts=private))

    assert of("registry.ollama.ai") == ("https://registry.ollama.ai",)
    assert of("ghcr.io") == ("https://ghcr.io",)
    assert of("localhost:5000") == ("http://localhost:5000",)
    assert of("127.0.0.1:5000") == ("http://127.0.0.1:5000",)
    assert of("10.1.2.3:5000") == ("https://10.1.2.3:5000", "http://10.1.2.3:5000")
    assert of("hub.lan") == ("https://hub.lan",)
    assert of("hub.lan", "hub.lan:80") == ("https://hub.lan", "http://hub.lan")


def test_who_speaks_no_https_is_noticed(registry: RegistryServer) -> None:
    place = registry.origin.removeprefix("http://")
    for scheme, speaks in (("https", False), ("http", True)):
        with RegistryRoom(Door(), Fetch(), f"{scheme}://{place}", Reference("tiny")) as room:
            assert room.answers() is speaks


def test_blobs_may_lie_in_another_place_that_is_allowed(
    registry: RegistryServer, store: RegistryServer, tmp_path: Path
) -> None:
    registry.add(TINY, [("model", MODEL)])
    store.blobs = registry.blobs
    registry.trouble.redirect = store.origin
    with pytest.raises(EgressRefused, match="its own network"):
        pulled(registry, tmp_path)
    assert not store.requests
    got = pulled(registry, tmp_path, private_hosts=(f"127.0.0.1:{store.port}",))
    assert got[0].path.read_bytes() == MODEL


def test_a_token_for_nobody_is_asked_for_and_stays_at_the_registry(
    registry: RegistryServer, store: RegistryServer, tmp_path: Path
) -> None:
    registry.add(TINY, [("model", MODEL), ("system", b"s")])
    store.blobs = registry.blobs
    registry.trouble.redirect = store.origin
    registry.trouble.token = "secret"
    pulled(registry, tmp_path, private_hosts=(f"127.0.0.1:{store.port}",))
    assert registry.tokens_given == 1
    assert registry.asked("/token")[0].get("authorization") is None
    assert any(headers.get("authorization") for headers in registry.asked("/manifests/"))
    assert store.requests
    assert not any("authorization" in headers for _, headers in store.requests)


def test_a_token_that_runs_out_is_renewed(registry: RegistryServer, tmp_path: Path) -> None:
    registry.add(TINY, [("model", MODEL), ("system", b"s")])
    registry.trouble.token = "secret"
    registry.trouble.token_lasts = 1
    assert pulled(registry, tmp_path)[0].path.read_bytes() == MODEL
    assert registry.tokens_given >= 3


def test_a_registry_that_takes_no_token_is_not_asked_for_ever(registry: RegistryServer) -> None:
    registry.add(TINY, [("model", MODEL)])
    registry.trouble.token = "secret"
    registry.trouble.token_page = b'{"access_token": "wrong"}'
    with pytest.raises(AccessNeeded):
        offered(registry)
    assert len(registry.asked("/token")) == 1


@pytest.mark.parametrize(
    "page", [b"", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\r\\nX-Evil: 1"}', b"<html>"]
)
def test_a_token_page_without_a_token_is_an_error(registry: RegistryServer, page: bytes) -> None:
    registry.trouble.token = "secret"
    registry.trouble.token_page = page
    with pytest.raises(FetchError, match="gives no token"):
        offered(registry)


def test_a_token_is_not_asked_for_in_the_open_or_inside(
    registry: RegistryServer, store: RegistryServer
) -> None:
    registry.trouble.token = "secret"
    for realm in (
        f"{store.origin}/token",
        "http://auth.invalid/token",
        "file:///etc/passwd",
        "https://127.0.0.1:9/token",
        "https://169.254.169.254/latest",
        "token",
    ):
        registry.trouble.realm = realm
        with pytest.raises(EgressRefused):
            offered(registry)
    assert not store.requests


def test_what_a_registry_does_not_have_or_not_give(registry: RegistryServer) -> None:
    with pytest.raises(NotOffered, match="MANIFEST_UNKNOWN: manifest unknown"):
        offered(registry)
    trouble = registry.trouble
    trouble.error = {
        "errors": [{"code": "DENIED", "message": "\x1b[31mpay \u202efirst" + "!" * 999}]
    }
    for status in (401, 403):
        trouble.manifest_status = status
        with pytest.raises(AccessNeeded, match="DENIED") as caught:
            offered(registry)
        assert caught.value.message.isprintable() and len(caught.value.message) < 400
    trouble.manifest_status = 418
    for trouble.error in ([], {"errors": {}}, {"errors": [5, None]}, b"<html>", b"[" * 50_000):
        with pytest.raises(FetchError, match="418"):
            offered(registry)


def test_a_page_in_place_of_a_manifest_is_named(registry: RegistryServer) -> None:
    registry.trouble.web_page = True
    with pytest.raises(FetchError, match="web page"):
        offered(registry)


def test_nobody_there_is_an_error_with_words() -> None:
    with RegistryServer() as gone:
        fetch = Fetch(registry=gone.origin)
    closed = RegistrySource(Door(offline=True), fetch)
    with (
        pytest.raises(EgressRefused, match="offline"),
        closed.offer(named(), lambda _: None),
    ):
        pass


def test_the_host_that_is_really_asked_is_named(registry: RegistryServer, tmp_path: Path) -> None:
    registry.add(TINY, [("model", MODEL)])
    host = registry.origin.removeprefix("http://")
    seen: list[Progress] = []
    with source(registry).offer(named(), seen.append) as offer:
        (file,) = offer.files
        file.fetch(tmp_path, 0, ignore, Cancel())
    assert seen[0].note == f"Asking {host} for tiny:latest."
    with pytest.raises(NotOffered, match=f"{host} has no other:latest"):
        offered(registry, "ollama.com/library/other")
    registry.trouble.served = {digest_of(MODEL): MODEL[:-1] + b"?"}
    with pytest.raises((FetchError, DigestMismatch), match=f"from {host}"):
        pulled(registry, tmp_path / "again")


def test_notes_are_reported(registry: RegistryServer) -> None:
    config = json.dumps({"renderer": "own"}).encode()
    registry.add(TINY, [("model", MODEL), ("template", b"{{ .Prompt }}!")], config)
    seen: list[Progress] = []
    with source(registry).offer(named(), seen.append) as offer:
        assert offer.defaults.template is None
    assert any("renderer" in step.note for step in seen)


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _longer(data: bytes) -> bytes:
    return data + b"x"


def _changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("how", [_cut, _longer, _changed, _nothing])
@pytest.mark.parametrize("which", ["model", "projector", "system", "config"])
def test_other_bytes_than_promised_are_never_kept(
    registry: RegistryServer, tmp_path: Path, how: Callable[[bytes], bytes], which: str
) -> None:
    blobs = {"model": MODEL, "projector": PROJECTOR, "system": b"Be kind."}
    manifest = registry.add(TINY, list(blobs.items()))
    digest = manifest["config"]["digest"] if which == "config" else digest_of(blobs[which])
    registry.trouble.served = {digest: how(registry.blobs[digest])}
    inside = tmp_path / "partial"
    with pytest.raises((DigestMismatch, FetchError, StoreError)):
        pulled(registry, inside)
    kept = {path for path in inside.glob("*") if path.suffix not in {".part", ".json"}}
    assert f"sha256-{digest.removeprefix('sha256:')}" not in {path.name for path in kept}
    assert everything(tmp_path) == {f"partial/{name}" for name in everything(inside)}


def test_small_files_are_bounded(registry: RegistryServer) -> None:
    registry.add(TINY, [("model", MODEL), ("license", b"x" * (2**20 + 1))])
    with pytest.raises(FetchError, match="more than such a file has"):
        offered(registry)
    registry.add(TINY, [("model", MODEL), *(("license", b"%d" % n) for n in range(40))])
    with pytest.raises(FetchError, match="40 templates"):
        offered(registry)


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:,GGUF",
        "gopher://127.0.0.1:70/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:1/x",
        "http://localhost:1/x",
        "http://2130706433:1/x",
        "https://10.0.0.1/x",
        "//127.0.0.2:1/x",
    ],
)
def test_redirects_to_files_and_inside_are_refused(
    registry: RegistryServer, tmp_path: Path, target: str
) -> None:
    registry.add(TINY, [("model", MODEL)])
    registry.trouble.redirect = target
    with pytest.raises((EgressRefused, FetchError), match=REFUSED):
        pulled(registry, tmp_path / "partial")
    registry.trouble.redirect, registry.trouble.redirect_manifest = "", target
    with pytest.raises((EgressRefused, FetchError), match=REFUSED):
        pulled(registry, tmp_path / "partial")
    assert everything(tmp_path) == set()


@pytest.mark.shared
def test_every_shared_case_is_refused_and_nothing_lies_outside(
    registry: RegistryServer, tmp_path: Path, shared: Path
) -> None:
    cases = json.loads((shared / "hostile/manifests.json").read_bytes())
    inside = tmp_path / "deep/er/partial"
    before = everything(tmp_path)
    for case in cases:
        registry.trouble.redirect = ""
        registry.trouble.served = {}
        honest = registry.add(TINY, [("model", MODEL)])
        if "manifest" in case:
            registry.publish(TINY, case["manifest"])
            layers = case["manifest"]["layers"] or []
            wrong = case.get("served_blob", "12345").encode()
            registry.trouble.served = {layer["digest"]: wrong for layer in layers}
        elif "redirect" in case:
            registry.trouble.redirect = case["redirect"]
        else:
            layer = {"mediaType": OLLAMA + "model", "digest": digest_of(MODEL), "size": len(MODEL)}
            registry.publish(TINY, {**honest, "layers": [layer] * 100_000})
        with pytest.raises(NoiboError) as caught:
            pulled(registry, inside)
        assert isinstance(caught.value, FetchError | DigestMismatch | EgressRefused), case["name"]
        assert everything(tmp_path) == before, case["name"]
    assert len(cases) >= 11
