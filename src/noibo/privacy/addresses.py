"""Finds addresses, Vietnamese and foreign.

A chain of parts is an address if it says where somebody's door is: a house with a street, an alley,
a hamlet or a building, with what lies around it, or less where a word before it asks for an address
("địa chỉ", "ship về", "lives at"). A lone province, city or country is where one comes from, not
where one lives, and is not found.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache
from operator import itemgetter
from typing import Final

from noibo.privacy.addresses_asked import asked
from noibo.privacy.addresses_english import english_addresses
from noibo.privacy.addresses_rules import AREA, FINE, HOUSE, KNOWN, WARD, known
from noibo.privacy.addresses_vietnamese import Part, Reader
from noibo.privacy.names_lexicon import historic
from noibo.privacy.reading import Reading
from noibo.privacy.span import Span

LABEL: Final = "ADDRESS"
_SCORE: Final = 0.95  # over that of names: a street is named after somebody
_CUE_WIDTH: Final = 40
_POSTCODE: Final = re.compile(r",?[ ]\d{5,6}\b(?![.,]?\d)")
# What stands before a street and belongs to it: the name of a building, a flat.
_BUILDING: Final = re.compile(
    r"(?:[A-Z][A-Za-z']* ){0,3}(?:Vinhomes|Masteri|Landmark|Ecopark|Sunrise|Tower|Plaza|Palace|"
    r"Building|City|Residences?|Garden|Apartments?|Hotel)(?: [A-Z][A-Za-z0-9']*){0,3}, ?$"
    r"|(?<![A-Za-z])(?:(?:[Pp]hong|[Cc]an ho|[Aa]pt|[Rr]oom|[Uu]nit|[Cc]an|P|CH|A|B|S)\.? ?)"
    r"[A-Z]{0,2}\d{2,5}[A-Z]?(?:[.\-]\d+)?, ?(?:[A-Z]{1,3}\d{0,3}[A-Z]?\d?, ?)?$"
    r"|(?<![\w/\-])[A-Z]{1,3}\d{1,3}[A-Z]?(?:[.\-]\d{1,4})?,? $"  # of a lot, a block, a road
    r"|(?<!\w)[Nn]o\. ?\d{1,4}[A-Z]?(?:/\d{1,4}[A-Z]?)*,? $"
)


# A hamlet that nothing calls one: `ở Nậm Pẻn 2, xã Nậm Pung`.
_HAMLET: Final = re.compile(
    r"(?<![A-Za-z])(?:o|tai|tru) (?P<name>[A-Z][A-Za-z']*(?: [A-Z][A-Za-z']*){0,3})(?: \d{1,2})?, $"
)


def find_addresses(text: str) -> list[Span]:
    """Addresses in `text`, in order, without overlaps."""
    reading = Reading.of(text)
    return [reading.back(span) for span in addresses_in(reading.text)]


def addresses_in(text: str) -> list[Span]:
    """The same for a text as finders read it."""
    return addresses_of((text,))[0]


def addresses_of(texts: Sequence[str]) -> list[list[Span]]:
    """The same for each of many texts. All of them take one step before any takes the next."""
    readers = [Reader(text) for text in texts]
    heads = [reader.heads() for reader in readers]
    chains = list(map(_chains, readers, heads))
    values = [list(asked(reader.text, reader.bare)) for reader in readers]
    english = [list(english_addresses(text)) for text in texts]
    return list(map(_apart, chains, values, english))


def _apart(
    chains: list[tuple[int, int]],
    values: list[tuple[int, int, bool]],
    english: list[tuple[int, int]],
) -> list[Span]:
    """Addresses of one text, of three kinds, without overlaps."""
    if values:
        chains = _widened(chains, values)
    found = [Span(start, end, LABEL, _SCORE, "addresses") for start, end in chains]
    for start, end in english:
        found.append(Span(start, end, LABEL, _SCORE, "addresses_english"))
    if len(found) < 2:
        return found
    # Of two that overlap the one that begins first and is longer.
    found.sort(key=lambda span: (span.start, -span.end))
    apart: list[Span] = []
    for span in found:
        if apart and span.start < apart[-1].end:
            if span.end - span.start > apart[-1].end - apart[-1].start:
                apart[-1] = span
            continue
        apart.append(span)
    return apart


def _widened(
    chains: list[tuple[int, int]], values: list[tuple[int, int, bool]]
) -> list[tuple[int, int]]:
    """Chains and the values that labels ask for, joined where they overlap. A sentence that asks
    only says where the chain in it begins."""
    found = list(chains)
    for start, end, labelled in values:
        # They lie in order and apart: what a value overlaps is a piece of the list.
        first = bisect_right(found, start, key=itemgetter(1))
        after = bisect_left(found, end, first, key=itemgetter(0))
        over = found[first:after]
        if not over and not labelled:
            continue
        last = max((place[1] for place in over), default=end)
        whole = min([start, *(place[0] for place in over)]), max(last, end * labelled)
        found[first:after] = [whole]
    return found


def _chains(reader: Reader, heads: list[int]) -> list[tuple[int, int]]:
    text, done = reader.text, 0
    found: list[tuple[int, int]] = []
    for place in heads:
        if place < done:
            continue
        parts = reader.chain(place)
        start = _from_building(reader.bare, place) if parts else place
        if parts and _is_address(reader.bare, parts, start):
            code = _POSTCODE.match(text, parts[-1].end) if len(parts) > 1 else None
            done = code.end() if code else parts[-1].end
            found.append((start, done))
    return found


def _from_building(bare: str, place: int) -> int:
    """Where the name of a building before the street begins: `Vinhomes Golden River, số 2`."""
    found = _BUILDING.search(bare, max(0, place - _CUE_WIDTH), place)
    if found:
        return found.start()
    hamlet = _HAMLET.search(bare, max(0, place - _CUE_WIDTH), place)
    return hamlet.start("name") if hamlet and hamlet["name"].lower() not in known() else place


# Words right before an address, without accents; the strong ones ask for nothing else.
_STRONG: Final = (
    r"dia chi[^,;.\n]{0,24}|noi o[^,;.\n]{0,16}|tru(?: tai| o)?|thuong tru[^,;.\n]{0,6}|d/?c|"
    r"tam tru[^,;.\n]{0,6}|cu tru[^,;.\n]{0,5}|address(?: is)?|lives? (?:at|in)|living at|"
    r"ship(?: ve| den| toi)|giao(?: ve| den| toi| thanh)|ngu tai|ho khau[^,;.\n]{0,12}|"
    r"sinh song tai|nguyen quan|que quan|que(?: o| tai)?|lap dat tai|song (?:o|tai)|nha o"
)
_WEAK: Final = (
    r"cho o|ship(?: cho em ve)?|giao(?: hang)?|nha(?: rieng)?(?: em| toi| minh| chi| anh)?(?: o)?|"
    r"[^\w]o|^o|tai|van phong|tru so|den|ve|qua|gui|o so|chuyen den|chuyen ve|to"
)


@cache
def _cue(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{words})\s*[:\-]?\s*[\"'(]?$", re.IGNORECASE)


def _is_address(bare: str, parts: list[Part], start: int) -> bool:
    """Whether parts, with what `start` begins before them, say where somebody's door is."""
    kinds = [part.kind for part in parts]
    before = bare[max(0, start - _CUE_WIDTH) : start]
    around = sum(kind in (WARD, AREA, KNOWN) for kind in kinds)
    unnamed = start < parts[0].start  # a building, a hamlet
    fine = kinds.count(FINE) + unnamed
    if kinds[0] == HOUSE:
        if around:
            return True
        first = bare[parts[0].start : parts[0].end]
        named = re.match(
            r"(?i)(?:so|sn)\b|\S*/|\S+,? (?:duong|pho|ngo|hem|ngach|kiet|d\.)\b", first
        )
        return _asked(before, weakly=bool(named or fine or _after_somebody(first)))
    if HOUSE in kinds or fine:
        if around and (fine > 1 or HOUSE in kinds or len(parts) > 2):
            return True
        return len(parts) + unnamed > 1 and (
            _asked(before, weakly=True) or (around > 0 and _opens_cell(before))
        )
    if around > 1 and (around > 2 or kinds[0] == WARD) and _opens_cell(before):
        return True
    return around > 1 and _asked(before, weakly=False)


def _opens_cell(before: str) -> bool:
    """Whether an address begins a cell, a line or a part of a list: `Sùng A Chứ; bản Nậm Pố`."""
    return re.search(r"(?:[;|\t\n\"'>(]|[ ][-–/])[ ]?$|\w,[ ]$", before) is not None


def _after_somebody(house: str) -> bool:
    """Whether a house's street is named as streets are, after a person of history: `96 Võ Thị Sáu`,
    but not `12 Đơn Hàng`."""
    return house.partition(" ")[2].strip(" ,").lower() in historic()


def _asked(before: str, *, weakly: bool) -> bool:
    """Whether the words right before ask for an address."""
    words = f"{_STRONG}|{_WEAK}" if weakly else _STRONG
    return _cue(words).search(before) is not None
