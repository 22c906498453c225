"""A text as it reads where some of its signs are written in another way: `Nguy\\u1ec5n` in JSON,
`an%40b.vn` in addresses, `Nguy&#7877;n` in HTML. A model reads those, so a finder must."""

from __future__ import annotations

import bisect
import html
import itertools
import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from noibo.privacy.span import Span

_UNICODE: Final = r"\\+u[0-9a-fA-F]{4}"  # with more than one \ where JSON stands in JSON
_PAIR: Final = r"\\+u[dD][89abAB][0-9a-fA-F]{2}\\+u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPES: Final = re.compile(
    rf"{_PAIR}|{_UNICODE}|(?:%[0-9a-fA-F]{{2}})+|"
    r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});"
)
_MANY: Final = re.compile(r"\\+")


@dataclass(frozen=True, slots=True)
class Escaped:
    """One sign that is written as an escape: where it stands in the text as it reads, and where the
    escape begins and ends in the text as it is written."""

    at: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unescaped:
    """A text as it reads."""

    text: str
    escaped: tuple[Escaped, ...]

    def back(self, span: Span) -> Span:
        """Where a finding stands in the text as it is written."""
        start, _ = self._place(span.start)
        _, end = self._place(span.end - 1)
        return Span(start, end, span.label, span.score, span.finder)

    def _place(self, at: int) -> tuple[int, int]:
        before = bisect.bisect_right(self.escaped, at, key=_at) - 1
        if before < 0:
            return at, at + 1
        found = self.escaped[before]
        if found.at == at:
            return found.start, found.end
        start = found.end + at - found.at - 1
        return start, start + 1


def _at(one: Escaped) -> int:
    return one.at


def unescaped(text: str) -> Unescaped | None:
    """None for a text that is written as it reads."""
    if "\\u" not in text and "%" not in text and "&" not in text:
        return None
    signs: list[str] = []
    escaped: list[Escaped] = []
    end = at = 0
    for match in _ESCAPES.finditer(text):
        said = _read(match[0])
        if said is None:
            continue
        signs += [text[end : match.start()], said]
        at += match.start() - end
        places = [*_places(match, said), match.end()]
        for start, stop in itertools.pairwise(places):
            escaped.append(Escaped(at, start, stop))
            at += 1
        end = match.end()
    return Unescaped("".join([*signs, text[end:]]), tuple(escaped)) if escaped else None


def _places(match: re.Match[str], said: str) -> list[int]:
    """Where each sign of an escape begins: of several only in addresses, a byte in three signs."""
    widths = itertools.accumulate((3 * len(sign.encode()) for sign in said[:-1]), initial=0)
    return [match.start() + width for width in widths]


def _read(escape: str) -> str | None:
    try:
        if escape[0] == "%":
            return unquote(escape, errors="strict")
        if escape[0] == "\\":
            said = str(json.loads('"' + _MANY.sub(r"\\", escape) + '"'))
            said.encode()
            return said
    except ValueError:
        return None
    said = html.unescape(escape)
    return said if len(said) == 1 else None
