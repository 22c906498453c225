"""Reading the body of a request: a JSON object, and nothing that could be read in two ways.

What parsers differ on is refused: a key twice in one object (which one counts?), NaN and Infinity,
half a surrogate pair, bytes that are no UTF-8, nesting so deep that some reader behind us falls.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import msgspec

from noibo.errors import InvalidRequest

Fields = dict[str, msgspec.Raw]
Json = dict[str, Any]
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
DEEPEST: Final = 100
MOST_VALUES: Final = 2**20  # numbers, texts, objects and lists, as two thousand texts of 500 tokens
_SIGNS: Final = (b",", b"[", b"{")
_VALUE: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[,\[{]', re.DOTALL)  # or a text
_QUOTE: Final = ord('"')
_decode_fields: Final = msgspec.json.Decoder(Fields).decode


def read_fields(body: bytes) -> Fields:
    """A request body as its fields, undecoded. Raises `InvalidRequest`."""
    _require_few(body)
    try:
        _check(body)
        return _decode_fields(body)
    except (*UNREADABLE, ValueError) as exc:
        raise InvalidRequest(
            f"The body is not a JSON object: {_reason(exc)}.",
            next_step='Send an object such as {"model": "…", "messages": […]}.',
        ) from exc


def field(fields: Mapping[str, msgspec.Raw], name: str, kind: Any, default: Any = None) -> Any:
    """One field, decoded and checked. `null` counts as not given."""
    raw = fields.get(name)
    if raw is None:
        return default
    try:
        value = _decoder(kind).decode(raw)
    except UNREADABLE as exc:
        raise InvalidRequest(f"{name}: {exc}.", param=name) from exc
    return default if value is None else value


def length(fields: Mapping[str, msgspec.Raw]) -> int:
    """Bytes of what fields say, undecoded."""
    return sum(map(len, fields.values()))


@functools.cache  # to make one takes longer than to use it
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind | None)


def raw(value: Any) -> msgspec.Raw:
    """A value as a field of a body."""
    return msgspec.Raw(msgspec.json.encode(value))


def _reason(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    if isinstance(exc, UnicodeEncodeError):
        return "half of a surrogate pair stands in a string"
    return str(exc)


def _require_few(body: bytes) -> None:
    """Raise `InvalidRequest` for more values than anybody sends: each takes memory many times its
    length, and time in which nothing else runs. What is small, or has few signs of values, is not
    looked at closely."""
    if len(body) <= MOST_VALUES or sum(map(body.count, _SIGNS)) <= MOST_VALUES:
        return
    values = (found for found in _VALUE.finditer(body) if body[found.start()] != _QUOTE)
    if any(True for _ in itertools.islice(values, MOST_VALUES, None)):
        raise InvalidRequest(
            f"The body has more than {MOST_VALUES:,} values.",
            next_step="Send it in several requests.",
        )


def _check(body: bytes) -> None:
    """Raise for what msgspec lets pass, and for what it says less well."""
    text = body.decode()
    found = _check_values(text)
    if text.count("{") + text.count("[") > DEEPEST and _is_deep(found):
        raise RecursionError
    if "\\u" in text:  # only an escape can be half of a surrogate pair
        json.dumps(found, ensure_ascii=False).encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One object. Raises where a key comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = next(name for name, count in times.items() if count > 1)
        raise ValueError(f"the key {twice[:100]!r} is there twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_check_values: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse).decode


def _is_deep(found: Any) -> bool:
    """True if objects and arrays lie deeper in each other than they may."""
    level = [found]
    for _ in range(DEEPEST):
        parts = [one.values() if isinstance(one, dict) else one for one in level]
        level = [one for part in parts for one in part if isinstance(one, dict | list)]
        if not level:
            return False
    return True
