"""Addresses of other countries: `14 Rosemount Crescent, Glasgow G20 7QN`, `Rua do Arenque 1634`.

Nearly all of them have a number, so numbers are where they are looked for: one with a street after
it, or one that ends a street. Flats, towns, states, postcodes and countries that follow belong to
the address, also on lines of their own. Boxes and military post are addresses by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from noibo.privacy.addresses_rules import listed
from noibo.privacy.names_lexicon import CALENDAR, COMMON, FUNCTION, capitals, kinds, places
from noibo.privacy.word_tree import any_of

_LETTER: Final = r"[^\W\d_]"
_SMALL: Final = "d[aeiou]s?|d[ae]i|del|dell[aeo]|des|of|the|las?|le|van|der|den|zu[mr]|aan|y|e"
_NUMBER: Final = r"\d{1,6}[A-Za-z]?(?:[-/]\d{1,4}[A-Za-z]?)?"
_UNIT: Final = r"(?i:suite|apt|apartment|unit|flat|room|floor|ste)\b\.?[ ]?#?[ ]?\w{1,6}"
_BACK: Final = 64  # characters that are looked at before a number that ends a street
_DISTRICT: Final = re.compile(r"[ ]\d{1,2}(?=[ ]?(?:[,.;\n]|$)|[ ][a-z])")  # Dublin 8
_LEADING: Final = re.compile(r"(?<![\w.,])(?:\d{1,6}[ ]){1,2}$")
_BOX: Final = re.compile(r"[Oo](?:(?<=[Bb].)[Xx] \d|(?<=[ADFadf][Pp].),? [Aa])")
_LONGEST: Final = 7  # parts that follow a street


@dataclass(frozen=True, slots=True)
class Patterns:
    """The compiled rules; made when the first address is looked for."""

    number: re.Pattern[str]
    gate: re.Pattern[str]
    after_number: tuple[re.Pattern[str], ...]
    before_number: tuple[re.Pattern[str], ...]
    others: re.Pattern[str]
    corner: re.Pattern[str]
    flat_before: re.Pattern[str]
    following: re.Pattern[str]
    town: re.Pattern[str]
    gap: re.Pattern[str]


@cache
def patterns() -> Patterns:
    """Those of `after_number` and `before_number` are tried at each number only."""
    caps = capitals()
    # A word with a capital, or a short one with a dot: St., D.
    town = rf"[{caps}](?:{_LETTER}{{0,3}}\.|{_LETTER}*(?:['’\-.]{_LETTER}+)*)"
    words = rf"(?:(?:{town}|\d{{1,3}}(?:st|nd|rd|th)|{_SMALL})[ ]){{1,5}}"
    some = rf"(?:(?:{_SMALL})[ ])*{town}(?:[ ](?:{town}|{_SMALL})){{0,3}}"
    first = r"(?:\d{2,6}[ ])?" + _NUMBER
    last = r"\d{1,5}[A-Za-z]?\b\.?(?![,.]?\d)"
    suffixes, openers, weak = (
        any_of(listed(title)) for title in ("english suffixes", "foreign openers", "weak suffixes")
    )
    plain, states = _either("english plain"), _either("states")
    endings = "|".join(ending for ending in listed("foreign endings") if ending.isalpha())
    # How a street begins that may follow a number.
    street = (
        rf"[{caps}]|(?:{openers})\b|(?:[a-z]{{3,12}}[ ]){{1,2}}(?:{plain}|{endings})\b|"
        rf"[a-z]+(?:{endings})[ ]\d"
    )
    return Patterns(
        number=re.compile(r"\d(?:(?<=[ \t\n\r>(\"'*:;?].)|(?<=\A.))\d{0,5}(?!\d)"),
        gate=re.compile(
            rf"[A-Za-z]?(?:[-/]\d{{1,4}}[A-Za-z]?)?,?[ ](?:{street}|"
            # or another number before it: of the house, or of the street
            rf"\d{{1,6}}(?:[A-Za-z]?(?:[-/]\d{{1,4}}[A-Za-z]?)?,?[ ](?:{street}|(?:{_SMALL})[ ]|"
            rf"\d{{1,3}}(?:st|nd|rd|th)[ ])|(?:st|nd|rd|th)[ ]))"
        ),
        after_number=(
            re.compile(
                rf"{first},?[ ](?:[NSEW]\.?[ ])?{words}(?:{suffixes})\b\.?(?:[ ][NS][EW]?\b)?"
            ),
            # With a suffix that is a word of many uses only if a town follows.
            re.compile(
                rf"{first}[ ]{words}(?:{weak})\b"
                rf"(?=(?:,?\s+{_UNIT})?,?\s+{town}(?:[ ]{town})*,?[ ](?:{states})\b)"
            ),
            re.compile(rf"{first}[ ](?:[a-z]{{3,12}}[ ]){{1,2}}(?:{plain})\b"),
            re.compile(rf"{first}[ ](?:{openers})\b\.?[ ]{some}(?:[ ]{last})?"),
            re.compile(rf"\d{{2,6}}[ ]{words}{last}"),
        ),
        before_number=(
            re.compile(rf"(?<!\w)(?:{openers})\b\.?[ ](?:(?:{town}|{_SMALL})[ ]){{1,5}}$"),
            re.compile(rf"(?<!\w)(?:{town}[ ]){{0,3}}[\w\-]*{_LETTER}\.?[ ]$"),
        ),
        others=re.compile(
            r"(?i)\b(?:(?:unit|psc|cmr)[ ]\d{1,5},?[ ]box[ ]\d{1,6}|"
            r"us(?:s|ns|nv|cgc|nr)[ ]\w+(?=\s+[adf]po\b)|p\.?[ ]?o\.?[ ]box[ ]\d{1,6}\b)"
            r"(?:\s+[adf]po,?[ ]a[aep][ ]\d{5})?"
        ),
        corner=re.compile(
            r"[Tt]he corner of (?:\d{1,6}[ ])?(?:[\w.'’\-]+[ ]){1,6}?and[ ]"
            rf"[{caps}][\w'’\-]*(?:[ ][{caps}][\w'’\-]*){{0,3}}(?:[ ]\d{{1,4}}\.?|(?<=[ ]St)\.)?"
        ),
        flat_before=re.compile(rf"(?<!\w){_UNIT},?\s{{1,2}}$"),
        following=re.compile(
            rf"{_UNIT}|#[ ]?\w{{1,5}}|(?:{states})\b(?:[ ]{{1,2}}\d{{4,5}}(?:-\d{{4}})?)?|nan\b|"
            r"[A-Z]{1,2}\d[A-Z\d]?[ ]\d[A-Z]{2}\b|\d{4}[ ][A-Z]{2}\b|"
            r"\d{4,5}(?:-\d{3,4})?\b(?![,.\-/]?\d)"
        ),
        town=re.compile(rf"{town}(?!\w)(?:[ ](?:{town}|{_SMALL}|sur|im|am|upon)(?!\w)){{0,3}}"),
        gap=re.compile(r"(?:(?<=\d)\.)?[ ]{0,2},?[ ]{0,3}(?:\r?\n[ >?#*]{0,8},?[ ]{0,3})?"),
    )


def _either(title: str) -> str:
    return "|".join(listed(title))


def english_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Where they begin and end."""
    rules = patterns()
    done = 0
    for number in rules.number.finditer(text):
        start, end = number.span()
        if start < done:
            continue
        found = _at_number(text, start, end, done)
        if found:
            done = _on(text, found[1])
            yield found[0], done
    if _BOX.search(text):
        for box in rules.others.finditer(text):
            yield box.start(), _on(text, box.end())
    if "he corner of " in text:
        for corner in rules.corner.finditer(text):
            yield corner.start(), _on(text, corner.end())


