"""A file inside a text: a `data:` address, or base64. Read where it is text, whatever it is called.

What a client calls a file is a guess, so its first bytes are asked.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

_HEAD: Final = 1024
# Signs that no text has: a picture, a sound or a PDF shows one at once.
_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_PACKED: Final = re.compile(r"[A-Za-z0-9+/_-]{256,}={0,2}")
_MAGIC: Final = (b"%PDF", b"PK\x03\x04", b"{\\rtf", b"\xd0\xcf\x11\xe0")


@dataclass(frozen=True, slots=True)
class Enclosed:
    """Its text, and how it was packed."""

    head: str  # "data:text/plain;base64," or nothing
    text: str
    in_base64: bool
    coding: str = "utf-8"

    def closed(self, text: str) -> str:
        """Another text, packed as this one was."""
        if not self.in_base64:
            return self.head + quote(text, safe="")
        return self.head + base64.b64encode(text.encode(self.coding)).decode()


def looks_packed(value: str) -> bool:
    """It is no sentence: whole, it is a `data:` address or long base64."""
    if value[:5].lower() == "data:" and "," in value[:256]:
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
