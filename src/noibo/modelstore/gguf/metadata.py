"""The metadata of a GGUF file: keys with typed values, and lists that stay in the file.

A list (a vocabulary has 250,000 strings) is walked and checked but not made: `GgufArray` remembers
where its values lie and reads them when asked.

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final, TypeAlias

from noibo.modelstore.gguf.cursor import Cursor, opened
from noibo.modelstore.printable import shown

ALIGNMENT_KEY: Final = "general.alignment"
MAX_KEY_BYTES: Final = 65_535  # the specification's limit

Scalar: TypeAlias = int | float | bool | str
Value: TypeAlias = "Scalar | GgufArray"

_UINT32, _STRING, _ARRAY = 4, 8, 9
# Value type id to its name and struct code; strings and lists have no fixed size.
_SCALARS: Final = {
    0: ("uint8", "B"),
    1: ("int8", "b"),
    2: ("uint16", "H"),
    3: ("int16", "h"),
    _UINT32: ("uint32", "I"),
    5: ("int32", "i"),
    6: ("float32", "f"),
    7: ("bool", "?"),
    10: ("uint64", "Q"),
    11: ("int64", "q"),
    12: ("float64", "d"),
}
_LAYOUTS: Final = {kind: Struct("<" + code) for kind, (_, code) in _SCALARS.items()}
_CODES: Final = dict(_SCALARS.values())
_I32, _U64 = Struct("<i"), Struct("<Q")


@dataclass(frozen=True, slots=True)
class GgufArray:
    """A list in the metadata, still in the file: `count` values of `element_type` at `offset`.

    `element_type` is "string" or a name of the specification in lower case, as "uint32".
    """

    path: Path
    element_type: str
    count: int
    offset: int

    def read(self, limit: int) -> list[Scalar]:
        """The first `limit` values, or all there are. Opens the file again.

        Raises BadModelFile or ModelNotFound when the file is no longer what it was.
        """
        count = max(0, min(self.count, limit))
        with opened(self.path) as cursor:
            cursor.skip(self.offset)
            if self.element_type == "string":
                return [_text(cursor) for _ in range(count)]
            layout = f"<{count}{_CODES[self.element_type]}"
            return list(struct.unpack(layout, cursor.take(struct.calcsize(layout))))


def read_metadata(cursor: Cursor, path: Path, count: int) -> dict[str, Value]:
    """Read `count` keys with their values. The lists remember `path`, to be read later."""
    metadata: dict[str, Value] = {}
    for _ in range(count):
        key = read_name(cursor, "metadata key", MAX_KEY_BYTES)
        if not key:
            cursor.refuse("a metadata key is empty")
        if key in metadata:
            cursor.refuse(f"the metadata key {shown(key)} is there twice")
        metadata[key] = _read_value(cursor, path, key)
    return metadata


def read_name(cursor: Cursor, what: str, most: int) -> str:
    """A key or tensor name. A NUL or broken UTF-8 in it would read differently in C: refused."""
    raw = cursor.string(what, most)
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        cursor.refuse(f"a {what} is not UTF-8: {shown(repr(raw))}")
    if "\0" in name:
        cursor.refuse(f"a {what} holds a NUL character: {shown(name)}")
    return name


def _read_value(cursor: Cursor, path: Path, key: str) -> Value:
    kind: int = cursor.scalar(_I32)
    if key == ALIGNMENT_KEY and kind != _UINT32:
        cursor.refuse(f"{ALIGNMENT_KEY} is not of type uint32")
    if kind == _STRING:
        return _text(cursor)
    if kind == _ARRAY:
        return _walk_array(cursor, path, key)
    if kind not in _LAYOUTS:
        cursor.refuse(f"the value of {shown(key)} has the unknown type {kind}")
    value: Scalar = cursor.scalar(_LAYOUTS[kind])
    return value


def _walk_array(cursor: Cursor, path: Path, key: str) -> GgufArray:
    kind: int = cursor.scalar(_I32)
    count: int = cursor.scalar(_U64)
    offset = cursor.offset
    if kind == _STRING:
        cursor.skip_strings(count)
        return GgufArray(path, "string", count, offset)
    if kind == _ARRAY:
        cursor.refuse(f"the value of {shown(key)} is a list of lists, which GGUF readers refuse")
    if kind not in _LAYOUTS:
        cursor.refuse(f"the list {shown(key)} has elements of the unknown type {kind}")
    cursor.skip(count * _LAYOUTS[kind].size)
    return GgufArray(path, _SCALARS[kind][0], count, offset)


def _text(cursor: Cursor) -> str:
    """Values should be UTF-8; what is not becomes U+FFFD, as a terminal would show it."""
    return cursor.string("text").decode("utf-8", "replace")
