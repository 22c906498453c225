"""What a number is: the word that names it, and whether the number can be that.

The nearest word before a number is asked first, then the others before it, then the word behind it.
What is named and fits is taken even where a check digit is wrong: a mistyped tax code was told all
the same. What no word names is taken only if it can hardly be anything else. What a word names as
something of nobody's (an order, a law, a version, an amount) is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from noibo.privacy import cards, phones, vietnam
from noibo.privacy.cues import Cue, after, before
from noibo.privacy.ibans import iban
from noibo.privacy.networks import four
from noibo.privacy.numbers import CERTAIN, NO, POSSIBLE, Number
from noibo.privacy.passports import licence, passport
from noibo.privacy.span import Span
from noibo.privacy.surroundings import alone, measures, stuck_to
from noibo.privacy.vocabulary import BANK, DOB, ISSUED, OTHER

_MOST_CUES: Final = 3
# What may be the beginning of a number that has letters: right before its digits, or, in capitals
# or after other digits, a space before them.
_LETTERS: Final = re.compile(r"[A-Za-z][.\-]?$|[A-Z0-9] $")


def _account(number: Number) -> int:
    digits = number.digits
    return POSSIBLE if 6 <= len(digits) <= 19 and not number.amount else NO


def _at_a_bank(number: Number) -> int:
    """Behind a bank's name or a transfer: an account, unless it is a round sum or a short number."""
    digits = number.digits
    if not 8 <= len(digits) <= 19 or digits.endswith("000") or number.amount:
        return NO
    return POSSIBLE


def _social_security(number: Number) -> int:
    if len(number.digits) != 9:
        return NO
    from stdnum.us import ssn

    return CERTAIN if ssn.is_valid(number.digits) else POSSIBLE


def _card(number: Number) -> int:
    return CERTAIN if cards.named(number) else cards.card(number)


def _licence(number: Number) -> int:
    return POSSIBLE if 6 <= len(number.digits) <= 13 else NO


def _passport(number: Number) -> int:
    return POSSIBLE if len(number.digits) in (8, 9) and len(number.groups) == 1 else NO


_FITS: Final[dict[str, tuple[Callable[[Number], int], ...]]] = {
    "CCCD": (vietnam.cccd, vietnam.cmnd),
    "CMND": (vietnam.cmnd, vietnam.cccd),
    "MST": (vietnam.mst,),
    "BHXH": (vietnam.bhxh,),
    "BHYT": (vietnam.bhxh,),
    "BANK_ACCOUNT": (_account,),
    BANK: (_at_a_bank,),
    "CREDIT_CARD": (_card,),
    "PHONE": (phones.phone,),
    "US_SSN": (_social_security,),
    "DRIVER_LICENSE": (_licence,),
    "PASSPORT": (_passport,),
    ISSUED: (vietnam.cccd, vietnam.cmnd),
}
_LABELS: Final = {
    vietnam.cccd: "CCCD",
    vietnam.cmnd: "CMND",
    vietnam.mst: "MST",
    vietnam.bhxh: "BHXH",
    _account: "BANK_ACCOUNT",
    _at_a_bank: "BANK_ACCOUNT",
    _card: "CREDIT_CARD",
    phones.phone: "PHONE",
    _social_security: "US_SSN",
    _passport: "PASSPORT",
}
# What has no form of its own is believed a little further away from the word that names it.
_BY_NAME_ALONE: Final = frozenset(
    ("CMND", "BANK_ACCOUNT", "BHXH", "US_SSN", "MST", "CCCD", "PHONE")
)


def identify(text: str, number: Number, heading: Cue | None = None) -> Span | None:
    """What a number in `text` says about a person, if anything. `heading`: what names the column
    that it stands in."""
    if number.separator == "." and len(number.groups) == 4 and (found := four(text, number)):
        return found
    if _date(number):
        birth = heading and heading.kind == DOB
        return _span(number, DOB, 0.9, "heading") if birth else None
    if len(number.digits) < 6 or number.separator == "/":
        return None
    if _LETTERS.search(text, max(0, number.start - 3), number.start):
        if found := _with_letters(text, number, heading):
            return found
    if measures(text, number) or _hotline(number):
        return None
    stuck = stuck_to(text, number)
    if heading and stuck != "code":
        if found := _as_named(text, number, heading, stuck, 0):
            return found
        if heading.kind == OTHER:
            return None
    return _named(text, number, stuck)


