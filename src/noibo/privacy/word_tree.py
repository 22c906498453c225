"""Expressions for any of many words, told apart sign by sign.

The expressions of the standard library try one alternative after the other, and slower still where
capitals do not matter. In a tree of classes of one sign the first sign already says which words can
follow, so that a hundred words are looked for as fast as five.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def any_of(words: Iterable[str]) -> str:
    """An expression for any of `words`, in capitals or not; a longer one is preferred."""
    by_sign: dict[str, list[str]] = {}
    for word in sorted(set(words)):
        by_sign.setdefault(word[:1], []).append(word[1:])
    ends = by_sign.pop("", None) is not None
    branches = [_sign(sign) + _rest(rest) for sign, rest in by_sign.items()]
    return "|".join([*branches, ""] if ends else branches)


def _rest(words: list[str]) -> str:
    return any_of(words) if len(words) == 1 else f"(?:{any_of(words)})"


def _sign(sign: str) -> str:
    if not sign.isalpha():
        return "[ ]" if sign == " " else re.escape(sign)
    return f"[{sign.lower()}{sign.upper()}]" if len(sign.upper()) == 1 else sign


def behind(words: Iterable[str]) -> str:
    """An expression that looks back over one sign at what may be the end of one of `words`: at
    four letters of it, or at the whole of a shorter one."""
    ends: dict[int, set[str]] = {}
    for word in words:
        ends.setdefault(min(len(word), 4), set()).add(word[-4:])
    return "|".join(
        rf"(?<={'' if size == 4 else chr(92) + 'b'}(?:{any_of(ends[size])}).)"
        for size in sorted(ends, reverse=True)
    )
