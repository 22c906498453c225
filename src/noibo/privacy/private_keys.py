"""Private keys by their armour, also where a text was cut in the middle of one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from noibo.privacy.span import Span

_BEGIN: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_END: Final = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
# A line of the armour, with its end as it is or as JSON writes it.
_BODY: Final = re.compile(
    r"(?:\s|\\[nrt]|[A-Za-z0-9+/=]{16,}|[A-Za-z][A-Za-z\-]{2,24}: [^\n]{1,200}|[A-Za-z0-9+/=]{1,76}"
    r"(?=\s|\\n|-----|[\"'`]|$)|[>|])+"
)
_LINE: Final = re.compile(r"[A-Za-z0-9+/=]{1,80}")


def private_keys(text: str) -> Iterator[Span]:
    """Private keys whole; where the end is missing, as far as the armour goes."""
    done = 0
    while begin := _BEGIN.search(text, done):
        body = _BODY.match(text, begin.end())
        reached = body.end() if body else begin.end()
        end = _END.match(text, reached)
        stop = end.end() if end else begin.end() + len(text[begin.end() : reached].rstrip())
        yield Span(begin.start(), stop, "PRIVATE_KEY", 1.0, "secrets")
        done = stop
    for end in _END.finditer(text):
        if end.start() >= done and (start := _lines_before(text, end.start(), done)) < end.start():
            yield Span(start, end.end(), "PRIVATE_KEY", 0.9, "secrets")


def _lines_before(text: str, end: int, least: int) -> int:
    """Where the lines of armour before a place begin, of a key whose beginning was cut off."""
    start = end
    while start > least:
        line = text.rfind("\n", max(least, start - 84), start - 1) + 1 or max(least, start - 84)
        if not _LINE.fullmatch(text[line:start].rstrip()):
            break
        start = line
    return start
