"""A text as the finders read it, and the way back to the text as it was given.

The same words can be written in many ways that look alike: accents as characters of their own
(NFD, as macOS names files), full-width digits, spaces that do not break, hyphens of five kinds, and
characters of no width put inside a number to hide it. Finders see one of these only; what they find
is told in characters of the original.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from noibo.privacy.folding import is_usual
from noibo.privacy.span import Span

# Written without width, so they may stand anywhere: joiners, marks of direction, soft hyphens,
# what chooses a form of the sign before it, letters and blanks that are nothing to be seen.
_UNSEEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SPACES: Final = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
_HYPHENS: Final = "\u2010-\u2015\u2212\ufe58\ufe63"
_WIDE: Final = "\uff01-\uff5e"
# Noughts of other scripts, each with its nine digits behind it.
_NOUGHTS: Final = (
    "\u0660\u06f0\u07c0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0de6\u0e50"
    "\u0ed0\u0f20\u1040\u1090\u17e0\u1810\u1946\u19d0\u1a80\u1a90\u1b50\u1bb0\u1c40\u1c50"
    "\ua620\ua8d0\ua900\ua9d0\ua9f0\uaa50\uabf0\U000104a0\U00010d30\U00011066\U000110f0"
    "\U00011136\U000111d0\U000112f0\U00011450\U000114d0\U00011650\U000116c0\U00011730"
    "\U000118e0\U00011950\U00011c50\U00011d50\U00011da0\U00016a60\U00016ac0\U00016b50"
    "\U0001e140\U0001e2f0\U0001e950\U0001fbf0"
)
# Besides: mathematical alphabets with their digits, raised and lowered ones, letters in circles,
# digits in circles, in brackets, with a full stop.
_DIGITS: Final = "".join(f"{nought}-{chr(ord(nought) + 9)}" for nought in _NOUGHTS) + (
    "\U0001d400-\U0001d7ff\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u2080-\u2089\u2460-\u2468"
    "\u2474-\u247c\u2488-\u2490\u24b6-\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792"
    "\U0001f100-\U0001f10a"
)
_MARKS: Final = "\u0300-\u034e\u0350-\u036f\u20d0-\u20f0"
_ODD: Final = re.compile(f"[{_UNSEEN}{_SPACES}{_HYPHENS}{_WIDE}{_DIGITS}{_MARKS}]")
# A letter with its marks is one piece: what is read in its place may be one character or several.
_PIECE: Final = re.compile(
    f"[^{_MARKS}][{_MARKS}]+|[{_UNSEEN}{_SPACES}{_HYPHENS}{_WIDE}{_DIGITS}{_MARKS}]"
)
_IS_HYPHEN: Final = re.compile(f"[{_HYPHENS}]")
_IS_UNSEEN: Final = re.compile(f"[{_UNSEEN}]")
_IS_MARK: Final = re.compile(f"[{_MARKS}]")


@dataclass(frozen=True, slots=True)
class Reading:
    """`text`: what finders read. `read` and `given`: from where on, in it and in the original, the
    two go in step; between two such places stands something that was read otherwise."""

    text: str
    read: Sequence[int] = ()
    given: Sequence[int] = ()

    @classmethod
    def of(cls, text: str) -> Reading:
        """Text without anything odd is read as it is, without a copy."""
        if text.isascii() or is_usual(text) or not _ODD.search(text):
            return cls(text)
        return _read(text)

    def back(self, span: Span) -> Span:
        """The same span in the original text."""
        if not self.read:
            return span
        return replace(span, start=self._start(span.start), end=self._end(span.end))

    def _start(self, place: int) -> int:
        at = bisect_right(self.read, place) - 1
        return self.given[at] + place - self.read[at]

    def _end(self, place: int) -> int:
        # That of the last character, with the marks that are part of it; what has no width and
        # comes after it is not.
        at = bisect_right(self.read, place - 1) - 1
        if at + 1 < len(self.read) and place == self.read[at + 1]:
            return self.given[at + 1]
        return self.given[at] + place - self.read[at]


def _read(text: str) -> Reading:
    pieces: list[str] = []
    read, given = [0], [0]
    copied = length = 0
    for found in _PIECE.finditer(text):
        start, end = found.span()
        meant = _meant(found[0])
        pieces += (text[copied:start], meant)
        length += start - copied
        copied = end
        if len(meant) == end - start:
            length += len(meant)
            continue
        if meant:
            # The piece itself, as a whole: its end is where the next begins.
            read.append(length)
            given.append(start)
            length += len(meant)
        else:
            _close(read, given, length, start)
        read.append(length)
        given.append(end)
    pieces.append(text[copied:])
    return Reading("".join(pieces), read, given)


def _close(read: list[int], given: list[int], length: int, start: int) -> None:
    """Say where what is left out begins, so that a span that ends before it does not hold it."""
    if read[-1] != length:
        read.append(length)
        given.append(start)


@functools.lru_cache(4096)
def _meant(piece: str) -> str:
    if len(piece) > 1:  # marks that make no letter with it (struck through, in a box) say nothing
        return _IS_MARK.sub("", unicodedata.normalize("NFC", _meant(piece[0]) + piece[1:]))
    if _IS_UNSEEN.match(piece):
        return ""
    if _IS_HYPHEN.match(piece):
        return "-"
    plain = unicodedata.normalize("NFKC", piece)
    digit = unicodedata.digit(piece, None)
    if digit is not None:
        return str(digit)
    return " " if plain.isspace() else plain if len(plain) == 1 else piece
