from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from noibo.egress import Door
from noibo.errors import EgressRefused, FetchError, NoiboError, NotOffered
from noibo.modelstore.origin import Release
from noibo.modelstore.progress import Cancel, ignore
from noibo.modelstore.sources.github import GithubSource
from noibo.settings import Fetch
from tests.modelstore.hub_server import Answer, WebServer, github_release

MODEL = bytes(range(256)) * 40
FILE = "tiny-Q4_0.gguf"
LATEST = Release("acme", "models", FILE)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(record=tmp_path / "egress.jsonl")


@pytest.fixture
def github() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


def source_of(door: Door, github: WebServer, *private_hosts: str) -> GithubSource:
    return GithubSource(door, Fetch(github=github.url, private_hosts=private_hosts))


def refusal(source: GithubSource, release: Release = LATEST) -> NoiboError:
    with pytest.raises(NoiboError) as caught, source.offer(release, ignore):
        pass
    return caught.value


@pytest.mark.parametrize("tag", [None, "v1.0"])
def test_a_file_of_a_release_comes_with_the_digest_it_has_there(
    door: Door, github: WebServer, tmp_path: Path, tag: str | None
) -> None:
    github_release(github, {FILE: MODEL, "other.gguf": b""})
    release = Release("acme", "models", FILE, tag)
    with source_of(door, github).offer(release, ignore) as offered:
        assert offered.source == f"github.com/acme/models at v1.0, {FILE}"
        assert offered.licence == "MIT"
        (file,) = offered.files
        assert (file.role, file.name, file.size) == ("model", FILE, len(MODEL))
        assert file.sha256 == hashlib.sha256(MODEL).hexdigest()
        fetched = file.fetch(tmp_path / "partial", 0, ignore, Cancel())
    assert fetched.path.read_bytes() == MODEL


def test_a_tag_with_a_slash_is_one_tag(door: Door, github: WebServer) -> None:
    github_release(github, {FILE: MODEL}, tag="models/v2")
    with source_of(door, github).offer(Release("acme", "models", FILE, "models/v2"), ignore) as it:
        assert "at models/v2" in it.source


def test_an_old_asset_has_no_digest(door: Door, github: WebServer) -> None:
    github_release(github, {FILE: MODEL}, with_digests=False)
    with source_of(door, github).offer(LATEST, ignore) as offered:
        assert offered.files[0].sha256 is None


@pytest.mark.parametrize("digest", ["md5:abc", "sha256:../x", f"sha256:{'A' * 64}", "", "sha256:"])
def test_a_digest_that_is_none_counts_as_none(door: Door, github: WebServer, digest: str) -> None:
    github_release(github, {FILE: MODEL})["assets"][0]["digest"] = digest
    with source_of(door, github).offer(LATEST, ignore) as offered:
        assert offered.files[0].sha256 is None


def test_the_parts_of_a_split_model_come_together(
    door: Door, github: WebServer, tmp_path: Path
) -> None:
    parts = {f"x-0000{number}-of-00003.gguf": MODEL[number:] for number in (1, 2, 3)}
    github_release(github, {"other.gguf": b""} | parts)
    release = Release("acme", "models", "x-00002-of-00003.gguf")
    with source_of(door, github).offer(release, ignore) as offered:
        assert [one.name for one in offered.files] == list(parts)
        assert [one.role for one in offered.files] == ["model", "part", "part"]
    del parts["x-00003-of-00003.gguf"]
    github_release(github, parts)
    assert isinstance(refusal(source_of(door, github), release), NotOffered)


def test_a_file_that_is_not_there_is_answered_with_the_nearest(
    door: Door, github: WebServer
) -> None:
    github_release(github, {"tiny-Q8_0.gguf": b"", "notes.txt": b""})
    fault = refusal(source_of(door, github))
    assert isinstance(fault, NotOffered)
    assert fault.next_step.startswith("It has: tiny-Q8_0.gguf")


def test_a_file_still_being_uploaded_is_not_there(door: Door, github: WebServer) -> None:
    github_release(github, {FILE: MODEL})["assets"][0]["state"] = "starter"
    assert isinstance(refusal(source_of(door, github)), NotOffered)


