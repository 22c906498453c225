"""Private keys by their armour, also where a text was cut in the middle of one; and by how what is
in it begins, where there is none: of PKCS#1, PKCS#8, SEC 1, OpenSSH, PuTTY, JWK and XML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from noibo.privacy.span import Span

_ARMOUR: Final = (
    r"-{3,5} {0,2}%s {1,3}(?:[A-Z0-9]{1,12} {1,3}){0,3}PRIVATE {1,3}KEY(?: {1,3}BLOCK)? {0,2}-{3,5}"
)
_BEGIN: Final = re.compile(_ARMOUR % "BEGIN")
_END: Final = re.compile(_ARMOUR % "END")
# A line of the armour, with its end as it is or as JSON writes it.
_BODY: Final = re.compile(
    r"(?:\s|\\[nrt]|[A-Za-z0-9+/=]{16,}|[A-Za-z][A-Za-z\-]{2,24}: [^\n]{1,200}|[A-Za-z0-9+/=]{1,76}"
    r"(?=\s|\\n|-----|[\"'`]|$)|[>|])+"
)
# Base64 of how such keys begin, and what follows; public keys and certificates begin otherwise.
_BARE: Final = re.compile(
    r"(?<![A-Za-z0-9+/])(?:MII[A-Za-z0-9+/]{3}IBA(?:DANBgkqhkiG9w0BAQEFAASC|AK[BC])|MI[GH].AgE[AB]"
    r"|MHcCAQEEI|MC4CAQAwBQYDK2Vw|b3BlbnNzaC1rZXktdjE)"
    r"(?:[A-Za-z0-9+/]|(?:\s|\\n)(?=[A-Za-z0-9+/]{16})){20,}(?:\s?[A-Za-z0-9+/]{1,15})?={0,2}"
)
_BARE_SIGNS: Final = ("IBA", "AgE", "MHcCAQEEI", "MC4CAQAw", "b3BlbnNzaC1rZXktdjE")
_PUTTY: Final = re.compile(r"Private-Lines: ?\d{1,3}(?:\s{1,2}[A-Za-z0-9+/=]{1,80})+")
_JWK: Final = re.compile(r"(?<![\w.])[\"']?d[\"']?\s?[:=]\s?[\"']?(?P<key>[A-Za-z0-9_\-]{43,})")
_XML: Final = re.compile(r"<(?:D|P|Q)>\s*(?P<key>[A-Za-z0-9+/=\s]{40,})</")
_LINE: Final = re.compile(r"[A-Za-z0-9+/=]{1,80}")


def private_keys(text: str) -> Iterator[Span]:
    """Every private key in `text`."""
    whole = list(_armoured(text)) if "PRIVATE" in text else []
    yield from whole
    for one in _bare(text):
        if not any(known.start <= one.start < known.end for known in whole):
            yield one


def _armoured(text: str) -> Iterator[Span]:
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


def _bare(text: str) -> Iterator[Span]:
    """Private keys without an armour, or with another."""
    if any(map(text.__contains__, _BARE_SIGNS)):
        for found in _BARE.finditer(text):
            yield Span(found.start(), found.end(), "PRIVATE_KEY", 0.98, "secrets")
    if "Private-Lines" in text:
        for found in _PUTTY.finditer(text):
            yield Span(found.start(), found.end(), "PRIVATE_KEY", 0.98, "secrets")
    for pattern, speaks in ((_JWK, "kty" in text or text.startswith("d: ")), (_XML, "<D>" in text)):
        for found in pattern.finditer(text) if speaks else ():
            yield Span(*found.span("key"), "PRIVATE_KEY", 0.95, "secrets")


def _lines_before(text: str, end: int, least: int) -> int:
    """Where the lines of armour before a place begin, of a key whose beginning was cut off."""
    start = end
    while start > least:
        line = text.rfind("\n", max(least, start - 84), start - 1) + 1 or max(least, start - 84)
        if not _LINE.fullmatch(text[line:start].rstrip()):
            break
        start = line
    return start
