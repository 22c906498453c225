"""A text as it reads where some of its signs are written in another way: `Nguy\\u1ec5n` in JSON,
`an%40b.vn` in addresses, `Nguy&#7877;n` in HTML, `\\xe1\\xbb\\x85` in programs, `=E1=BB=85` in
mails. A model reads those, so a finder must."""

from __future__ import annotations

import bisect
import html
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from noibo.privacy.span import Span

_UNICODE: Final = r"\\+u(?:[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\})"  # more than one \: JSON in JSON
_LONG: Final = r"\\+U[0-9a-fA-F]{8}"
_PAIR: Final = r"\\+u[dD][89abAB][0-9a-fA-F]{2}\\+u[dD][c-fC-F][0-9a-fA-F]{2}"
# Bytes of UTF-8, one behind another; in mails they are seldom alone, and `x=20` is no mail.
_BYTE: Final = r"\\+x[0-9a-fA-F]{2}|%[0-9a-fA-F]{2}|=[0-9A-F]{2}"
_BYTES: Final = r"(?:\\+x[0-9a-fA-F]{2})+|(?:%[0-9a-fA-F]{2})+|(?:=[0-9A-F]{2}){2,}"
_ESCAPES: Final = re.compile(
    rf"{_PAIR}|{_UNICODE}|{_LONG}|{_BYTES}|&(?:#\d{{1,12}}|#[xX][0-9a-fA-F]{{1,10}}|[a-zA-Z]{{2,8}});"
)
_ONE_BYTE: Final = re.compile(_BYTE)
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_MANY: Final = re.compile(r"\\+")
_SIGNS: Final = ("\\u", "\\U", "\\x", "%", "&", "=")
DEEPEST: Final = 4  # escapes within escapes


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


def layers(text: str) -> Iterator[Unescaped]:
    """The text as it reads, and as that reads, as deep as escapes stand in escapes. Each is told in
    places of the one before."""
    for _ in range(DEEPEST):
        plain = unescaped(text)
        if plain is None:
            return
        yield plain
        text = plain.text


def unescaped(text: str) -> Unescaped | None:
    """None for a text that is written as it reads."""
    if not any(sign in text for sign in _SIGNS):
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
    """Where each sign of an escape begins: of several only where they are bytes."""
    if len(said) == 1:
        return [match.start()]
    begins = [byte.start() for byte in _ONE_BYTE.finditer(match[0])]
    width = len if len(begins) == len(said) else _utf8  # some are Latin-1
    at = itertools.accumulate((width(sign) for sign in said[:-1]), initial=0)
    return [match.start() + begins[one] for one in at]


def _utf8(sign: str) -> int:
    return len(sign.encode())


def _read(escape: str) -> str | None:
    try:
        if escape[0] in "%=":
            return unquote(escape.replace("=", "%"), errors="strict")
        if escape[0] == "\\":
            return _of_backslash(_MANY.sub(r"\\", escape))
    except (ValueError, OverflowError):
        return None
    said = html.unescape(escape)
    return said if len(said) == 1 else None


def _of_backslash(escape: str) -> str | None:
    """Raises `ValueError` or `OverflowError` for what is none."""
    if escape[1] == "x":
        content = bytes.fromhex(escape.replace("\\x", ""))
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content.decode("latin-1")
    if escape[1] == "U" or escape[2] == "{":
        said = chr(int(_HEX.findall(escape)[-1], 16))
    else:
        said = str(json.loads('"' + escape + '"'))
    said.encode()
    return said
