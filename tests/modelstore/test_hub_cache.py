from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest

from noibo.modelstore.importing.found_model import FoundModel, LeftOut, Place
from noibo.modelstore.importing.hub_cache import find
from noibo.modelstore.importing.strange_tree import Look
from noibo.modelstore.sources import hub_library
from tests.modelstore import hub_server
from tests.modelstore.hub_server import Answer, Asked, HubServer, Repo, WebServer
from tests.modelstore.other_programs import (
    HubRepo,
    checkpoint,
    model,
    part,
    projector,
    sha256,
    write,
)

CARD = b"---\nlanguage:\n- en\nlicense: apache-2.0\ntags: [a]\n---\n# Tiny\n"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


def found(cache: Path) -> list[FoundModel | LeftOut]:
    return list(find(Place("Hugging Face", cache), Look()))


def models(cache: Path) -> dict[str, FoundModel]:
    return {str(one.reference): one for one in found(cache) if isinstance(one, FoundModel)}


def left_out(cache: Path) -> dict[str, str]:
    return {one.name: one.status for one in found(cache) if isinstance(one, LeftOut)}


class FillingHub(HubServer):
    """As much of the hub as its own library asks for when it fills a cache."""

    def answer(self, asked: Asked) -> Answer:
        if "/tree/" in asked.path:
            repo = self.repos["/".join(asked.path.split("/")[3:5])]
            return Answer.of([_listed(path, data) for path, data in repo.files.items()])
        answer = super().answer(asked)
        if "/resolve/" in asked.path and answer.status == 200:
            answer.headers["ETag"] = f'"{hashlib.sha1(answer.body).hexdigest()}"'
            answer.headers["X-Repo-Commit"] = hub_server.COMMIT
        return answer


def _listed(path: str, data: bytes) -> dict[str, Any]:
    one = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
    large = {"oid": sha256(data), "size": len(data), "pointerSize": 130}
    return one | ({"lfs": large} if len(data) > 300 else {})


@pytest.fixture
def hub() -> Iterator[FillingHub]:
    files = {"tiny-Q4_0.gguf": model("4"), "tiny-Q8_0.gguf": model("8"), "README.md": CARD}
    repos = {
        "acme/tiny": Repo(files, lfs_over=300),
        "acme/chat": Repo(checkpoint(), lfs_over=300),
    }
    with WebServer() as cdn, FillingHub(repos, cdn) as server:
        yield server


@pytest.fixture
def free_library() -> Iterator[None]:
    """The library as others use it: a test before may have led it through noibo's door."""
    huggingface_hub.set_client_factory(lambda: httpx2.Client(follow_redirects=True))
    yield
    hub_library._lead_through_us.cache_clear()


@pytest.mark.usefixtures("free_library")
def test_what_the_hubs_own_library_fetched_is_found(hub: FillingHub, cache: Path) -> None:
    from huggingface_hub import snapshot_download

    for repo in hub.repos:
        snapshot_download(repo, endpoint=hub.url, cache_dir=cache, token=False)
    here = models(cache)
    assert sorted(here) == [
        "hf.co/acme/chat:latest",
        "hf.co/acme/tiny:q4_0",
        "hf.co/acme/tiny:q8_0",
    ]
    tiny = here["hf.co/acme/tiny:q4_0"]
    assert tiny.origin == "hf.co/acme/tiny:Q4_0"
    assert tiny.licence.name == "apache-2.0"
    (file,) = tiny.files
    assert file.sha256 == sha256(model("4"))
    assert file.path.read_bytes() == model("4")
    names = {one.name for one in here["hf.co/acme/chat:latest"].files}
    assert names == set(checkpoint())
    assert left_out(cache) == {}


def test_a_cache_without_links_is_read_too(cache: Path) -> None:
    HubRepo(cache, "acme/tiny", links=False).snapshot({"tiny-Q4_0.gguf": model()})
    (file,) = models(cache)["hf.co/acme/tiny:q4_0"].files
    assert file.sha256 is None
    assert not file.path.is_symlink()


def test_blobs_that_repositories_share_are_followed(cache: Path) -> None:
    repo = HubRepo(cache, "acme/tiny")
    repo.snapshot({"tiny-Q4_0.gguf": model()})
    blob = repo.path / "blobs" / sha256(model())
    shared = write(cache / "blobs" / "ab" / ("ab" * 32), blob.read_bytes())
    blob.unlink()
    blob.symlink_to(os.path.relpath(shared, blob.parent))
    (file,) = models(cache)["hf.co/acme/tiny:q4_0"].files
    assert file.sha256 == sha256(model())


def test_main_comes_first_and_older_commits_fill_up(cache: Path) -> None:
    repo = HubRepo(cache, "acme/tiny")
    old = {"tiny-Q4_0.gguf": model("old 4"), "tiny-Q8_0.gguf": model("old 8")}
    repo.snapshot({"tiny-Q4_0.gguf": model("new 4")}, "f" * 40)
    repo.snapshot(old, "0" * 40, ref="")
    here = models(cache)
    assert here["hf.co/acme/tiny:q4_0"].files[0].sha256 == sha256(model("new 4"))
    assert here["hf.co/acme/tiny:q8_0"].files[0].sha256 == sha256(model("old 8"))


def test_parts_and_projector_belong_to_their_model(cache: Path) -> None:
    files = {f"Q8_0/big-Q8_0-{n:05}-of-00002.gguf": part(n, 2) for n in (1, 2)}
    HubRepo(cache, "acme/big").snapshot(files | {"mmproj-big-f16.gguf": projector()})
    (file, *others) = models(cache)["hf.co/acme/big:q8_0"].files
    assert file.name == "big-Q8_0-00001-of-00002.gguf"
    assert [one.role for one in others] == ["part", "projector"]
    assert others[0].path.parent == file.path.parent


