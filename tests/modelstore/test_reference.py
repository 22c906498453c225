from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import BadReference
from noibo.modelstore.reference import Reference


@pytest.mark.parametrize(
    ("text", "name", "tag"),
    [
        ("smollm2", "smollm2", "latest"),
        ("smollm2:135m", "smollm2", "135m"),
        ("SmolLM2:135M-Q4_1", "smollm2", "135m-q4_1"),
        (" qwen2.5:0.5b ", "qwen2.5", "0.5b"),
        ("x", "x", "latest"),
        ("a-", "a-", "latest"),
    ],
)
def test_name_and_tag_are_read(text: str, name: str, tag: str) -> None:
    assert Reference.parse(text) == Reference(name, tag)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "a:", ":b", "a:b:c", ".", "..", "../a", "a/b/c/d", "a\\b", "/etc/passwd", "a:../b",
        "-a", ".a", "a.", "a..b", "a b", "a\nb", "a\x00", "c:\\x", "con", "NUL.txt", "a:aux",
        "mô-hình", "\u212a", "x" * 81, "a:" + "b" * 81, "a%2fb", "~", "$HOME", "*",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadReference) as caught:
        Reference.parse(text)
    assert "noibo pull" in caught.value.next_step
    assert len(caught.value.message) < 150


@given(st.text(max_size=100) | st.text("ab.:/\\-_~A0 \x00", max_size=12))
def test_no_name_leaves_its_folder(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except BadReference:
        return
    folder = Path("/store/manifests")
    path = folder / f"{reference.path}.json"
    assert path.resolve().parents[3] == folder
    assert Reference.parse(str(reference)) == reference
    assert str(reference).islower() or str(reference).upper() == str(reference).lower()


@given(st.text(min_size=1, max_size=120))
def test_a_file_name_gives_a_name_or_is_refused(stem: str) -> None:
    try:
        reference = Reference.from_file_name(stem)
    except BadReference as refused:
        assert "--name" in refused.next_step
        return
    assert Reference.parse(str(reference)) == reference


def test_a_file_name_becomes_the_nearest_name() -> None:
    assert str(Reference.from_file_name("Qwen2.5-0.5B Instruct (Q4_K_M)")) == (
        "qwen2.5-0.5b-instruct-q4_k_m:latest"
    )
    assert str(Reference.from_file_name("Mô hình")) == "m-h-nh:latest"
