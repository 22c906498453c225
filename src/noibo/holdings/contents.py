"""Contents of files on disk: which of them can be read as text, and whether somebody is in them."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from noibo.holdings.wanted import Wanted

_PIECE: Final = 2**20
_OVERLAP: Final = 2**10  # longer than anything by which somebody is looked for
_LOOK: Final = 2**13

Open = Callable[[Path], BinaryIO]


def is_text(path: Path, open_file: Open) -> bool:
    """True for what can be searched: UTF-8 or marked UTF-16 without a NUL, by its beginning."""
    with open_file(path) as file:
        data = file.read(_LOOK)
    try:
        text = codecs.getincrementaldecoder(_encoding(data))().decode(data)  # its end may be cut
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def excerpt(path: Path, wanted: Wanted, open_file: Open) -> str:
    """What stands around the first place in a file of text; empty for none. Lines of JSON are read
    as such: what is escaped in them is found too."""
    for text in _pieces(path, open_file):
        if found := wanted.excerpt(text):
            return found
    with open_file(path) as file:
        while line := file.readline(_PIECE * 16):
            if b"\\" not in line or line[:1] not in {b"{", b"[", b'"'}:
                continue
            try:
                value = msgspec.json.decode(line)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                continue
            if said := wanted.within_json(value):
                return wanted.excerpt(said)
    return ""


def _pieces(path: Path, open_file: Open) -> Iterator[str]:
    before, decoder = "", None
    with open_file(path) as file:
        while data := file.read(_PIECE):
            # A sign may lie in two pieces.
            decoder = decoder or codecs.getincrementaldecoder(_encoding(data))("replace")
            text = before + decoder.decode(data)
            yield text
            before = text[-_OVERLAP:]


def _encoding(beginning: bytes) -> str:
    """UTF-16 says that it is, as spreadsheets write it; all else is looked at as UTF-8."""
    marked = beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if marked else "utf-8"
