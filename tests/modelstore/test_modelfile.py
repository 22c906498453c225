"""Modelfiles: read as Ollama reads them, and recipes made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import InvalidRequest
from noibo.modelstore.ollama import modelfile
from noibo.modelstore.ollama.recipe import Recipe, of_modelfile

DIGEST = "0123456789abcdef" * 4


def test_every_instruction_is_read() -> None:
    recipe = of_modelfile(
        '''# a comment
FROM smollm2:135m

PARAMETER temperature 0.5
parameter num_ctx 2048
PARAMETER stop "<|end|>"
PARAMETER stop stop here
SYSTEM """You are Mario.
Say "it's-a me"."""
TEMPLATE """{{ .System }}
{{ .Prompt }}"""
MESSAGE user Hi
MESSAGE assistant """Hello
there"""
LICENSE """MIT

Copyright"""
LICENSE second
REQUIRES 0.6.0
'''
    ).checked()
    assert recipe == Recipe(
        base="smollm2:135m",
        template="{{ .System }}\n{{ .Prompt }}",
        system='You are Mario.\nSay "it\'s-a me".',
        parameters={"temperature": 0.5, "num_ctx": 2048, "stop": ["<|end|>", "stop here"]},
        messages=(
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello\nthere"},
        ),
        licence="MIT\n\nCopyright\nsecond",
    )


def test_files_are_named_by_digest_or_by_their_whole_path(tmp_path: Path) -> None:
    recipe = of_modelfile(f"FROM @sha256:{DIGEST}\nADAPTER {tmp_path}/a.gguf").checked()
    assert recipe.files[0].sha256 == DIGEST
    assert recipe.adapters[0].path == tmp_path / "a.gguf"
    with pytest.raises(InvalidRequest, match=r"line 2: .* is a path in a folder"):
        of_modelfile("FROM smollm2\nADAPTER ./a.gguf")


def test_a_long_one_is_read_line_by_line() -> None:
    """What is done again from the beginning for every line would take minutes here."""
    kinds = ("PARAMETER stop a", "MESSAGE user b", "LICENSE c")
    recipe = of_modelfile("FROM a\n" + "".join(f"{line}\n" * 80_000 for line in kinds))
    assert len(recipe.parameters["stop"]) == len(recipe.messages or ()) == 80_000
    assert recipe.licence == "c\n" * 79_999 + "c"
    with pytest.raises(InvalidRequest, match="line 80002: an instruction"):
        of_modelfile("FROM a\n" + "PARAMETER top_k 1\n" * 80_000 + "WHAT")


def test_lines_may_end_as_windows_ends_them() -> None:
    recipe = of_modelfile('\ufeffFROM a\r\nSYSTEM "b"\r\nPARAMETER top_k 3\r\n').checked()
    assert (recipe.base, recipe.system, recipe.parameters) == ("a", "b", {"top_k": 3})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no FROM"),
        ("SYSTEM hello", "no FROM"),
        ("FROM", "FROM has no value"),
        ("FROM  \n", "FROM has no value"),
        ("FROM a\nTEMPERATURE 1", "line 2: an instruction is one of"),
        ("FROM a\n\n12 b", "line 3: an instruction is one of"),
        ("FROM a\nPARAMETER top_k", "PARAMETER wants a name and a value"),
        ("FROM a\nPARAMETER tops 3", "parameters: there is no 'tops'"),
        ("FROM a\nPARAMETER top_k much", "parameters.top_k: 'much' is not a whole number"),
        ("FROM a\nPARAMETER temperature -1", "out of range"),
        ("FROM a\nMESSAGE tool x", "the role of a MESSAGE"),
        ('FROM a\nSYSTEM """never ends', 'begins with """ and does not end'),
        ("FROM a\nRENDERER x", "RENDERER is for Ollama's own"),
        ("FROM a\nDRAFT x", "DRAFT is for Ollama's own"),
        (f"FROM a\nFROM @sha256:{DIGEST}", "both 'from' and 'files'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        of_modelfile(text).checked()


@given(st.text(st.characters(codec="utf-8", exclude_characters='"'), min_size=1))
def test_what_is_written_is_read_back(value: str) -> None:
    text = "FROM a\n" + modelfile.written("system", "", value)
    assert of_modelfile(text).system == value


@given(st.text(max_size=200))
def test_any_text_is_a_modelfile_or_a_sentence(text: str) -> None:
    try:
        of_modelfile(text).checked()
    except InvalidRequest as refused:
        assert refused.param
