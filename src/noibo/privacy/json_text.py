"""JSON inside a text: arguments of a tool, and results of many.

Read literal by literal and changed in place: what is not changed keeps its spaces, escapes and
order, and what is changed remains JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Protocol

import msgspec

from noibo.wire.body import UNREADABLE

# A string, and whether it is the name of a field; or a number.
_LITERAL: Final = re.compile(
    r'("(?:[^"\\]++|\\.)*+")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)', re.DOTALL
)
_INTEGER: Final = re.compile(r"-?\d{7,}")


class Reader(Protocol):
    """Who is shown the values, and may change them."""

    def data(self, value: Any, key: str, place: str) -> Any: ...
    def number(self, value: int, key: str, place: str) -> Any: ...
    def _name(self, name: str, place: str) -> str: ...


def is_json(text: str) -> bool:
    """It is an object or a list, whole."""
    plain = text.strip()
    if not plain or plain[0] + plain[-1] not in {"{}", "[]"}:
        return False
    try:
        msgspec.json.decode(plain)
    except UNREADABLE:
        return False
    return True


def readable(text: str) -> bool:
    """It is JSON, or a plain text that hides nothing behind escapes."""
    return "\\" not in text or is_json(text)


def changed(text: str, reader: Reader, place: str) -> str:
    """The text, each value of it as the reader gives it back."""
    key = ""

    def literal(match: re.Match[str]) -> str:
        nonlocal key
        string, is_name, number = match.groups()
        if number is not None:
            if not _INTEGER.fullmatch(number):
                return match[0]
            new = reader.number(int(number), key, f"{place}.{key}")
            return number if isinstance(new, int) else _written(new, "")
        value = json.loads(string, strict=False) if "\\" in string else string[1:-1]
        if is_name:
            key = value
            new = reader._name(value, place)
        else:
            new = reader.data(value, key, f"{place}.{key}")
        return match[0] if new == value else _written(new, string) + (is_name or "")

    new = _LITERAL.sub(literal, text)
    return text if new == text else new  # the same object


def _written(value: str, like: str) -> str:
    """A value as a literal, with escapes for what is not ASCII where the one before had them."""
    return json.dumps(value, ensure_ascii="\\u" in like)