def _at_number(text: str, start: int, end: int, done: int) -> tuple[int, int] | None:
    """A street with the number at `start`: after it or, if not, before it."""
    rules = patterns()
    found = _after_number(text, start, done) if rules.gate.match(text, end) else None
    if found or start < 4 or text[start - 1] != " ":
        return found
    if text[start - 2].isalpha() or text[start - 2] == ".":
        return _before_number(text, start, end, done)
    return None


def _after_number(text: str, start: int, done: int) -> tuple[int, int] | None:
    rules = patterns()
    for rule in rules.after_number:
        found = rule.match(text, start)
        if found and not _is_date(found[0]) and not _is_year(text, start, found[0]):
            if rule is rules.after_number[-1] and not _is_street(found[0]):
                continue
            flat = rules.flat_before.search(text, max(done, start - 16), start)
            return (flat.start() if flat else start), found.end()
    return None


def _before_number(text: str, start: int, end: int, done: int) -> tuple[int, int] | None:
    following = text[end : end + 2]
    if following[:1].isdigit() or following in (".0", ",0"):
        return None
    back = max(done, start - _BACK)
    words = text[back : start - 1]
    last = words.rsplit(maxsplit=1)[-1:]
    if not last:
        return None
    ends = last[0].lower().endswith(_endings())
    opened = last[0][0].isupper() and not _openers().isdisjoint(map(str.lower, words.split()))
    if not (ends or opened):
        return None
    for rule, holds in zip(patterns().before_number, (opened, ends), strict=True):
        found = rule.search(text, back, start) if holds else None
        if found and end - start < 6 and _capital_or_long(found[0]):
            return _numbers_before(text, found.start(), done), end + (following[:1].isalpha())
    return None


