"""Putting values back into an answer while it comes in.

A placeholder may be cut anywhere between two pieces of a stream, so what could still become one is
held back, and nothing else is.
"""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.placeholder import LONGEST, SEEN
from noibo.privacy.redaction import Redaction

_BEGIN: Final = re.compile(r"[<\\&%]|(?<!\w)[A-Z]")
_OPENINGS: Final = (
    ("<", (">", "/>")),
    ("\\<", ("\\>",)),
    ("&lt;", ("&gt;",)),
    ("\\u003c", ("\\u003e", "\\u003E")),
    ("\\u003C", ("\\u003e", "\\u003E")),
    ("%3c", ("%3e", "%3E")),
    ("%3C", ("%3e", "%3E")),
)
_LOOSE: Final = re.compile(
    r" {0,2}([A-Za-z][A-Za-z_\\ -]*)?(\d*)([A-Za-z]*)( {0,2})(.*)", re.DOTALL
)
_STRICT: Final = re.compile(r"([A-Z][A-Z_\\]*)(\d*)([a-z]*)(\\?)")
_GAP: Final = re.compile(r"\\?_|[ -]")


class Restorer:
    """One text that comes in pieces. `in_json`: it is the inside of JSON, as arguments of tools."""

    def __init__(self, redaction: Redaction, *, in_json: bool = False) -> None:
        self._redaction = redaction
        self._in_json = in_json
        self._held = ""
        self._last = ""  # the sign before it

    def feed(self, piece: str) -> str:
        """What can be said by now."""
        if not piece:
            return ""
        text = self._held + piece
        return self._said(text, self._hold(text))

    def end(self) -> str:
        """What was held back: it has become no placeholder, or one that needs no more."""
        return self._said(self._held, len(self._held))

    @property
    def held(self) -> str:
        return self._held

    def _said(self, text: str, until: int) -> str:
        """The text up to there, restored; the rest is held."""
        whole, start = self._last + text, len(self._last)
        made, end = [], start
        for match in SEEN.finditer(whole, start):
            if match.end() > until + start:
                break
            made += [
                whole[end : match.start()],
                self._redaction.value(match, in_json=self._in_json),
            ]
            end = match.end()
        made.append(whole[end : until + start])
        self._held = text[until:]
        self._last = (whole[: until + start])[-1:]
        return "".join(made)

    def _hold(self, text: str) -> int:
        """From where on it could still become a placeholder."""
        if not self._redaction:
            return len(text)
        whole, start = self._last + text, len(self._last)
        for match in _BEGIN.finditer(whole, max(start, len(whole) - LONGEST)):
            if self._could_be(whole[match.start() :]):
                return match.start() - start
        return len(text)

    def _could_be(self, tail: str) -> bool:
        """More could make a placeholder of it that is not one yet, or another one."""
        if tail[0] not in "<\\&%":
            return self._could_be_bare(tail)
        for opening, closings in _OPENINGS:
            if opening.startswith(tail):
                return True
            if tail.startswith(opening) and self._could_be_inside(tail[len(opening) :], closings):
                return True
        return False

    def _could_be_inside(self, rest: str, closings: tuple[str, ...]) -> bool:
        match = _LOOSE.fullmatch(rest)
        if match is None:
            return False
        kind, digits, spelling, space, after = match.groups(default="")
        plain = _plain(kind)
        if not digits:
            return not after and self._redaction.could_be(plain)
        plain, complete = plain.removesuffix("_"), bool(space or after)
        if not self._redaction.could_be(plain, digits, spelling.lower(), complete=complete):
            return False
        return not after or any(one.startswith(after) and one != after for one in closings)

    def _could_be_bare(self, tail: str) -> bool:
        match = _STRICT.fullmatch(tail)
        if match is None:
            return False
        kind, digits, spelling, _ = match.groups()
        plain = _plain(kind)
        if not digits:
            return self._redaction.could_be(plain)
        return plain.endswith("_") and self._redaction.could_be(plain[:-1], digits, spelling)


def _plain(kind: str) -> str:
    """A kind as far as it has come, with what may stand between its words."""
    return _GAP.sub("_", kind.removesuffix("\\")).upper()
