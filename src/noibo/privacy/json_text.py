"""JSON inside a text: arguments of a tool, and results of many.

Read literal by literal and changed in place: what is not changed keeps its spaces, escapes and
order, and what is changed remains JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Protocol

import msgspec

from noibo.privacy.field_key import Key
from noibo.wire.body import UNREADABLE

# A string, and whether it is the name of a field; a number; where an object begins or ends.
_LITERAL: Final = re.compile(
    r'("(?:[^"\\]++|\\.)*+")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([{}])', re.DOTALL
)
_INTEGER: Final = re.compile(r"-?\d+")


class Reader(Protocol):
    """Who is shown the values, and may change them."""

    def data(self, value: Any, key: Key, place: str) -> Any: ...
    def name(self, name: str, place: str) -> str: ...


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
    return _Literals(reader, place).changed(text)


class _Literals:
    """Reads one text from its beginning to its end."""

    def __init__(self, reader: Reader, place: str) -> None:
        self._reader = reader
        self._place = place
        self._key = Key()
        self._outer: list[Key] = []

    def changed(self, text: str) -> str:
        new = _LITERAL.sub(self._literal, text)
        return text if new == text else new  # the same object

    def _literal(self, match: re.Match[str]) -> str:
        string, is_name, number, brace = match.groups()
        if brace is not None:
            self._nest(brace)
            return brace
        if number is not None:
            return self._number(number)
        value = json.loads(string, strict=False) if "\\" in string else string[1:-1]
        if is_name is None:
            new = self._reader.data(value, self._key, self._where)
            self._key = self._key.labelled(value)
            return string if new == value else _written(new, string)
        self._key = self._key.beside(value)
        new = self._reader.name(value, self._place)
        return match[0] if new == value else _written(new, string) + is_name

    def _number(self, said: str) -> str:
        value = int(said) if _INTEGER.fullmatch(said) else float(said)
        new = self._reader.data(value, self._key, self._where)
        return _written(new, "") if isinstance(new, str) else said

    def _nest(self, brace: str) -> None:
        if brace == "{":
            self._outer.append(self._key)
            self._key = self._key.inside()
        elif self._outer:
            self._key = self._outer.pop()

    @property
    def _where(self) -> str:
        return f"{self._place}.{self._key.step}" if self._key.name else self._place


def _written(value: str, like: str) -> str:
    """A value as a literal, with escapes for what is not ASCII where the one before had them."""
    return json.dumps(value, ensure_ascii="\\u" in like)
