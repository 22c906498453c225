from __future__ import annotations

import hashlib
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from noibo.egress import Door
from noibo.errors import AccessNeeded, EgressRefused, FetchError, NoiboError, NotOffered
from noibo.modelstore.offer import Offer
from noibo.modelstore.origin import Hub, parse
from noibo.modelstore.progress import Cancel, ignore
from noibo.modelstore.sources import hub_files, hub_quants
from noibo.modelstore.sources.hub import HubSource
from noibo.modelstore.sources.hub_listing import MAX_FILES, HubFile, checked
from noibo.settings import Fetch
from tests.modelstore.hub_server import COMMIT, Answer, HubServer, Repo, WebServer

TOKEN = "hf_secret"
BIG = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this machine's tokens and addresses of the hub."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "hf" / "stored"))
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "hf" / "agents.json"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(record=tmp_path / "egress.jsonl")


@pytest.fixture
def cdn() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def hub(cdn: WebServer) -> Iterator[HubServer]:
    repos = {
        "acme/Tiny-GGUF": Repo(
            {
                "README.md": b"# Tiny",
                "LICENSE": b"Apache License 2.0",
                "tiny.Q4_K_M.gguf": BIG,
                "tiny.Q8_0.gguf": BIG * 2,
                "mmproj-tiny-f16.gguf": BIG[:2000],
                "pytorch_model.bin": BIG,
            },
            tags=["gguf", "license:apache-2.0"],
            downloads=10,
        ),
        "acme/Tiny": Repo(
            {
                "config.json": b"{}",
                "tokenizer.json": b"{}",
                "model.safetensors": BIG,
                "pytorch_model.bin": BIG,
                "modeling_tiny.py": b"import os",
            },
            tags=["safetensors", "license:apache-2.0"],
            downloads=50,
        ),
        "acme/Tiny-onnx": Repo({"model.onnx": BIG}, tags=["onnx"], downloads=90),
    }
    with HubServer(repos, cdn, TOKEN) as running:
        yield running


def fetch_of(hub: HubServer, **options: Any) -> Fetch:
    return Fetch(hub=hub.url, private_hosts=(hub.cdn.place,), **options)


def bring(offered: Offer, folder: Path) -> dict[str, bytes]:
    """Fetch every file of an offer; what came, by name."""
    came = {}
    for file in offered.files:
        fetched = file.fetch(folder, 0, ignore, Cancel())
        came[file.name] = fetched.path.read_bytes()
        assert fetched.sha256 == hashlib.sha256(came[file.name]).hexdigest()
    return came


def bring_all(source: HubSource, name: str, folder: Path) -> dict[str, bytes]:
    origin = parse(name)
    assert isinstance(origin, Hub)
    with source.offer(origin, ignore) as offered:
        return bring(offered, folder)


def refusal(source: HubSource, name: str) -> NoiboError:
    """Why nothing is offered."""
    origin = parse(name)
    assert isinstance(origin, Hub)
    with pytest.raises(NoiboError) as caught, source.offer(origin, ignore):
        pass
    return caught.value


def authorizations(server: WebServer) -> set[str | None]:
    return {one.authorization for one in server.asked}


# ── what is offered ─────────────────────────────────────────────────────────


def test_a_quantisation_comes_from_the_pinned_commit(
    door: Door, hub: HubServer, tmp_path: Path
) -> None:
    with HubSource(door, fetch_of(hub)).offer(Hub("acme/Tiny-GGUF", "q8"), ignore) as offered:
        assert offered.source.startswith("hf.co/acme/Tiny-GGUF at abc123def, tiny.Q8_0.gguf")
        assert [(one.role, one.name) for one in offered.files] == [
            ("model", "tiny.Q8_0.gguf"),
            ("projector", "mmproj-tiny-f16.gguf"),
        ]
        assert offered.files[0].size == len(BIG) * 2
        assert offered.files[0].sha256 == hashlib.sha256(BIG * 2).hexdigest()
        came = bring(offered, tmp_path / "partial")
    assert came["tiny.Q8_0.gguf"] == BIG * 2
    resolved = [one.path for one in hub.asked if "/resolve/" in one.path]
    assert all(f"/resolve/{COMMIT}/" in path for path in resolved)
    assert all(one.query["Signature"] for one in hub.cdn.asked)


