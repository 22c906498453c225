"""A file inside a text: a `data:` address, base64, or hexadecimal. Read where it is text, whatever
it is called, and also where it is a word of a sentence.

What a client calls a file is a guess, so its first bytes are asked.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote_to_bytes

_HEAD: Final = 1024
# Signs that no text has: a picture, a sound or a PDF shows one at once.
_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_PACKED: Final = re.compile(r"[A-Za-z0-9+/_-]{256,}={0,2}")
_KIND: Final = r"data:(?:[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[\w.+-]+)*"
# In a sentence: an address, or signs of base64, longer than most words. Lines of a mail are joined.
RUN: Final = re.compile(
    rf"(?i:{_KIND});(?i:base64),[A-Za-z0-9+/_=-]*|(?i:{_KIND}),[^\s\"'`<>)\]]+"
    r"|(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/]{60,}\r?\n)*[A-Za-z0-9+/_-]{14,}={0,2}"
)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")
_MAGIC: Final = (b"%PDF", b"PK\x03\x04", b"{\\rtf", b"\xd0\xcf\x11\xe0")


@dataclass(frozen=True, slots=True)
class Enclosed:
    """Its text, and how it was packed."""

    head: str  # "data:text/plain;base64," or nothing
    text: str
    in_base64: bool
    coding: str = "utf-8"
    in_hex: bool = False

    def closed(self, text: str) -> str:
        """Another text, packed as this one was."""
        if self.in_hex:
            return text.encode(self.coding).hex()
        if not self.in_base64:
            return self.head + quote(text, safe="")
        return self.head + base64.b64encode(text.encode(self.coding)).decode()


def is_address(value: str) -> bool:
    """It says itself that it is a file."""
    return value[:5].lower() == "data:" and "," in value[:256]


def looks_packed(value: str) -> bool:
    """It is no sentence: whole, it is a `data:` address or long base64."""
    if is_address(value):
        return True
    return len(value) >= 256 and bool(_PACKED.fullmatch(value))


def opened(value: str) -> Enclosed | None:
    """None for what is no text."""
    head, in_base64, packed = "", True, value
    if value[:5].lower() == "data:":
        start, comma, packed = value.partition(",")
        head, in_base64 = start + comma, start.lower().endswith(";base64")
        if not comma:
            return None
    try:
        if not in_base64:
            content = unquote_to_bytes(packed)
        elif _begins_as_text(_decoded(packed[:_HEAD])):
            content = _decoded(packed)
        else:
            return None
    except (binascii.Error, ValueError):
        return None
    return _read(head, content, in_base64)


def opened_run(run: str) -> Enclosed | None:
    """A match of `RUN`. None for a word, a digest, the name of a file: no text comes of those."""
    if not is_address(run) and _HEX.fullmatch(run):
        found = _read("", bytes.fromhex(run), in_base64=False)
        return replace(found, in_hex=True) if found else opened(run)
    return opened(run)


def _decoded(packed: str) -> bytes:
    """Of base64 in either alphabet, with or without its end."""
    plain = "".join(packed.split()).replace("-", "+").replace("_", "/").rstrip("=")
    whole = plain[: len(plain) // 4 * 4] if len(packed) == _HEAD else plain
    return base64.b64decode(whole + "=" * (-len(whole) % 4), validate=True)


def _begins_as_text(content: bytes) -> bool:
    if content.startswith(_MAGIC):
        return False
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return False
    return not _NO_TEXT.search(text)


def _read(head: str, content: bytes, in_base64: bool) -> Enclosed | None:
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    coding = "utf-16" if wide else "utf-8"
    try:
        text = content.decode(coding)
    except UnicodeDecodeError:
        return None
    if content.startswith(_MAGIC) or _NO_TEXT.search(text):
        return None
    return Enclosed(head, text, in_base64, coding)
