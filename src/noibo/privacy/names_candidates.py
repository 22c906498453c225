"""Pieces of a text that could be a name: runs of capitalised words, cut where no name goes on.

Of "Kính gửi Ông Trần Đình Khôi, Công ty Hoàng Phát" these are `Trần Đình Khôi` and `Hoàng Phát`,
the second after a word for organisations. Judging them is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final, NamedTuple

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
    PLACE,
    STREET,
    SURNAME,
    SURNAME_VI,
    capitals,
    compounds,
    historic,
    kinds,
    places,
)

_PARTICLES: Final = (
    "van|von|der|den|ter|de|del|della|di|da|do|dos|du|la|le|bin|binti|al|el|ibn|af|zu"
)
_SUFFIXES: Final = frozenset({"II", "III", "IV", "Jr", "Sr", "Jr.", "Sr."})
_ACRONYM: Final = re.compile(r"[BCDĐGHKLMNPQRSTVX]{3,5}")
_LONGEST_RUN: Final = 40  # words
_PERSONAL: Final = GIVEN_VI | SURNAME_VI | GIVEN | SURNAME
_VIETNAMESE: Final = GIVEN_VI | SURNAME_VI
# Middle names that follow a surname which is also a word of address: "Ông Thị Ngọc Lan".
_MIDDLES: Final = frozenset({"thị", "văn", "thi", "van"})


class Candidate(NamedTuple):
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
    caps = capitals()
    rest = rf"(?:\.(?=[ {caps}])|(?:[^\W\d_]|['’\-](?!s\b)(?=[^\W\d_]))*+)"
    more = rf" (?:(?:{_PARTICLES}) ){{0,2}}[{caps}]{rest}"
    # What stands before is looked at after the first capital: capitals are found fast.
    before = r"(?<!\w.)(?<![^\s(]@.)"  # "@Lan Anh" calls somebody, "a@Lan" is an address
    return re.compile(rf"[{caps}]{before}{rest}(?:{more})*+(?![@\d_])", re.DOTALL)


def candidates(text: str) -> Iterator[Candidate]:
    """All of them, in order."""
    for run in runs().finditer(text):
        start, end = run.span()
        if end - start == 1:
            continue
        said = run[0]
        if " " not in said:
            if text[start - 1 : start] == "@":
                continue
            kind = kinds[said]
            dropped = kind & FUNCTION or (kind & _DROPPED_ALONE and not kind & _PERSONAL)
            if dropped and (kind != OTHER_VIETNAMESE or not _is_called(text, start)):
                continue
            yield Candidate(start, end, (said,), (kind,))
        elif said.count(" ") < _LONGEST_RUN:
            for first, last, tokens, told, left, right in _cut(said):
                yield Candidate(start + first, start + last, tokens, told, left, right)


@lru_cache(8192)
def _cut(run: str) -> tuple[Candidate, ...]:
    """The candidates of a run of several words: what stands around it has no say in them, and the
    names of persons, places and companies come again in a text."""
    return tuple(_pieces(run.split(" "), run.lower().split(" ")))


def _is_called(text: str, place: int) -> bool:
    """`bé Bông`: after an honorific any syllable may be a name."""
    words = text[max(0, place - 6) : place].split(" ")
    return (
        len(words) > 1
        and not words[-1]
        and bool(words[-2].isalpha() and kinds[words[-2]] & HONORIFIC)
    )


_DROPPED_ALONE: Final = FUNCTION | HONORIFIC | OTHER_VIETNAMESE | ORGANISATION | CALENDAR | COMMON
_BREAKS: Final = STREET | FUNCTION | OTHER_VIETNAMESE | ORGANISATION | CALENDAR
_DOUBTED: Final = _BREAKS | HONORIFIC | COMMON
_TOWNS: Final = ("đô", "siêu")  # đô thị, siêu thị


def _breaks(place: int, tokens: list[str], low: list[str], kind: int) -> bool:  # noqa: PLR0911
    """Whether the word at `place` cannot be inside a name. `low`: the words in small letters."""
    token = tokens[place]
    if not kind & _DOUBTED and not token.isupper() and low[place] not in _TOWNS:
        return False
    if len(token.rstrip(".")) == 1 and 0 < place < len(tokens) - 1:
        return False  # an initial: Martim A Pereira
    following = low[place + 1] if place + 1 < len(tokens) else ""
    if kind & HONORIFIC:
        named = kind & _PERSONAL and (place > 0 and kinds[tokens[place - 1]] & _PERSONAL)
        return not (named or (kind & SURNAME_VI and following in _MIDDLES))
    odd = following == "văn" and kind == OTHER_VIETNAMESE and _goes_on_as_name(tokens, place + 2)
    if following in _MIDDLES and (kind & SURNAME_VI or following == "thị" or odd):
        return low[place] in _TOWNS  # Lại Thị Hoa, Ôn Thị Trân
    if kind & FUNCTION and kind & SURNAME_VI and len(tokens) in (3, 4) and place == 0:
        rest = [kinds[one] for one in tokens[1:]]  # Lại Thế Vinh
        return bool(rest[0] & FREQUENT_SURNAME_VI) or not all(one & GIVEN_VI for one in rest)
    if place and token.isupper() and len(token) > 2 and _ACRONYM.fullmatch(token):
        return not tokens[0].isupper()  # anh Phong CSGT
    if kind & (FUNCTION | CALENDAR) and kind & _VIETNAMESE and place:
        return not kinds[tokens[place - 1]] & _VIETNAMESE
    if kind & CALENDAR:
        return not kind & (GIVEN | SURNAME)
    if kind & _BREAKS and not (kind & STREET and kind & _PERSONAL and place):
        korean = kind & SURNAME and "-" in "".join(tokens[place + 1 : place + 2])
        return not korean
    return bool(kind & COMMON and not kind & _PERSONAL)


def _goes_on_as_name(tokens: list[str], place: int) -> bool:
    """Whether a given name follows `Văn`, and neither another name nor a thing: `Bàn Văn Phin`,
    but not `Nhà Văn Nguyễn Tuân`, `Phòng Văn Thư`."""
    following = tokens[place] if place < len(tokens) else ""
    kind = kinds[following] if following else 0
    if not kind & (GIVEN_VI | OTHER_VIETNAMESE) or kind & FREQUENT_SURNAME_VI:
        return False
    return f"văn {following.lower()}" not in compounds()


def _odd_syllable(tokens: list[str], found: list[int], first: int, place: int) -> bool:
    """A syllable that the lists lack, in capitals as a name's: `Hứa Kiễn Quốc`."""
    named = found[place] & OTHER_VIETNAMESE and found[first] & SURNAME_VI
    known = found[place - 1] & (_VIETNAMESE | OTHER_VIETNAMESE) or not found[place - 1] & COMMON
    return bool(named and known) and place - first < 4 and tokens[place][1:].islower()


