"""The words that names are made of, and those that stand around them.

The lists lie beside this package in `data/` and are read when the first name is looked for. A word
is judged once and its kinds are kept, so that a long text costs one dictionary look-up a word.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

from noibo.privacy.folding import bare

KEPT_WORDS = 50_000


# What a word can be, as bits; most words of names are several things at once.
SURNAME_VI: Final = 1
GIVEN_VI: Final = 2
GIVEN: Final = 4
SURNAME: Final = 8
COMMON: Final = 16
PLACE: Final = 32
ORGANISATION: Final = 64
HONORIFIC: Final = 128
FUNCTION: Final = 256
CALENDAR: Final = 512
OTHER_VIETNAMESE: Final = 1024  # a syllable of Vietnamese that no name has
FREQUENT_SURNAME_VI: Final = 2048
STREET: Final = 4096


def read(name: str) -> str:
    """A list in `data/` but for the comments at its head."""
    text = resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    while text.startswith("#"):
        text = text.partition("\n")[2]
    return text


@cache
def words(name: str) -> frozenset[str]:
    """A list of single words."""
    return frozenset(read(name).split())


@cache
def sections(name: str) -> dict[str, str]:
    """The parts of a list that has several, by their titles in brackets."""
    parts = read(name).removeprefix("[").split("\n[")
    return {title: body for title, _, body in (part.partition("]\n") for part in parts)}


@cache
def named(title: str) -> frozenset[str]:
    """A part of `name_words.txt`: words that are not names, or only sometimes."""
    return frozenset(sections("name_words.txt")[title].split())


@cache
def phrases(*names: str) -> frozenset[str]:
    """Lists of phrases between semicolons, in lower case, with diacritics and without."""
    found = {p.strip().lower() for name in names for p in read(name).replace("\n", ";").split(";")}
    return frozenset(found | {bare(phrase) for phrase in found if len(phrase) > 3})


@cache
def capitals() -> str:
    """Capital letters of the Latin, Greek, Cyrillic and Armenian scripts, for a character class."""
    ranges = (*range(0x41, 0x590), *range(0x1E00, 0x2000))
    return "".join(c for c in map(chr, ranges) if c.isupper())


@cache
def places() -> frozenset[str]:
    """Countries, provinces, cities and districts."""
    return phrases("vietnamese_places.txt", "world_places.txt")


@cache
def historic() -> frozenset[str]:
    """Persons long dead, whom lessons, streets and schools are about."""
    return phrases("historic_persons.txt")


@cache
def compounds() -> frozenset[str]:
    """Vietnamese words of two syllables whose first one could be a name."""
    return phrases("vietnamese_compounds.txt")


@cache
def halves() -> tuple[frozenset[str], frozenset[str]]:
    """How compounds begin, and what follows the first blank in them."""
    pairs = [compound.partition(" ") for compound in compounds()]
    return frozenset(pair[0] for pair in pairs), frozenset(pair[2] for pair in pairs)


@cache
def _vietnamese() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    frequent = frozenset(" ".join(read("vietnamese_surnames.txt").splitlines()[:2]).split())
    surnames = words("vietnamese_surnames.txt")
    given = words("vietnamese_given.txt") | surnames
    return (
        surnames | {bare(w) for w in surnames if len(w) > 1},
        given | {bare(w) for w in given},
        frequent | {bare(w) for w in frequent},
    )


class _Kinds(dict[str, int]):
    def __missing__(self, word: str) -> int:
        kind = _judge(word)
        if len(self) < KEPT_WORDS:
            self[word] = kind
        return kind


def _judge(word: str) -> int:
    low = word.lower().replace("’", "'").removesuffix(".").removesuffix("'s")
    surnames, given, frequent = _vietnamese()
    member = (
        (SURNAME_VI, low in surnames),
        (GIVEN_VI, low in given),
        (FREQUENT_SURNAME_VI, low in frequent),
        (GIVEN, low in words("given_names.txt")),
        (SURNAME, low in words("surnames.txt") or _hyphenated(low)),
        (COMMON, low in words("english_words.txt")),
        (PLACE, low in places()),
        (ORGANISATION, low in named("organisations")),
        (HONORIFIC, low in named("honorifics")),
        (FUNCTION, low in named("function")),
        (CALENDAR, low in named("calendar")),
        (STREET, low in named("streets")),
    )
    kind = 0
    for flag, holds in member:
        if holds:
            kind |= flag
    if not low.isascii() and not kind and _is_vietnamese(low):
        kind |= OTHER_VIETNAMESE
    return kind


def _hyphenated(low: str) -> bool:
    surnames = words("surnames.txt")
    return "-" in low and all(part in surnames for part in low.split("-"))


_SYLLABLE: Final = re.compile(
    r"(?:b|c|ch|d|đ|g|gh|gi|h|k|kh|l|m|n|ng|ngh|nh|p|ph|qu|r|s|t|th|tr|v|x)?"
    r"[aăâeêioôơuưyàáảãạằắẳẵặầấẩẫậèéẻẽẹềếểễệìíỉĩịòóỏõọồốổỗộờớởỡợùúủũụừứửữựỳýỷỹỵ]{1,3}"
    r"(?:c|ch|m|n|ng|nh|p|t)?"
)


def _is_vietnamese(low: str) -> bool:
    """Whether a word is written as a Vietnamese syllable; those of names are known."""
    return _SYLLABLE.fullmatch(low) is not None


kinds = _Kinds()