def test_a_checkpoint_comes_without_pickles_and_programs(
    door: Door, hub: HubServer, tmp_path: Path
) -> None:
    came = bring_all(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny", tmp_path / "partial")
    assert came == {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": BIG}
    assert not any(path.endswith((".bin", ".py")) for path in hub.paths())


def test_small_files_are_checked_by_their_git_digest(
    door: Door, hub: HubServer, tmp_path: Path
) -> None:
    hub.answers[f"/acme/Tiny/resolve/{COMMIT}/config.json"] = Answer(200, b"[]")
    with pytest.raises(NoiboError, match=r"config\.json"):
        bring_all(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny", tmp_path / "partial")


def test_the_licence_comes_from_the_card(door: Door, hub: HubServer) -> None:
    hub.repos["acme/Tiny"].card = {
        "license": "other",
        "license_name": "tiny-community",
        "license_link": "https://acme.example/licence",
    }
    source = HubSource(door, fetch_of(hub))
    with source.offer(Hub("acme/Tiny"), ignore) as offered:
        assert offered.licence == "tiny-community"
        assert offered.licence_link == "https://acme.example/licence"
        assert offered.licence_text is None
    with source.offer(Hub("acme/Tiny-GGUF"), ignore) as offered:
        assert offered.licence == "apache-2.0"
        assert offered.licence_text == "Apache License 2.0"


@pytest.mark.parametrize(
    ("card", "tags", "expected"),
    [
        ({}, ["license:gemma"], "gemma"),
        ({}, [], None),
        ({"license": ["mit", "apache-2.0"]}, [], "mit, apache-2.0"),
        ({"license": "mit\x1b[2J"}, ["license:mit"], "mit"),
        ({"license": {"id": "mit"}}, [], None),
        ({"license": "other", "license_link": "http://[::1"}, [], "other"),
    ],
)
def test_a_card_may_say_little_or_nonsense(
    door: Door, hub: HubServer, card: dict[str, Any], tags: list[str], expected: str | None
) -> None:
    hub.repos["acme/Tiny"].card, hub.repos["acme/Tiny"].tags = card, tags
    with HubSource(door, fetch_of(hub)).offer(Hub("acme/Tiny"), ignore) as offered:
        assert offered.licence == expected
        assert offered.licence_link is None


def test_a_renamed_repository_is_followed(door: Door, hub: HubServer) -> None:
    hub.repos["acme/Old"] = Repo(moved_to="acme/Tiny")
    with HubSource(door, fetch_of(hub)).offer(Hub("acme/Old"), ignore) as offered:
        assert len(offered.files) == 3


def test_a_revision_that_is_not_there_is_said(door: Door, hub: HubServer) -> None:
    source = HubSource(door, fetch_of(hub))
    with source.offer(Hub("acme/Tiny", revision="main"), ignore) as offered:
        assert offered.files
    fault = refusal(source, "hf.co/acme/Tiny@v9")
    assert isinstance(fault, NotOffered)
    assert "no revision v9" in str(fault)


def test_what_is_not_there_may_be_private(door: Door, hub: HubServer) -> None:
    hub.repos["acme/Secret"] = Repo({"a.gguf": BIG}, private=True)
    source = HubSource(door, fetch_of(hub))
    for name in ("hf.co/acme/Nothing", "hf.co/acme/Secret"):
        fault = refusal(source, name)
        assert isinstance(fault, NotOffered)
        assert "private" in fault.message
        assert "hf auth login" in fault.next_step


# ── tokens ──────────────────────────────────────────────────────────────────


def test_a_token_opens_private_and_gated_repositories_and_goes_to_the_hub_only(
    door: Door, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["acme/Secret"] = Repo({"a.gguf": BIG}, private=True, gated="manual")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with HubSource(door, fetch_of(hub)).offer(Hub("acme/Secret"), ignore) as offered:
        assert TOKEN not in repr(offered)
        assert bring(offered, tmp_path / "partial") == {"a.gguf": BIG}
    assert authorizations(hub) == {f"Bearer {TOKEN}"}
    assert authorizations(hub.cdn) == {None}
    assert door.record is not None
    assert TOKEN not in door.record.read_text()
    for path in tmp_path.rglob("*.json*"):
        assert TOKEN not in path.read_text()


def test_a_stored_token_is_found(door: Door, hub: HubServer) -> None:
    hub.repos["acme/Secret"] = Repo({"a.gguf": BIG}, private=True)
    stored = Path(constants.HF_TOKEN_PATH)
    stored.parent.mkdir()
    stored.write_text(f"{TOKEN}\n")
    with HubSource(door, fetch_of(hub)).offer(Hub("acme/Secret"), ignore) as offered:
        assert offered.files


def test_a_mirror_never_sees_the_token(
    door: Door, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with WebServer() as first:
        first.answers["/api/models/acme/Tiny"] = Answer(500)
        fetch = Fetch(hub=first.url, hub_mirrors=(hub.url,), private_hosts=(hub.cdn.place,))
        with HubSource(door, fetch).offer(Hub("acme/Tiny"), ignore) as offered:
            assert offered.files
    assert authorizations(first) == {f"Bearer {TOKEN}"}
    assert authorizations(hub) == {None}


def test_a_gated_repository_says_where_to_accept_its_licence(door: Door, hub: HubServer) -> None:
    hub.repos["acme/Tiny"].gated = "auto"
    fault = refusal(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny")
    assert isinstance(fault, AccessNeeded)
    assert "https://huggingface.co/acme/Tiny" in fault.next_step
    assert "hf auth login" in fault.next_step
    assert "HF_TOKEN" in fault.next_step


def test_a_token_without_access_is_told_so(
    door: Door, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["acme/Tiny"].gated = "manual"
    hub.answers[f"/acme/Tiny/resolve/{COMMIT}/model.safetensors"] = Answer(
        403, b"", {"X-Error-Code": "GatedRepo"}
    )
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fault = refusal(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny")
    assert isinstance(fault, AccessNeeded)
    assert "the account whose token" in fault.message
    assert TOKEN not in str(fault)


def test_access_that_is_lost_on_the_way_is_said(door: Door, hub: HubServer, tmp_path: Path) -> None:
    with HubSource(door, fetch_of(hub)).offer(Hub("acme/Tiny"), ignore) as offered:
        hub.repos["acme/Tiny"].gated = "auto"
        with pytest.raises(AccessNeeded, match="accepted its licence"):
            bring(offered, tmp_path / "partial")


@pytest.mark.parametrize("token", ["hf_wrong", "hf_\tbroken", "hf_ünïcode"])
def test_a_wrong_token_is_said_and_not_shown(
    door: Door, hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    fault = refusal(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny")
    assert isinstance(fault, AccessNeeded)
    assert token not in str(fault)
    assert "hf auth login" in fault.next_step


# ── addresses ───────────────────────────────────────────────────────────────


def test_an_address_that_cannot_be_reached_gives_the_next(
    door: Door, hub: HubServer, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    fetch = Fetch(hub=dead, hub_mirrors=(hub.url,), private_hosts=(hub.cdn.place,))
    assert len(bring_all(HubSource(door, fetch), "hf.co/acme/Tiny", tmp_path / "partial")) == 3
    assert [hit.repo for hit in HubSource(door, fetch).search("tiny")][:1] == ["acme/Tiny"]


def test_when_no_address_can_be_used_all_are_listed(door: Door) -> None:
    with WebServer() as broken, WebServer() as portal:
        broken.answers["/api/models/acme/Tiny"] = Answer(500)
        portal.answers["/api/models/acme/Tiny"] = Answer(
            200, b"<html>sign in</html>", {"Content-Type": "text/html"}
        )
        fetch = Fetch(hub=broken.url, hub_mirrors=(portal.url, broken.url + "/"))
        fault = refusal(HubSource(door, fetch), "hf.co/acme/Tiny")
    assert isinstance(fault, FetchError)
    assert f"{broken.url}: it answered 500" in fault.message
    assert f"{portal.url} answers with something else" in fault.message
    assert fault.message.count("\n- ") == 2


def test_hf_endpoint_is_the_address_when_none_is_set(
    door: Door, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    with HubSource(door, Fetch()).offer(Hub("acme/Tiny"), ignore) as offered:
        assert offered.source == (
            "hf.co/acme/Tiny at abc123def, model.safetensors and 2 more (through 127.0.0.1)"
        )


def test_too_many_requests_is_said(door: Door, hub: HubServer) -> None:
    hub.answers["/api/models/acme/Tiny"] = Answer(
        429, b"", {"RateLimit": '"api";r=0;t=300', "Retry-After": "300"}
    )
    fault = refusal(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny")
    assert "no more requests" in fault.message
    assert "hf auth login" in str(fault)
    assert len(hub.asked) == 1


def test_a_file_that_lies_inside_is_not_fetched(door: Door, hub: HubServer, tmp_path: Path) -> None:
    source = HubSource(door, Fetch(hub=hub.url))  # the CDN's port is not listed
    with (
        source.offer(Hub("acme/Tiny-GGUF"), ignore) as offered,
        pytest.raises(EgressRefused, match="on this machine"),
    ):
        bring(offered, tmp_path / "partial")
    assert hub.cdn.asked == []


# ── the door ────────────────────────────────────────────────────────────────


def test_offline_asks_nobody(hub: HubServer) -> None:
    source = HubSource(Door(offline=True), fetch_of(hub))
    assert isinstance(refusal(source, "hf.co/acme/Tiny"), EgressRefused)
    with pytest.raises(EgressRefused):
        source.search("tiny")
    assert hub.asked == []


def test_the_hubs_own_offline_switch_is_heeded(
    door: Door, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in str(refusal(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny"))
    assert hub.asked == []


def test_the_library_connects_to_nothing_by_itself(
    door: Door, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.utils import _detect_agent

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(_detect_agent, "_registry", None)
    with HubSource(door, fetch_of(hub)).offer(Hub("acme/Tiny"), ignore):
        pass
    assert [path for path in hub.paths() if "harness" in path] == []
    assert all(one.headers["user-agent"].startswith("noibo/") for one in hub.asked)
    with pytest.raises(EgressRefused, match="outside of noibo's door"):
        huggingface_hub.HfApi(endpoint=hub.url).model_info("acme/Tiny")


def test_every_departure_is_written_down(door: Door, hub: HubServer, tmp_path: Path) -> None:
    bring_all(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny", tmp_path / "partial")
    assert door.record is not None
    rows = [json.loads(line) for line in door.record.read_text().splitlines()]
    assert {row["purpose"] for row in rows} == {"model_hub"}
    assert {row["destination"] for row in rows} == {hub.url, hub.cdn.url}
    assert len(rows) == len(hub.asked) + len(hub.cdn.asked)


# ── search ──────────────────────────────────────────────────────────────────


def test_a_search_finds_what_noibo_reads_the_most_fetched_first(door: Door, hub: HubServer) -> None:
    hub.repos["acme/Tiny"].gated = "auto"
    first, second = HubSource(door, fetch_of(hub)).search("tiny")
    assert (first.repo, first.formats, first.gated) == ("acme/Tiny", ("safetensors",), True)
    assert (second.repo, second.formats, second.gated) == ("acme/Tiny-GGUF", ("gguf",), False)
    assert (second.downloads, second.likes, second.licence) == (10, 3, "apache-2.0")
    assert second.updated is not None
    assert HubSource(door, fetch_of(hub)).search("tiny", limit=1) == [first]
    assert HubSource(door, fetch_of(hub)).search("nothing of the kind") == []


def test_a_search_whose_pages_have_no_end_ends(door: Door, hub: HubServer) -> None:
    hub.next_pages = True
    with pytest.raises(FetchError, match="pages without end"):
        HubSource(door, fetch_of(hub)).search("tiny")


def test_names_in_a_search_are_checked(door: Door, hub: HubServer) -> None:
    good = {"id": "acme/ok", "tags": ["gguf", 7], "downloads": "many", "gated": False}
    bad = [{"id": one, "tags": ["gguf"]} for one in ("../etc", "a/b/c", "a/\x1b[2J", 7, "plain")]
    hub.answers["/api/models"] = Answer.of([*bad, good])
    (hit,) = HubSource(door, fetch_of(hub)).search("x")
    assert (hit.repo, hit.downloads, hit.licence) == ("acme/ok", 0, None)


# ── hostile answers ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "siblings",
    [
        [{"rfilename": "../../etc/passwd.gguf"}],
        [{"rfilename": "/etc/passwd.gguf"}],
        [{"rfilename": "a/../../b.gguf"}],
        [{"rfilename": "..\\..\\b.gguf"}],
        [{"rfilename": "C:\\b.gguf"}],
        [{"rfilename": "a//b.gguf"}],
        [{"rfilename": "./b.gguf"}],
        [{"rfilename": ""}],
        [{"rfilename": "a\nb.gguf"}],
        [{"rfilename": "a\x00b.gguf"}],
        [{"rfilename": "a\u202eb.gguf"}],
        [{"rfilename": 7}],
        [{"rfilename": None}],
        [{"rfilename": ["a.gguf"]}],
        [{}],
        ["a.gguf"],
        7,
        {"rfilename": "a.gguf"},
        [{"rfilename": "a.gguf", "size": -1}],
        [{"rfilename": "a.gguf", "size": 2**70}],
        [{"rfilename": "a.gguf", "size": "10"}],
        [{"rfilename": "a.gguf", "size": 1.5}],
        [{"rfilename": "a.gguf", "size": True}],
        [{"rfilename": "a.gguf", "size": 1}, {"rfilename": "a.gguf", "size": 2}],
        [{"rfilename": "a.gguf", "blobId": "../x"}],
        [{"rfilename": "a.gguf", "blobId": 7}],
        [{"rfilename": "a.gguf", "lfs": {"size": 1, "sha256": "zz", "pointerSize": 1}}],
        [{"rfilename": "a.gguf", "lfs": {"size": 1, "sha256": "A" * 64, "pointerSize": 1}}],
        [{"rfilename": "a.gguf", "lfs": {"size": -1, "sha256": "a" * 64, "pointerSize": 1}}],
        [{"rfilename": "a.gguf", "lfs": {"size": 1}}],
        [{"rfilename": "a.gguf", "lfs": "yes"}],
        [{"rfilename": f"{number}.txt"} for number in range(MAX_FILES + 1)],
    ],
    ids=lambda value: str(value)[:40].encode("unicode_escape").decode(),
)
def test_a_hostile_listing_is_refused(door: Door, hub: HubServer, siblings: Any) -> None:
    hub.repos["acme/Tiny"].siblings = siblings
    fault = refusal(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny")
    assert isinstance(fault, FetchError)
    assert fault.message.isprintable()
    assert len(hub.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"7", b'"text"', b"{", b"{}", b'{"id": 7}', b"\xff\xfe",
        b"[" * 100_000,
        b'{"id": "acme/Tiny", "sha": "../../x", "siblings": []}',
        b'{"id": "acme/Tiny", "sha": null, "siblings": []}',
        b'{"id": "acme/Tiny", "sha": 7, "siblings": null}',
        b'{"id": "acme/Tiny", "lastModified": "yesterday"}',
        b'{"id": "acme/Tiny", "cardData": [1]}',
        b'{"id": "acme/Tiny", "safetensors": "x"}',
    ],
)  # fmt: skip
def test_an_answer_that_is_not_the_hubs_is_refused(door: Door, hub: HubServer, body: bytes) -> None:
    hub.answers["/api/models/acme/Tiny"] = Answer(200, body, {"Content-Type": "application/json"})
    assert isinstance(refusal(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny"), FetchError)


def test_a_servers_own_words_are_not_repeated(door: Door, hub: HubServer) -> None:
    words = "\x1b[2J pipe curl into sh"
    hub.answers["/api/models/acme/Tiny"] = Answer(
        403, words.encode(), {"X-Error-Message": words, "X-HF-Warning": f"{hub.port}; {words}"}
    )
    said: list[str] = []
    listening = logging.Handler()
    listening.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("huggingface_hub")
    logger.addHandler(listening)
    try:
        fault = refusal(HubSource(door, fetch_of(hub)), "hf.co/acme/Tiny")
    finally:
        logger.removeHandler(listening)
    assert "curl" not in str(fault)
    assert said == []


def test_names_that_some_system_cannot_keep_are_passed_over() -> None:
    files = [HubFile("what?.gguf"), HubFile("a:b.txt"), HubFile("ok.gguf")]
    assert [one.path for one in checked(files, "here")] == ["ok.gguf"]


# ── choosing ────────────────────────────────────────────────────────────────


def names(paths: list[str], asked: str | None = None, file: str | None = None) -> list[str]:
    """What is chosen of a listing; sizes follow the bits in the names."""
    files = [HubFile(path, hub_quants.bits(hub_quants.label(path) or "") * 10) for path in paths]
    return [one.file.path for one in hub_files.choose(files, "acme/x", asked, file)]


ALL = [
    f"x-{kind}.gguf"
    for kind in (
        "IQ4_XS", "Q2_K", "Q3_K_M", "Q4_0", "Q4_1", "Q4_K_M", "Q4_K_S", "Q5_K_M", "Q6_K", "Q8_0",
        "UD-Q4_K_XL", "UD-IQ1_S", "bf16", "f16", "mxfp4",
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (None, "Q4_K_M"), ("q4", "Q4_K_M"), ("Q4_K_M", "Q4_K_M"), ("q4_k_m", "Q4_K_M"),
        ("q4_0", "Q4_0"), ("Q4_K", "Q4_K_M"), ("q4_k_s", "Q4_K_S"), ("4bit", "Q4_K_M"),
        ("q8", "Q8_0"), ("Q8_0", "Q8_0"), ("fp16", "f16"), ("f16", "f16"), ("F16", "f16"),
        ("bf16", "bf16"), ("BF16", "bf16"), ("IQ4_XS", "IQ4_XS"), ("iq4", "IQ4_XS"),
        ("UD-Q4_K_XL", "UD-Q4_K_XL"), ("ud-q4_k_xl", "UD-Q4_K_XL"), ("q4_k_xl", "UD-Q4_K_XL"),
        ("q2", "Q2_K"), ("q3", "Q3_K_M"), ("q5", "Q5_K_M"), ("q6", "Q6_K"), ("IQ1_S", "UD-IQ1_S"),
        ("mxfp4", "mxfp4"), ("MXFP4_MOE", "mxfp4"),
    ],
)  # fmt: skip
def test_the_quantisation_asked_is_chosen(asked: str | None, chosen: str) -> None:
    assert names(ALL, asked) == [f"x-{chosen}.gguf"]


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["Q8_0", "Q4_0"], "Q4_0"), (["Q8_0", "Q4_K_S"], "Q4_K_S"), (["Q5_K_M", "Q8_0"], "Q5_K_M"),
        (["Q8_0", "F16"], "Q8_0"), (["F16"], "F16"), (["Q2_K", "IQ1_S"], "Q2_K"),
        (["Q6_K_L", "Q5_K_L"], "Q5_K_L"), (["q4", "fp16"], "q4"),
    ],
)  # fmt: skip
def test_where_none_is_asked_the_best_known_compromise_is_chosen(
    there: list[str], chosen: str
) -> None:
    assert names([f"x.{kind}.gguf" for kind in there]) == [f"x.{chosen}.gguf"]


@pytest.mark.parametrize("asked", ["q5", "Q4_K_XXL", "IQ2_M", "f32", "fp8", "banana"])
def test_a_quantisation_that_is_not_there_is_answered_with_those_that_are(asked: str) -> None:
    with pytest.raises(NotOffered, match=rf"has no {asked}.*It has: Q4_0, Q8_0") as caught:
        names(["x-Q8_0.gguf", "x-Q4_0.gguf"], asked)
    assert caught.value.status == 404


def test_a_split_model_is_taken_whole_and_in_order() -> None:
    parts = [f"Q8_0/x-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert names([parts[2], "x-Q4_0.gguf", parts[0], parts[1]], "q8") == parts
    assert names(parts) == parts
    assert names(["x-Q4_0.gguf", *parts], None, parts[1]) == parts
    chosen = hub_files.choose([HubFile(one) for one in parts], "acme/x")
    assert [one.role for one in chosen] == ["model", "part", "part"]
    assert [one.name for one in chosen] == [one.removeprefix("Q8_0/") for one in parts]


@pytest.mark.parametrize(
    "there",
    [
        ["x-00001-of-00003.gguf", "x-00003-of-00003.gguf"],
        ["x-00002-of-00002.gguf"],
        ["x-00001-of-00002.gguf", "x-00002-of-00003.gguf"],
        ["x-00001-of-99999.gguf"],
        ["x-00000-of-00001.gguf"],
        ["x-00003-of-00002.gguf"],
    ],
)
def test_a_split_model_with_a_part_missing_is_refused(there: list[str]) -> None:
    with pytest.raises(NotOffered, match=r"part|2 models"):
        names(there)


def test_a_quantisation_may_be_a_folder() -> None:
    there = ["Q8_0/model.gguf", "BF16/model-00001-of-00001.gguf", "Q4_K_M/model.gguf"]
    assert names(there) == ["Q4_K_M/model.gguf"]
    assert names(there, "bf16") == ["BF16/model-00001-of-00001.gguf"]


def test_the_projector_comes_along_as_f16_if_there_is_one() -> None:
    there = ["mmproj-x-f32.gguf", "mmproj-x-F16.gguf", "mmproj-x-Q8_0.gguf", "x-Q4_0.gguf"]
    assert names(there) == ["x-Q4_0.gguf", "mmproj-x-F16.gguf"]
    assert names(there[:1] + there[3:]) == ["x-Q4_0.gguf", "mmproj-x-f32.gguf"]
    assert names(there, None, "mmproj-x-f32.gguf")[0] == "mmproj-x-f32.gguf"


def test_what_is_no_model_is_left_out() -> None:
    beside = ["x-imatrix.gguf", "imatrix.gguf", "x-lora-f16.gguf", "adapter.gguf", "x.imatrix"]
    assert names([*beside, "x-Q4_0.gguf"]) == ["x-Q4_0.gguf"]
    assert names(["x-explorator-Q4_0.gguf"]) == ["x-explorator-Q4_0.gguf"]


def test_two_models_in_one_repository_must_be_named() -> None:
    there = ["a-Q4_0.gguf", "b-Q4_0.gguf", "c-Q8_0.gguf"]
    with pytest.raises(NotOffered, match=r"2 models in Q4_0.*hf\.co/acme/x/a-Q4_0\.gguf"):
        names(there)
    assert names(there, "q8") == ["c-Q8_0.gguf"]
    assert names(there, None, "b-Q4_0.gguf") == ["b-Q4_0.gguf"]
    with pytest.raises(NotOffered, match=r"no file d-Q4_0\.gguf.*a-Q4_0\.gguf"):
        names(there, None, "d-Q4_0.gguf")


def test_a_whole_file_is_preferred_to_the_same_in_parts() -> None:
    assert names(["x-Q4_0-00001-of-00001.gguf", "x-Q4_0.gguf"]) == ["x-Q4_0.gguf"]


BESIDE = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]


def test_a_checkpoint_is_its_weights_and_what_reads_them() -> None:
    wanted = [
        *BESIDE, "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", "tokenizer.model", "preprocessor_config.json",
        "processor_config.json", "model.safetensors",
    ]  # fmt: skip
    unwanted = [
        "README.md", "pytorch_model.bin", "model.fp16.safetensors", "original/config.json",
        "original/consolidated.00.pth", "consolidated.safetensors", "onnx/model.onnx",
        "tf_model.h5", "flax_model.msgpack", "modeling_x.py", "training_args.bin", "x.ckpt",
        "tokenizer.pkl", "tokenizer.py", "sub/model.safetensors", "vocab.bin", "config.py",
        "runs/tokenizer.json",
    ]  # fmt: skip
    assert sorted(names([*unwanted, *wanted])) == sorted(wanted)


def test_shards_are_taken_whole_with_their_index() -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = "model.safetensors.index.json"
    assert names([*shards, index, "config.json"]) == [*shards, index, "config.json"]
    with pytest.raises(NotOffered, match="not there"):
        names([shards[0], index, "config.json"])
    with pytest.raises(NotOffered, match=r"index\.json is missing"):
        names([*shards, "config.json"])


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (["config.json", "pytorch_model.bin"], "pickles"),
        (["x.ckpt"], "pickles"),
        (["adapter_model.safetensors", "adapter_config.json"], "adapter"),
        (["model.safetensors"], r"no config\.json"),
        (["README.md"], "holds no model"),
        (["consolidated.safetensors", "params.json"], "holds no model"),
        ([], "holds no model"),
        (["config.json", "model.safetensors", "VOCAB.json", "vocab.json", "Config.json"], None),
    ],
)
def test_a_repository_without_a_model_says_what_it_is(there: list[str], why: str | None) -> None:
    if why is None:
        assert names(there) == ["model.safetensors", "config.json", "vocab.json"]
        return
    with pytest.raises(NotOffered, match=why):
        names(there)


def test_a_quantisation_of_safetensors_is_not_offered() -> None:
    with pytest.raises(NotOffered, match="no q4: it holds safetensors and no GGUF"):
        names([*BESIDE, "model.safetensors"], "q4")
