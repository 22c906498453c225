"""Pieces of a text that could be a name: runs of capitalised words, cut where no name goes on.

Of "Kính gửi Ông Trần Đình Khôi, Công ty Hoàng Phát" these are `Trần Đình Khôi` and `Hoàng Phát`,
the second after a word for organisations. Judging them is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from noibo.privacy.names_lexicon import (
    CALENDAR,
    COMMON,
    FREQUENT_SURNAME_VI,
    FUNCTION,
    GIVEN,
    GIVEN_VI,
    HONORIFIC,
    ORGANISATION,
    OTHER_VIETNAMESE,
    SURNAME,
    SURNAME_VI,
    historic,
    kinds,
    places,
)

_PARTICLES: Final = "van|von|der|den|ter|de|del|della|di|da|do|dos|du|la|le|bin|binti|al|el|ibn|af|zu"
_SUFFIXES: Final = frozenset({"II", "III", "IV", "Jr", "Sr", "Jr.", "Sr."})
_LONGEST: Final = 6  # words of a name
_PERSONAL: Final = GIVEN_VI | SURNAME_VI | GIVEN | SURNAME
_VIETNAMESE: Final = GIVEN_VI | SURNAME_VI
# Middle names that follow a surname which is also a word of address: "Ông Thị Ngọc Lan".
_MIDDLES: Final = frozenset({"thị", "văn", "thi", "van"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """`tokens`: its words. `cut_left`, `cut_right`: the kinds of the words of the same run that it
    was cut from, 0 where the run ended there. `line`: whether the run is all in capitals."""

    start: int
    end: int
    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    cut_left: int = 0
    cut_right: int = 0


@cache
def runs() -> re.Pattern[str]:
    """Words that begin with a capital, with what joins them into one name."""
    capitals = "".join(
        c for c in map(chr, (*range(0x41, 0x590), *range(0x1E00, 0x2000))) if c.isupper()
    )
    word = rf"[{capitals}](?:\.(?=[ {capitals}])|(?:[^\W\d_]|['’\-](?!s\b)(?=[^\W\d_]))*+)"
    return re.compile(rf"(?<![\w@]){word}(?: (?:(?:{_PARTICLES}) ){{0,2}}{word})*+(?![@\d_])")


def candidates(text: str) -> Iterator[Candidate]:
    """All of them, in order."""
    for run in runs().finditer(text):
        tokens = run[0].split(" ")
        if len(tokens) == 1:
            kind = kinds[tokens[0]]
            if kind & _DROPPED_ALONE and not kind & _PERSONAL:
                continue
            yield Candidate(run.start(), run.end(), (tokens[0],), (kind,))
        elif len(tokens) <= 40:
            yield from _pieces(run.start(), tokens)


_DROPPED_ALONE: Final = FUNCTION | HONORIFIC | OTHER_VIETNAMESE | ORGANISATION | CALENDAR | COMMON
_BREAKS: Final = FUNCTION | OTHER_VIETNAMESE | ORGANISATION | CALENDAR


def _breaks(place: int, tokens: list[str], kind: int) -> bool:
    """Whether the word at `place` cannot be inside a name."""
    token = tokens[place]
    if len(token.rstrip(".")) == 1 and 0 < place < len(tokens) - 1:
        return False  # an initial: Martim A Pereira
    if kind & HONORIFIC:
        following = tokens[place + 1].lower() if place + 1 < len(tokens) else ""
        named = kind & _PERSONAL and (place > 0 and kinds[tokens[place - 1]] & _PERSONAL)
        return not (named or (kind & SURNAME_VI and following in _MIDDLES))
    if kind & (FUNCTION | CALENDAR) and kind & _VIETNAMESE and place:
        return not kinds[tokens[place - 1]] & _VIETNAMESE
    if kind & _BREAKS:
        return not (token == "Park" and "-" in "".join(tokens[place + 1 : place + 2]))
    return bool(kind & COMMON and not kind & _PERSONAL)


def _pieces(start: int, tokens: list[str]) -> Iterator[Candidate]:
    offset = start
    piece: list[int] = []
    offsets = []
    found = [kinds[token] for token in tokens]
    left = 0
    for place, token in enumerate(tokens):
        offsets.append(offset)
        offset += len(token) + 1
        if _breaks(place, tokens, found[place]):
            if piece:
                yield from _named(tokens, found, offsets, piece, left, found[place])
                piece = []
            left = found[place] or OTHER_VIETNAMESE
        else:
            piece.append(place)
    if piece:
        yield from _named(tokens, found, offsets, piece, left, 0)


def _named(
    tokens: list[str],
    found: list[int],
    offsets: list[int],
    piece: list[int],
    left: int,
    right: int,
) -> Iterator[Candidate]:
    """A piece as one candidate, or two where a Vietnamese surname begins inside it."""
    first, last = piece[0], piece[-1] + 1
    while first < last - 1 and tokens[first].islower():
        first += 1
    while first < last and tokens[last - 1].islower():
        last -= 1
    if first >= last:
        return
    for begin, end in _split(tokens, found, first, last):
        before = left if begin == first else found[begin - 1] or OTHER_VIETNAMESE
        yield Candidate(
            offsets[begin],
            offsets[end - 1] + len(tokens[end - 1]),
            tuple(tokens[begin:end]),
            tuple(found[begin:end]),
            before,
            right if end == last else found[end],
        )


def _split(
    tokens: list[str], found: list[int], first: int, last: int
) -> Iterator[tuple[int, int]]:
    """Where names stand in a piece: a known place or a first word before a surname is cut off."""
    lower = [token.lower() for token in tokens[first:last]]
    for length in range(len(lower) - 1, 0, -1):
        rest = lower[length:]
        if length > 1 and _whole(lower[:length]) and found[first + length] & SURNAME_VI and len(rest) > 1:
            yield first, first + length
            first += length
            break
        if len(rest) > 1 and _whole(rest) and length > 1 and found[first] & SURNAME_VI:
            yield first, first + length
            first += length
            break
    for place in range(first + 1, last - 1):
        surname = found[place] & FREQUENT_SURNAME_VI and not found[first] & SURNAME_VI
        if surname and all(k & _VIETNAMESE for k in found[place:last]):
            if any(not k & _VIETNAMESE for k in found[first:place]):
                yield first, place
                first = place
            break
    yield first, last


def _whole(lower: list[str]) -> bool:
    phrase = " ".join(lower)
    return phrase in places() or phrase in historic()