def test_files_of_one_quantisation_are_named_by_the_file(cache: Path) -> None:
    files = {"a-Q4_0.gguf": model("a"), "b-Q4_0.gguf": model("b"), "c.gguf": model("c")}
    HubRepo(cache, "acme/several").snapshot(files)
    here = models(cache)
    assert sorted(here) == [f"hf.co/acme/several:{tag}" for tag in ("a-q4_0", "b-q4_0", "c")]
    assert here["hf.co/acme/several:c"].origin == "hf.co/acme/several/c.gguf"


def test_what_is_not_whole_is_left_out_and_said(cache: Path) -> None:
    split = {"big-Q8_0-00001-of-00003.gguf": part(1, 3), "big-Q8_0-00003-of-00003.gguf": part(3, 3)}
    HubRepo(cache, "acme/split").snapshot(split)
    half = checkpoint()
    del half["model-00002-of-00002.safetensors"]
    HubRepo(cache, "acme/half").snapshot(half)
    dangling = HubRepo(cache, "acme/dangling")
    dangling.snapshot({"x-Q4_0.gguf": model("x")})
    (dangling.path / "blobs" / sha256(model("x"))).unlink()
    tokenizer = HubRepo(cache, "acme/lost").snapshot(checkpoint()) / "tokenizer.json"
    tokenizer.unlink()
    tokenizer.symlink_to("../../blobs/gone")
    write(cache / "models--acme--begun/blobs/abc.1234abcd.incomplete", b"some")
    assert models(cache) == {}
    assert left_out(cache) == {
        "hf.co/acme/split/big-Q8_0-00001-of-00003.gguf": "incomplete",
        "hf.co/acme/half": "incomplete",
        "hf.co/acme/dangling/x-Q4_0.gguf": "incomplete",
        "hf.co/acme/lost": "incomplete",
        "hf.co/acme/begun": "incomplete",
    }


def test_a_pickle_is_never_read_and_what_is_no_model_is_not_mentioned(cache: Path) -> None:
    config = b'{"model_type": "bert"}'
    HubRepo(cache, "acme/pickle").snapshot(
        {"config.json": config, "pytorch_model.bin": b"\x80\x04"}
    )
    HubRepo(cache, "acme/lora").snapshot(
        {"config.json": config, "adapter_model.safetensors": b"x", "adapter_config.json": b"{}"}
    )
    HubRepo(cache, "acme/tokens").snapshot({"config.json": config, "tokenizer.json": b"{}"})
    HubRepo(cache, "acme/image").snapshot({"model_index.json": b"{}", "unet/x.safetensors": b"x"})
    write(cache / "datasets--acme--texts/snapshots/a/x.gguf", model())
    assert models(cache) == {}
    assert left_out(cache) == {"hf.co/acme/pickle": "left out", "hf.co/acme/lora": "left out"}


def test_an_old_repository_has_no_owner(cache: Path) -> None:
    HubRepo(cache, "gpt2").snapshot(checkpoint())
    (name,) = models(cache)
    assert name == "gpt2:latest"
    assert models(cache)[name].origin == ""


def test_a_link_out_of_the_cache_is_not_followed(cache: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside.gguf", model())
    snapshot = HubRepo(cache, "acme/tiny").snapshot({"README.md": CARD})
    (snapshot / "tiny-Q4_0.gguf").symlink_to(outside)
    (snapshot / "loop").symlink_to(snapshot)
    (snapshot / "self.gguf").symlink_to("self.gguf")
    os.mkfifo(snapshot / "pipe.gguf")
    (snapshot / "zero.gguf").symlink_to("/dev/zero")
    assert models(cache) == {}
    assert set(left_out(cache).values()) == {"incomplete"}
    assert len(left_out(cache)) == 4


def test_a_repository_on_another_disk_behind_a_link_is_found(cache: Path, tmp_path: Path) -> None:
    HubRepo(tmp_path / "disk", "acme/tiny").snapshot({"tiny-Q4_0.gguf": model()})
    cache.mkdir()
    (cache / "models--acme--tiny").symlink_to(tmp_path / "disk" / "models--acme--tiny")
    assert list(models(cache)) == ["hf.co/acme/tiny:q4_0"]


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (
            b"---\nlicense: other\nlicense_name: tongyi\nlicense_link: https://a.vn/x\n---\n",
            "tongyi",
        ),
        (b"---\nlicense:\n- mit\n- apache-2.0\n---\n", "mit, apache-2.0"),
        (b"---\nlicense: [mit, 'gpl-3.0']\n---\n", "mit, gpl-3.0"),
        (b'---\r\nlicense: "llama3.1" # see below\r\n---\r\n', "llama3.1"),
        (b"---\ntags:\n- x\n---\nlicense: mit\n", None),
        (b"license: mit\n", None),
        (b"---\nlicense: \x1b[2J\n---\n", None),
        (b"\xff\xfe", None),
        (b"", None),
        (b"---\n" + b"a" * 2**21, None),
    ],
)
def test_the_licence_is_that_of_the_card(cache: Path, card: bytes, licence: str | None) -> None:
    HubRepo(cache, "acme/tiny").snapshot({"tiny-Q4_0.gguf": model(), "README.md": card})
    assert models(cache)["hf.co/acme/tiny:q4_0"].licence.name == licence