def _known(low: list[str], found: list[int], place: int) -> int:
    """How many words from `place` on are a known place or a person of history, and nothing more:
    `Thanh Hóa` is one, but not in `Lê Thanh Hóa`, nor `Trần Phú` in `Trần Phú Quý`."""
    lengths = _lengths().get(low[place])
    if not lengths or (
        place and found[place - 1] & _VIETNAMESE and not found[place - 1] & HONORIFIC
    ):
        return 0
    for length in lengths:
        end = place + length
        if end <= len(low) and " ".join(low[place:end]) in _phrases():
            goes_on = end < len(low) and found[end] & _PERSONAL
            return 0 if goes_on and not found[end] & FREQUENT_SURNAME_VI else length
    return 0


def _pieces(tokens: list[str], low: list[str]) -> Iterator[Candidate]:
    found = [kinds[token] for token in tokens]
    offsets, offset = [], 0
    for token in tokens:
        offsets.append(offset)
        offset += len(token) + 1
    left, place, first = 0, 0, -1
    while place < len(tokens):
        length = _known(low, found, place)
        odd = found[place] & OTHER_VIETNAMESE and first >= 0
        goes_on = odd and _odd_syllable(tokens, found, first, place)
        if not length and (goes_on or not _breaks(place, tokens, low, found[place])):
            first = place if first < 0 else first
            place += 1
            continue
        if first >= 0:
            right = PLACE if length else found[place] or OTHER_VIETNAMESE
            yield from _named(tokens, found, offsets, (first, place, left, right))
            first = -1
        if length:
            yield from _named(tokens, found, offsets, (place, place + length, left, 0))
        # What follows the name of a company in one run belongs to it: `TNHH Mây Tre Việt`.
        company = left & ORGANISATION if not found[place] & HONORIFIC else 0
        left = (PLACE if length else found[place] or OTHER_VIETNAMESE) | company
        place += length or 1
    if first >= 0:
        yield from _named(tokens, found, offsets, (first, len(tokens), left, 0))


def _named(
    tokens: list[str], found: list[int], offsets: list[int], piece: tuple[int, int, int, int]
) -> Iterator[Candidate]:
    """A piece as one candidate, or two where a Vietnamese surname begins inside it. `piece`: from
    and to which word, and the kinds of the words that it was cut from."""
    first, last, left, right = piece
    while first < last - 1 and tokens[first].islower():
        first += 1
    while first < last and tokens[last - 1].islower():
        last -= 1
    if first >= last:
        return
    for begin, end in _split(found, first, last):
        yield Candidate(
            offsets[begin],
            offsets[end - 1] + len(tokens[end - 1]),
            tuple(tokens[begin:end]),
            tuple(found[begin:end]),
            left if begin == first else found[begin - 1] or OTHER_VIETNAMESE,
            right if end == last else found[end],
        )


def _split(found: list[int], first: int, last: int) -> Iterator[tuple[int, int]]:
    """A first word that is not Vietnamese is cut off before a surname that is."""
    for place in range(first + 1, last - 1):
        surname = found[place] & FREQUENT_SURNAME_VI and not found[first] & SURNAME_VI
        if surname and all(k & _VIETNAMESE for k in found[place:last]):
            if any(not k & _VIETNAMESE for k in found[first:place]):
                yield first, place
                first = place
            break
    yield first, last


@cache
def _phrases() -> frozenset[str]:
    return frozenset(phrase for phrase in places() | historic() if " " in phrase)


@cache
def _lengths() -> dict[str, list[int]]:
    """By the first word of a known phrase: how many words such phrases have, the longest first."""
    lengths: dict[str, set[int]] = {}
    for phrase in _phrases():
        parts = phrase.split(" ")
        lengths.setdefault(parts[0], set()).add(len(parts))
    return {head: sorted(counts, reverse=True) for head, counts in lengths.items()}
