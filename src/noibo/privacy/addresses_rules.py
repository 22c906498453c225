"""How the parts of a Vietnamese address are written: their words and patterns.

Patterns read text without accents; where accents are written, `fits` says whether they are those of
the word: `xã` and `xa` open a part, `xà` does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from noibo.privacy.folding import bare
from noibo.privacy.names_lexicon import phrases, places, sections
from noibo.privacy.word_tree import any_of, behind

# What a part says of where it is.
HOUSE: Final = "house"  # a number with a street
FINE: Final = "fine"  # a hamlet, an alley, a building, a floor
WARD: Final = "ward"
AREA: Final = "area"  # a district, a city, a province
PLAIN: Final = "plain"  # a name of an unknown place
KNOWN: Final = "known"  # a name in the list of places

_WORD: Final = r"[A-Z][A-Za-z]*(?:['’][A-Za-z]+)*"
# Up to six words; streets are also named after days: 30 Tháng 4, 3/2, Cách Mạng Tháng 8.
_NAME: Final = (
    rf"{_WORD}(?:[ ](?:{_WORD}|(?<=T(?:hang|HANG)[ ])\d{{1,2}}\b)){{0,5}}(?:[ ](?:noi|keo) dai\b)?"
)
_MONTH: Final = "(?:[Tt]hang|THANG)"
_DATED: Final = (
    rf"(?:\d{{1,2}}[ ]{_MONTH}[ ](?:\d{{1,2}}|[A-Z][A-Za-z]+)|\d{{1,2}}/\d{{1,2}}(?![\d/]))"
)
_CODED: Final = r"[A-Z]{1,3}\d{1,4}[A-Z]?\d?(?:[-./]\w{1,5})?\b"
_MORE_DIGITS: Final = r"[A-Za-z]{0,2}(?:[ ]?[/\-][ ]?\d{1,4}[A-Za-z]{0,2}){0,4}"
_DIGITS: Final = rf"\d{{1,4}}{_MORE_DIGITS}"
_NUMBER: Final = rf"(?:[Kk]\.?)?{_DIGITS}"
# A number of up to four digits that is no part of a longer one, or of a word; looked at from behind
# its first digit, since digits are found fast.
_ALONE: Final = r"\d(?:(?<![\w./\-,@#$].)|(?<=[kK].)(?<![^\W_][kK].))\d{0,3}(?!\d)"
# In lower case a name must end where the part ends.
_SMALL: Final = r"[a-z]+(?:[ ][a-z0-9]+){0,3}?(?=[ ]?(?:[,;.\n]|$)|[ ](?:nha|nhe|nhé|a|ah|ạ)\b)"
# What follows a street in lower case without a word for streets: a ward and a town.
_ADMINISTRATIVE: Final = (
    r"(?:(?:phuong|xa|quan|huyen|tp|thi[ ]|thanh[ ]pho|p|q|h|x|tx|tt)\b|[pq]\d{1,2}\b)"
)
_SMALL_STREET: Final = (
    rf"[a-z]{{2,7}}(?:[ ][a-z]{{1,7}}){{1,5}}(?=,[ ]{_ADMINISTRATIVE}[^,\n]{{1,24}},[ ]"
    rf"{_ADMINISTRATIVE})"
)
# Two to four words that may be whom a street is named after.
_SMALL_NAME: Final = rf"[a-z]{{2,7}}(?:[ ][a-z]{{1,7}}){{1,3}}(?=,?[ ]{_ADMINISTRATIVE})"
HOUSE_WORDS: Final = ("nha so", "so nha", "so", "sn", "lo", "ngo", "hem", "ngach", "kiet", "k")


@cache
def listed(title: str) -> tuple[str, ...]:
    """A part of `address_words.txt`."""
    return tuple(" ".join(sections("address_words.txt")[title].split()).split("; "))


def _bare(*words: str) -> str:
    """Any of `words`, without accents."""
    return any_of(map(bare, words))


def _units() -> tuple[str, ...]:
    return tuple(word for kind in (FINE, WARD, AREA) for word in listed(f"vietnamese {kind}"))


@dataclass(frozen=True, slots=True)
class Patterns:
    """`house`, `unit`, `tail` and `name` are parts, `opens` the word for one and
    `separator` stands between two; `numbers`,
    `opened` and `tails` are where a first part may be."""

    house: re.Pattern[str]
    unit: re.Pattern[str]
    tail: re.Pattern[str]
    name: re.Pattern[str]
    opens: re.Pattern[str]
    separator: re.Pattern[str]
    numbers: re.Pattern[str]
    opened: re.Pattern[str]
    tails: re.Pattern[str]


@cache
def patterns() -> Patterns:
    """Compiled when the first address is looked for."""
    units = _bare(*_units())
    streets = _bare(*listed("vietnamese street"))
    heads = any_of(HOUSE_WORDS[:-1])
    lanes = _bare(*listed("vietnamese street"), *listed("vietnamese lanes"))
    lane = rf"(?:[ ,]{{1,2}}(?:{lanes})\b\.?[ ]?(?:so[ ])?{_NUMBER}(?![ ]{_MONTH}|[\w/]))"
    ends = "st|str|street|road|ward|tower|palace|building|residence"
    return Patterns(
        house=re.compile(
            rf"(?P<so>(?:{heads})[ .:]{{1,2}})?(?P<number>{_NUMBER})(?P<lanes>{lane}{{0,4}})"
            rf"(?P<kind>,?[ ](?:{streets})\b\.?)?"
            rf"(?:,?[ ](?P<name>{_DATED}|(?!(?:[PQTXHFK]|T[PXT])\.){_NAME})|"
            rf"[ ](?:(?P<street>{_SMALL_STREET})|(?P<after>{_SMALL_NAME})|(?P<small>{_SMALL})))?"
        ),
        unit=re.compile(
            rf"(?P<kind>(?:{units}))(?:"
            rf"\.?[ ]?(?P<number>\d{{1,4}}[A-Za-z]?(?:[/\-.]\w{{1,5}}){{0,3}}(?!\d))|"
            rf"(?:\.[ ]?|[ ])(?:(?P<name>{_CODED}|{_DATED}|{_NAME}(?:[ ]\d{{1,2}}(?!\d))?)|"
            rf"(?P<small>{_SMALL})))"
        ),
        tail=re.compile(
            rf"(?:{_NAME}|\d{{1,3}}(?:st|nd|rd|th))[ ](?P<tail>(?:{any_of(tails())}))\b"
        ),
        name=re.compile(rf"{_NAME}|(?P<small>{_SMALL})"),
        opens=re.compile(rf"(?P<kind>{units})(?:\.[ ]?|[ ])(?=[a-z])"),
        separator=re.compile(r"\s*[,;][ ]*\n?[ ]*|[ ][-–][ ]|[ ]|\n[ ]*|\.(?=[A-Z])"),
        numbers=re.compile(
            rf"{_ALONE}{_MORE_DIGITS},?[ ](?=[A-Z]|\d{{1,2}}(?:[ ]{_MONTH}|/\d)|"
            rf"{_SMALL_STREET}|{_SMALL_NAME}|(?:{streets}|{units})\b)"
        ),
        opened=re.compile(rf"[ .](?=[A-Z\d])(?:{behind(last_words())})"),
        tails=re.compile(
            rf"[ ](?=[BPRSTWbprstw])(?:{ends}|{'|'.join(map(str.capitalize, ends.split('|')))})\b"
        ),
    )


@cache
def _written() -> frozenset[str]:
    """The words that open a part, with their accents and without."""
    found = (*_units(), *listed("vietnamese street"))
    pairs = ("thị", "thi", "thành", "thanh")  # the first words of thị xã, thành phố
    return frozenset((*found, *map(bare, found), *pairs))


@cache
def kinds() -> dict[str, str]:
    """By a word without accents that opens a part, the kind of the part."""
    order = (AREA, WARD, FINE)
    return {bare(word): kind for kind in order for word in listed(f"vietnamese {kind}")}


@cache
def last_words() -> frozenset[str]:
    """The last words of those that open a part."""
    return frozenset(kind.rpartition(" ")[2] for kind in kinds())


@cache
def units_by_last_word() -> dict[str, tuple[str, ...]]:
    """Up to three words that open a part, by the last of them, the longest first: `xa` → `thi xa`,
    `xa`."""
    found: dict[str, tuple[str, ...]] = {}
    for unit in sorted(kinds(), key=len, reverse=True):
        if unit.count(" ") < 3:
            last = unit.rpartition(" ")[2]
            found[last] = (*found.get(last, ()), unit)
    return found


def fits(text: str, start: int, end: int) -> bool:
    """Whether the accents of a word that opens a part are its own, or none."""
    return text[start:end].lower().strip(" .,") in _written()


@cache
def tails() -> dict[str, str]:
    """The same for words that end a part: `Ben Nghe Ward`."""
    order = (HOUSE, FINE, WARD, AREA)
    return {word: kind for kind in order for word in listed(f"ends {kind}")}


@cache
def countries() -> frozenset[str]:
    """Countries and large cities of the world, which no house number stands before."""
    return frozenset(map(bare, phrases("world_places.txt")))


@cache
def known() -> frozenset[str]:
    """Places, without accents, and how people shorten them."""
    short = (
        "hcm",
        "tphcm",
        "hcmc",
        "hn",
        "sg",
        "tp",
        "brvt",
        "tt hue",
        "vn",
        "vietnam",
        "viet nam",
    )
    return frozenset(bare(place) for place in places()) | frozenset(short)


@cache
def settled() -> frozenset[str]:
    """Known places, and wards and districts, which stand behind a street only."""
    others = (*listed("vietnamese wards"), *listed("vietnamese districts"))
    return known() | frozenset(map(bare, others))
