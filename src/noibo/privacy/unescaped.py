"""A text as it reads where some of its signs are written in another way: `Nguy\\u1ec5n` in JSON,
`an%40b.vn` in addresses, `Nguy&#7877;n` in HTML. A model reads those, so a finder must."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from noibo.privacy.span import Span

_ESCAPES: Final = re.compile(
    r"(?:\\u[0-9a-fA-F]{4})+|(?:%[0-9a-fA-F]{2})+|&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});"
)


@dataclass(frozen=True, slots=True)
class Unescaped:
    """`starts` and `ends`: of each of its signs, where that stands as it is written."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def back(self, span: Span) -> Span:
        """Where a finding stands in the text as it is written."""
        start, end = self.starts[span.start], self.ends[span.end - 1]
        return Span(start, end, span.label, span.score, span.finder)


def unescaped(text: str) -> Unescaped | None:
    """None for a text that is written as it reads."""
    if "\\u" not in text and "%" not in text and "&" not in text:
        return None
    signs: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def add(said: str, at: int, width: int | None = None) -> None:
        for sign in said:
            signs.append(sign)
            starts.append(at)
            at += _width(sign, text[at]) if width is None else width
            ends.append(at)

    end = 0
    for match in _ESCAPES.finditer(text):
        said = _read(match[0])
        if said is None:
            continue
        add(text[end : match.start()], end, 1)
        add(said, match.start(), len(match[0]) if match[0][0] == "&" else None)
        end = match.end()
    if not end:
        return None
    add(text[end:], end, 1)
    return Unescaped("".join(signs), tuple(starts), tuple(ends))


def _width(sign: str, kind: str) -> int:
    """How long a sign is as an escape."""
    if kind == "%":
        return 3 * len(sign.encode())
    return 12 if ord(sign) > 0xFFFF else 6


def _read(escape: str) -> str | None:
    try:
        if escape[0] == "%":
            said = unquote(escape, errors="strict")
        elif escape[0] == "\\":
            said = json.loads(f'"{escape}"')
            said.encode()
        else:
            said = html.unescape(escape)
            return said if len(said) == 1 else None
    except ValueError:
        return None
    return str(said)
