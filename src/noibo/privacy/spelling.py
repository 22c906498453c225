"""When two texts are one value that was written in two ways, and where a value stands again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from noibo.privacy.unescaped import layers

ESCAPED: Final = "TEXT"  # the kind of what only looks as a placeholder
_EXACT: Final = frozenset({"API_KEY", "PRIVATE_KEY"})  # where case tells two apart
_WORDS: Final = frozenset({"PERSON", "ADDRESS", "EMAIL", ESCAPED})
_BETWEEN: Final = re.compile(r"[\s.\-/()]+")
_TRUNK: Final = re.compile(r"(?:\+|00)?84(?=[1-9]\d{8,9}$)")
_DEEPEST: Final = 12  # signs by which values are told apart
_LEAST_KNOWN: Final = 5  # characters of a value that is looked for again


def normalised(kind: str, value: str) -> str:
    """A value without what does not tell it from another spelling of itself."""
    *_, read = value, *(one.text for one in layers(value))
    plain = unicodedata.normalize("NFC", read)
    if kind in _EXACT:
        return plain
    plain = " ".join(plain.casefold().split())
    if kind in _WORDS:
        return plain
    if kind in {"DOB", "IP"}:  # 1/11/1990 is not 11/1/1990
        return _BETWEEN.sub("/", plain)
    plain = _BETWEEN.sub("", plain)
    return _TRUNK.sub("0", plain) if kind == "PHONE" else plain


def is_telling(kind: str, value: str) -> bool:
    """Wherever it stands, it is this value: no word of the language, and no short number."""
    if kind in {"PERSON", "ADDRESS"}:
        return " " in value.strip() and len(value) > _LEAST_KNOWN
    return len(value) >= _LEAST_KNOWN and kind != ESCAPED


def either(values: Iterable[str], depth: int = 0) -> str:
    """An expression for any of them, the longest first. They are told apart sign by sign, so that
    a thousand of them are looked for as fast as ten."""
    wanted = sorted(values, key=lambda one: (-len(one), one))
    if len(wanted) <= 4 or depth == _DEEPEST:
        return "|".join(map(re.escape, wanted))
    by_sign: dict[str, list[str]] = {}
    for one in wanted:
        by_sign.setdefault(one[:1], []).append(one[1:])
    ends = [""] if by_sign.pop("", None) else []
    return "|".join(
        [f"{re.escape(sign)}(?:{either(rest, depth + 1)})" for sign, rest in by_sign.items()] + ends
    )
