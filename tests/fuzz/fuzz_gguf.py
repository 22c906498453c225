"""Fuzz the GGUF reader and `noibo inspect` with atheris.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris -e .
    nice /tmp/fuzz/bin/python tests/fuzz/fuzz_gguf.py /tmp/fuzz/corpus -max_total_time=720

The corpus folder is seeded from tests/modelstore/gguf_cases.py and the shared hostile set; further
arguments are libFuzzer's. In place of the folder, a finding's file is run again. A finding is any
exception but BadModelFile, more than 2 s of processor time for one input (5 s by the clock), or
256 MiB more memory than at the start. One input in eight is lengthened with a hole of 1 MiB, so
that hostile counts have something to run into: instrumented and read three times over, a string in
it costs 5 microseconds, against 0.2 for a user. What a hole of 128 GiB costs a user is a test.
"""

from __future__ import annotations

import io
import os
import resource
import sys
import time
import zlib
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import mkdtemp

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["noibo.modelstore", "noibo.cli"]):
    from noibo.cli.inspect import inspect
    from noibo.errors import BadModelFile
    from noibo.modelstore.gguf.reader import GgufArray, read_header

from tests.modelstore.gguf_cases import ACCEPTED, REFUSED, REFUSED_BY_NOIBO_ONLY  # noqa: E402

SHARED = Path(os.environ.get("NOIBO_SHARED", ROOT.parent / "shared"))
HOLE = 2**20
MAX_SECONDS = 2.0  # of processor time: on a busy machine the clock measures the neighbours
MAX_GROWTH = 256 * 2**10  # KiB, as getrusage counts

INPUT = Path(mkdtemp(prefix="noibo-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
started_with = 0


class TooSlow(Exception):
    """One input took more than its time."""


class TooLarge(Exception):
    """One input took more than its memory."""


def test_one_input(data: bytes) -> None:
    """Read, describe and print one file; leave only by way of BadModelFile."""
    path = INPUT / "model.gguf"
    path.write_bytes(data)
    if zlib.crc32(data) % 8 == 0:
        os.truncate(path, len(data) + HOLE)
    began = time.process_time()
    try:
        header = read_header(path)
        for value in header.metadata.values():
            if isinstance(value, GgufArray):
                value.read(64)
        with redirect_stdout(io.StringIO()) as printed:
            inspect(path)
        assert all(line.isprintable() for line in printed.getvalue().splitlines())
        with redirect_stdout(io.StringIO()):
            inspect(path, json=True)
    except BadModelFile as error:
        assert error.message.isprintable()
        assert error.next_step
    if time.process_time() - began > MAX_SECONDS:
        raise TooSlow
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - started_with > MAX_GROWTH:
        raise TooLarge


def seed(corpus: Path) -> Path:
    """Fill the corpus folder; return the dictionary that goes with it."""
    if corpus.is_file():  # a finding, to be run again
        return _dictionary()
    corpus.mkdir(parents=True, exist_ok=True)
    for name, content in (ACCEPTED | REFUSED | REFUSED_BY_NOIBO_ONLY).items():
        (corpus / name).write_bytes(content)
    for file in (SHARED / "data" / "hostile" / "gguf").glob("*.gguf"):
        (corpus / file.name).write_bytes(file.read_bytes())
    return _dictionary()


def _dictionary() -> Path:
    """Write libFuzzer a dictionary of the format's own words."""
    words = [b"GGUF", b"general.alignment", b"general.architecture", b"llama", b"split.count"]
    words += [
        b"tokenizer.ggml.tokens",
        b"tokenizer.chat_template",
        b"\xff" * 8,
        b"\0" * 7 + b"\x80",
    ]
    words += [number.to_bytes(4, "little") for number in range(44)]
    words += [number.to_bytes(8, "little") for number in (0, 1, 2, 32, 63, 64, 2**31, 2**61)]
    dictionary = INPUT / "words.dict"
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in words)
    dictionary.write_text("\n".join(lines) + "\n")
    return dictionary


def main() -> None:
    """Seed the corpus and hand over to libFuzzer."""
    global started_with  # noqa: PLW0603
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    dictionary = seed(Path(sys.argv[1]))
    arguments = [sys.argv[0], f"-dict={dictionary}", "-max_len=4096", "-timeout=5", *sys.argv[1:]]
    atheris.Setup(arguments, test_one_input)
    started_with = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    atheris.Fuzz()


if __name__ == "__main__":
    main()