@cache
def _endings() -> tuple[str, ...]:
    return listed("foreign endings")


@cache
def _openers() -> frozenset[str]:
    return frozenset(listed("foreign openers")) | {f"{word}." for word in listed("foreign openers")}


def _is_street(piece: str) -> bool:
    """`20789 Allika 46`; but not `60 Hz. 0`, `500 Super Bowl 2`: words that are no plain ones."""
    said = [word for word in piece.split(" ") if not word[:1].isdigit()]
    plain = any(kinds[word] & (COMMON | CALENDAR | FUNCTION) for word in said if word[0].isupper())
    return bool(said) and len(said[0]) > 3 and not said[0].isupper() and not plain


def _capital_or_long(street: str) -> bool:
    """`Skogstien 106`, `hersnapvej 18`; but not `a tie 3`."""
    last = street.rsplit(maxsplit=1)[-1]
    if street.split(maxsplit=1)[0].lower() in ("in", "since", "by", "from"):
        return False
    return len(street.split()) > 1 or (len(last) > 6 and last.lower() not in ("highway", "subway"))


def _numbers_before(text: str, start: int, done: int) -> int:
    found = re.compile(r"(?<![\w.,])(?:\d{1,6}[ ]){1,2}$").search(
        text, max(done, start - 14), start
    )
    return found.start() if found else start


_MONTHS: Final = re.compile(
    r"(?i)\d[ ](?:(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*|monday|tuesday|"
    r"wednesday|thursday|"
    r"friday|saturday|sunday|am|pm|the|of|in|on|to|and|or|for|by|at|per|from|a|thang|tháng|ngay|ngày|"
    r"miles?|minutes?|hours?|days?|years?|km|down|along|more|people|cars?)\b"
)


def _is_date(street: str) -> bool:
    return _MONTHS.search(street) is not None


_YEAR: Final = re.compile(r"(?:1[5-9]|20)\d\d(?P<comma>,?)[ ]")
_IN: Final = re.compile(
    r"(?i)(?:\b(?:in|of|since|from|by|until|and|the|to|during|after|before|năm|từ|đến|nam)|[-–]) $"
)


def _is_year(text: str, start: int, street: str) -> bool:
    """`1886, Robert Lane` and `in 1996 Fleet Street` begin with a year."""
    year = _YEAR.match(street)
    if not year:
        return False
    return bool(year["comma"]) or _IN.search(text, max(0, start - 10), start) is not None


def _on(text: str, end: int) -> int:
    """The end of an address whose street ends at `end`: with flat, town, state, code, country."""
    rules = patterns()
    sure, towns = end, 0
    for _ in range(_LONGEST):
        gap = rules.gap.match(text, end)
        place = gap.end() if gap else end
        known = rules.following.match(text, place) if place > end else None
        if known:
            end = sure = known.end()
            continue
        town = rules.town.match(text, place) if place > end else None
        if not town or towns > 2:
            break
        towns += 1
        apart = "," in text[end:place] or "\n" in text[end:place]
        length = _known_length(town[0])
        if length:
            end = sure = place + length
            district = _DISTRICT.match(text, end)
            if district:
                end = sure = district.end()
            continue
        end = town.end()
        if apart and towns == 1 and "\n" in text[sure:place] and text[end : end + 1] in ("", "\n"):
            sure = end
    return sure


def _known_length(town: str) -> int:
    """How many characters of a name are a known place."""
    words = town.lower().split(" ")
    for count in range(len(words), 0, -1):
        if " ".join(words[:count]).rstrip(".") in places():
            return len(" ".join(words[:count]).rstrip("."))
    return 0
