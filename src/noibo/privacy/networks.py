"""Addresses on the network: IPv4 and IPv6. Those that every machine has alike are left out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from noibo.privacy.cues import before
from noibo.privacy.numbers import Number
from noibo.privacy.span import Span
from noibo.privacy.vocabulary import OTHER

_SIX: Final = re.compile(
    r"[0-9A-Fa-f:]{2,45}(?:(?<=:)[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?:%[\w.\-]{1,15})?"
)
_COLONS: Final = re.compile(r":[0-9A-Fa-f]{0,4}:")
_HEX: Final = frozenset("0123456789abcdefABCDEF:")
_VERSION: Final = re.compile(
    r"(?:\bv|version|ver|phiên bản|phien ban|release|firmware)[ .:]{0,3}$", re.I
)


def four(text: str, number: Number) -> Span | None:
    """An IPv4 address, of a number with four parts."""
    start, end = number.start, number.end
    try:
        address = ipaddress.IPv4Address(text[start:end])
    except ValueError:
        return None
    if _part_of_more(text, start, end) or _common(address):
        return None
    if _VERSION.search(text, max(0, start - 14), start):
        return None
    named = next((cue.kind for cue in before(text, start)), "")
    # Nothing on a network has nought as its last part, but what is called an address may be one.
    nought = text[end - 2 : end] == ".0" and named != "IP"
    return None if nought or named == OTHER else Span(start, end, "IP", 0.95, "networks")


def _part_of_more(text: str, start: int, end: int) -> bool:
    earlier, later, next_ = text[start - 1 : start], text[end : end + 1], text[end + 1 : end + 2]
    if earlier.isalnum() or later.isalnum() or later == "_" or (earlier and earlier in "._-"):
        return True
    return later in (".", "-") and next_.isalnum()


def sixes(text: str) -> Iterator[Span]:
    """Every IPv6 address in `text`."""
    if text.count(":") < 2:
        return
    done = 0
    at = _next(text, 0)
    while at >= 0:
        start = at
        while start > done and text[start - 1] in _HEX and at - start < 40:
            start -= 1
        found = _SIX.match(text, start)
        if found and found.end() > at and _is_six(text, start, found.end()):
            yield Span(start, found.end(), "IP", 0.95, "networks")
        done = max(at + 2, found.end() if found else 0)
        at = _next(text, done)


def _next(text: str, since: int) -> int:
    """Where two colons stand at most four signs apart."""
    found = _COLONS.search(text, since)
    return found.start() if found else -1


def _is_six(text: str, start: int, end: int) -> bool:
    written = text[start:end].partition("%")[0]
    if len(written) < 5 or (start and text[start - 1].isalnum()) or text[end : end + 1].isalnum():
        return False
    # a::b is a name in half a dozen languages
    if not any(char.isdigit() for char in written) or written.strip(":").count(":") < 2:
        return False
    try:
        return not _common(ipaddress.IPv6Address(written))
    except ValueError:
        return False


def _common(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """What says nothing: this machine itself, nobody, all, and masks of networks."""
    if str(address).startswith(("255.", "0.", "224.0.0.", "239.255.255.250", "ff0")):
        return True
    return address.is_loopback or address.is_unspecified