def test_no_release_is_said(door: Door, github: WebServer) -> None:
    fault = refusal(source_of(door, github), Release("acme", "models", FILE, "v7"))
    assert isinstance(fault, NotOffered)
    assert "no release v7" in fault.message


@pytest.mark.parametrize(
    ("status", "headers"),
    [(403, {"X-RateLimit-Remaining": "0"}), (429, {"Retry-After": "3600"}),
     (403, {"Retry-After": "60"})],
)  # fmt: skip
def test_a_limit_that_is_reached_is_said(
    door: Door, github: WebServer, status: int, headers: dict[str, str]
) -> None:
    github.answers["/repos/acme/models/releases/latest"] = Answer(status, b"{}", headers)
    fault = refusal(source_of(door, github))
    assert "limit" in fault.message
    assert "releases/download" in fault.next_step
    assert len(github.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 451])
def test_a_refusal_is_a_fetch_error(door: Door, github: WebServer, status: int) -> None:
    github.answers["/repos/acme/models/releases/latest"] = Answer(status)
    fault = refusal(source_of(door, github))
    assert isinstance(fault, FetchError)
    assert not isinstance(fault, NotOffered)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"<html>", b"\xff", b"[" * 100_000, b'{"tag_name": 7}',
        b'{"tag_name": "v1", "assets": [{"name": "tiny-Q4_0.gguf"}]}',
        b'{"tag_name": "v1", "assets": [{"name": 7, "browser_download_url": "x", "size": 1}]}',
        b'{"tag_name": "v1", "assets": {"name": "tiny-Q4_0.gguf"}}',
    ],
)  # fmt: skip
def test_an_answer_that_is_not_githubs_is_refused(
    door: Door, github: WebServer, body: bytes
) -> None:
    github.answers["/repos/acme/models/releases/latest"] = Answer(200, body)
    fault = refusal(source_of(door, github))
    assert isinstance(fault, FetchError)
    assert "something else than GitHub's API" in fault.message


@pytest.mark.parametrize("size", [-1, 2**60])
def test_a_size_that_cannot_be_is_refused(door: Door, github: WebServer, size: int) -> None:
    github_release(github, {FILE: MODEL})["assets"][0]["size"] = size
    assert "refused" in str(refusal(source_of(door, github)))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x.gguf", "https://169.254.169.254/x.gguf", "file:///etc/passwd",
        "https://10.0.0.1/x.gguf", "ftp://a.example/x", "x.gguf", "", "http://[::1/x",
    ],
)  # fmt: skip
def test_a_file_that_lies_inside_is_refused(door: Door, github: WebServer, url: str) -> None:
    github_release(github, {FILE: MODEL})["assets"][0]["browser_download_url"] = url
    assert isinstance(refusal(source_of(door, github)), (EgressRefused, FetchError))


def test_the_storage_that_github_redirects_to_is_followed(
    door: Door, github: WebServer, tmp_path: Path
) -> None:
    with WebServer() as storage:
        storage.files["/blob"] = MODEL
        github_release(github, {FILE: MODEL})
        path = f"/acme/models/releases/download/v1.0/{FILE}"
        github.answers[path] = Answer.to(f"{storage.url}/blob?sig=secret")
        with source_of(door, github, storage.place).offer(LATEST, ignore) as offered:
            fetched = offered.files[0].fetch(tmp_path / "partial", 0, ignore, Cancel())
        assert fetched.path.read_bytes() == MODEL
    assert door.record is not None
    assert "secret" not in door.record.read_text()


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(200, b"?"), Answer.of({"license": {"spdx_id": "NOASSERTION"}})]
)
def test_a_licence_that_cannot_be_had_is_unknown(
    door: Door, github: WebServer, answer: Any
) -> None:
    github_release(github, {FILE: MODEL})
    github.answers["/repos/acme/models"] = answer
    with source_of(door, github).offer(LATEST, ignore) as offered:
        assert offered.licence is None


def test_offline_asks_nobody(github: WebServer) -> None:
    fault = refusal(source_of(Door(offline=True), github))
    assert isinstance(fault, EgressRefused)
    assert github.asked == []