def _with_letters(text: str, number: Number, heading: Cue | None) -> Span | None:
    if found := passport(text, number, heading):
        return found
    if len(number.digits) > 9 and (place := vietnam.bhyt(text, number)):
        return Span(*place, "BHYT", 0.95, "vietnam")
    return iban(text, number)


def _named(text: str, number: Number, stuck: str) -> Span | None:
    other = False
    for seen, cue in enumerate(before(text, number.start)):
        if cue.kind == OTHER:
            if cue.direct:
                return None
            other = other or cue.near
            break
        if found := _as_named(text, number, cue, stuck, seen):
            return found
        if seen == _MOST_CUES:
            break
    if stuck == "code":
        return None
    follows = after(text, number.end)
    if follows and follows.kind == OTHER:
        return None
    if follows and (found := _as_named(text, number, follows, stuck, 0)):
        return found
    return None if number.amount else _unnamed(text, number, stuck, other)


def _as_named(text: str, number: Number, cue: Cue, stuck: str, seen: int) -> Span | None:
    """The number as what a word says it is, if it can be that."""
    for fits in _FITS.get(cue.kind, ()):
        how = fits(number)
        label = _LABELS.get(fits) or licence(cue.said)
        if cue.kind == "BHYT" and label == "BHXH":
            label = "BHYT"
        if how == NO or (stuck == "code" and not cue.direct):
            continue
        if how == CERTAIN and (cue.near or label in ("CCCD", "CREDIT_CARD", "PHONE")):
            return _span(
                _extended(text, number, label), label, 0.95 if cue.direct else 0.85, cue.kind
            )
        if number.amount and not (cue.direct and cue.kind in ("CMND", "CCCD")):
            continue
        if how == POSSIBLE and cue.direct and cue.near:
            return _span(_extended(text, number, label), label, 0.75, cue.kind)
        if seen or how == NO:
            continue
        if not cue.near and not (len(number.groups) == 1 and alone(text, number)):
            continue
        if label == "CREDIT_CARD" and number.groups == (4, 4, 4, 4) and cue.near:
            return _span(number, label, 0.6, cue.kind)
        if label in _BY_NAME_ALONE:
            if label == "PHONE" and not 8 < len(number.digits) < 14:
                continue
            return _span(number, label, 0.6, cue.kind)
    return None


def _unnamed(text: str, number: Number, stuck: str, other: bool) -> Span | None:
    """A number that no word names: what it can hardly help being."""
    if cards.surely(number) and not (other and len(number.groups) == 1) and not stuck:
        return _span(number, "CREDIT_CARD", 0.8, "unnamed")
    if phones.surely(number) and stuck in ("", "word", "link"):
        return _span(_extended(text, number, "PHONE"), "PHONE", 0.7, "unnamed")
    if stuck or other:
        return None
    if vietnam.cccd(number) == CERTAIN:
        return _span(number, "CCCD", 0.6, "unnamed")
    if vietnam.branch(number):
        return _span(number, "MST", 0.8, "unnamed")
    if (
        number.groups == (3, 2, 4)
        and number.separator == "-"
        and _social_security(number) == CERTAIN
    ):
        return _span(number, "US_SSN", 0.7, "unnamed")
    return None


def _span(number: Number, label: str, score: float, why: str) -> Span:
    return Span(number.start, number.end, label, score, f"numbers:{why}")


def _extended(text: str, number: Number, label: str) -> Number:
    """A phone's number with its extension."""
    more = phones.EXTENSION.match(text, number.end) if label == "PHONE" else None
    return replace(number, end=more.end()) if more else number


def _hotline(number: Number) -> bool:
    """1900 54 54 13: written as hotlines are, so not even an account at the bank that has it."""
    return (
        number.groups[0] == 4 and len(number.digits) < 11 and number.digits[:4] in ("1900", "1800")
    )


def _date(number: Number) -> bool:
    """Whether it is written as a date: what a date says is not for here to know."""
    groups = number.groups
    if len(groups) == 1:
        return False
    if len(groups) != 3 or sum(groups) > 8:
        return False
    digits = number.digits
    first, second = digits[: groups[0]], digits[groups[0] : groups[0] + groups[1]]
    if groups[0] == 4:
        return digits[:2] in ("19", "20")
    return groups[2] in (2, 4) and int(first) <= 31 and int(second) <= 31 and max(groups[:2]) <= 2
