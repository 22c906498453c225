"""E-mail addresses, also as people write them to keep robots off: "lan [at] example [dot] vn"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from noibo.privacy.span import Span

_LOCAL: Final = re.compile(r"[\w.+%'&*/=?^{|}~$!#\-]")
_MOST: Final = 64  # characters of a name, as the standard has it
_DOMAIN: Final = re.compile(
    r"(?:[^\W_](?:[\w\-]{0,61}[^\W_])?\.){1,8}(?:xn--[a-z0-9\-]{1,59}|[^\W\d_]{2,24})(?!_*[^\W_]|@|-\w)"
)
_URL: Final = re.compile(r"://[^\s/@]{0,64}:$")
_QUOTED: Final = re.compile(r'"[^"\n@]{1,62}"$')
_SIGN: Final = re.compile(r"[\[({<][ ]?(?:at|AT|a còng|a cong|@)[ ]?[\])}>][ ]?")
_REST: Final = re.compile(
    r"(?:[\w\-]{1,63}[ ]?(?:\.|[\[({<][ ]?(?:dot|DOT|chấm|cham|\.)[ ]?[\])}>])[ ]?){1,4}"
    r"[a-zA-Z]{2,12}\b"
)
_MAILBOXES: Final = ("gmail.", "yahoo.", "outlook.", "hotmail.", "icloud.", "proton.", "live.")
_EDGES: Final = ".'/=?*&!#{|}~^$%-"


def emails(text: str) -> Iterator[Span]:
    """Every address in `text`."""
    at = text.find("@")
    while at >= 0:
        span = _around(text, at)
        if span:
            yield span
        at = text.find("@", max(at + 1, span.end if span else 0))
    yield from _hidden(text)


def _hidden(text: str) -> Iterator[Span]:
    """Addresses whose sign is written as a word in brackets."""
    for sign in _SIGN.finditer(text):
        rest = _REST.match(text, sign.end())
        end = sign.start() - (text[sign.start() - 1 : sign.start()] == " ")
        if rest and (start := _name(text, end)) < end:
            yield Span(start, rest.end(), "EMAIL", 0.8, "emails")


def _around(text: str, at: int) -> Span | None:
    domain = _DOMAIN.match(text, at + 1)
    spaced = False
    if domain is None and text[at + 1 : at + 2] == " ":
        domain = _DOMAIN.match(text, at + 2)
        spaced = True
    if domain is None:
        return None
    end = at
    if end and text[end - 1] == " ":
        end -= 1
        spaced = True
    if spaced and not domain[0].lower().startswith(_MAILBOXES):
        return None
    start = _name(text, end)
    if start == end or (text.startswith("git", start) and end - start == 3):
        return None  # git@host is how repositories are addressed, and everybody's
    if text[start - 1 : start] == ":" and _URL.search(text, max(0, start - 80), start):
        return None  # what stands there is a password: scheme://user:password@host
    return Span(start, domain.end(), "EMAIL", 0.99, "emails")


def _name(text: str, end: int) -> int:
    """Where the name before the sign begins; `end` where there is none."""
    quoted = _QUOTED.search(text, max(0, end - _MOST), end)
    if quoted:
        return quoted.start()
    start = end
    least = max(0, end - _MOST)
    while start > least and _LOCAL.match(text, start - 1):
        start -= 1
    # What is said before it is no part of it: "email=lan@…", "to:/lan@…".
    for sign in "=/?&|#'{*!":
        cut = text.rfind(sign, start, end)
        start = max(start, cut + 1)
    while start < end and text[start] in _EDGES:
        start += 1
    return end if end and text[end - 1] in ".'" else start
