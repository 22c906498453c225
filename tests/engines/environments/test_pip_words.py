"""What pip said when it was run: 23.2 without a terminal, 25.1 with `--progress-bar raw`."""

from __future__ import annotations

import pytest

from noibo.engines.environments.pip_words import Step, failure, read
from noibo.errors import DigestMismatch, DiskFull, FetchError, NoiboError, NotOffered

OF_25 = """\
Looking in indexes: https://xorbitsai.github.io/xllamacpp/whl/cu128
Collecting xllamacpp
  Downloading https://github.com/xorbitsai/xllamacpp/releases/v1/xllamacpp-1-cu128.whl (298.1 MB)
Progress 0 of 298100000
Progress 149050000 of 298100000
Progress 298100000 of 298100000
Installing collected packages: xllamacpp
Successfully installed xllamacpp-1
"""
OF_SOURCE = """\
Collecting xllamacpp
  Downloading xllamacpp-2026.10.11549.tar.gz (38 MB)
  Installing build dependencies: started
  Installing build dependencies: finished with status 'done'
  Getting requirements to build wheel: started
Building wheels for collected packages: xllamacpp
  Building wheel for xllamacpp (pyproject.toml): started
  Building wheel for xllamacpp (pyproject.toml): still running...
Installing collected packages: xllamacpp, numpy
"""


def steps(text: str) -> list[Step]:
    seen, step = [], Step("find")
    for line in text.splitlines():
        after = read(line, step)
        if after != step:
            seen.append(after)
        step = after
    return seen


def test_how_far_a_download_is() -> None:
    found = steps(OF_25)
    file = "xllamacpp-1-cu128.whl"
    assert [(one.stage, one.what, one.done) for one in found] == [
        ("find", "xllamacpp", None),
        ("download", file, None),
        ("download", file, 0),
        ("download", file, 149_050_000),
        ("download", file, 298_100_000),
        ("install", "1 package", None),
    ]
    assert {one.total for one in found[1:5]} == {298_100_000}
    assert found[1].url.startswith("https://github.com/")  # where its index sends it


def test_a_build_from_source_says_that_it_compiles() -> None:
    assert [(one.stage, one.what) for one in steps(OF_SOURCE)] == [
        ("find", "xllamacpp"),
        ("download", "xllamacpp-2026.10.11549.tar.gz"),
        ("build", "what it is built with"),
        ("build", "xllamacpp"),
        ("install", "2 packages"),
    ]


@pytest.mark.parametrize("line", ["", "Progress x of y", "\x1b[2J", "WARNING: Retrying (Retry(…"])
def test_a_line_that_is_not_known_changes_nothing(line: str) -> None:
    before = Step("download", "a", 1, 2)
    assert read(line, before) == before


HASH = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."
NONE = "ERROR: No matching distribution found for xllamacpp"
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
WHEEL = "ERROR: Failed building wheel for xllamacpp"


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        (HASH, DigestMismatch, "not what its index promised"),
        (NONE, NotOffered, "no build for this system"),
        (FULL, DiskFull, "disk is full"),
        (WHEEL, FetchError, "could not be compiled"),
        ("ERROR: something of 2031", FetchError, "pip gave up"),
    ],
)
def test_why_pip_gave_up(line: str, kind: type[NoiboError], said: str) -> None:
    error = failure("xllamacpp", ["Collecting xllamacpp", line])
    assert type(error) is kind
    assert said in error.message
    assert line in error.lines
    assert error.next_step


def test_what_a_build_writes_cannot_write_on_the_terminal() -> None:
    error = failure("x", ["\x1b]0;owned\x07 evil", *["filler"] * 30])
    assert "\x1b" not in str(error)
    assert str(error).count("filler") == 8
