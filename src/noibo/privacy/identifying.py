"""What a number is: the word that names it, and whether the number can be that.

The nearest word before a number is asked first, then the others before it, then the word behind it.
What is named and fits is taken even where a check digit is wrong: a mistyped tax code was told all
the same. What no word names is taken only if it can hardly be anything else. What a word names as
something of nobody's (an order, a law, a version, an amount) is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from noibo.privacy import cards, phones, vietnam
from noibo.privacy.cues import Cue, after, before
from noibo.privacy.ibans import iban
from noibo.privacy.networks import four
from noibo.privacy.numbers import CERTAIN, NO, POSSIBLE, Number
from noibo.privacy.passports import licence, passport
from noibo.privacy.span import Span
from noibo.privacy.surroundings import alone, measures, stuck_to
from noibo.privacy.vocabulary import BANK, COMPANY, DOB, ISSUED, OTHER

_MOST_CUES: Final = 3
_LONGEST_ACCOUNT: Final = 24  # characters, with what stands between its groups
# How a number with letters may begin: letters right before its digits, or, in capitals or behind
# other digits, a space before them.
_LETTERS: Final = re.compile(r"[A-Za-z][.\-]?$|[A-Z0-9] $|[0-9]-$|(?<!\w)[a-z] $")
# What a known shape left of an account: 1903 4567 8901 23, but no date and no sum behind it.
_REST: Final = re.compile(r"([ .\-])[0-9]{1,4}(?:\1[0-9]{1,4})?(?!\w|[.,:/\-][0-9])")


def _account(number: Number) -> int:
    digits = number.digits
    return POSSIBLE if 6 <= len(digits) <= 19 and not number.amount else NO


def _at_a_bank(number: Number) -> int:
    """Behind a bank's name or a transfer: an account, unless it is a round sum or short."""
    digits = number.digits
    if not 8 <= len(digits) <= 19 or _round(digits) or number.amount:
        return NO
    return POSSIBLE


def _round(digits: str) -> bool:
    return digits.endswith("000") and digits[0] != "0"


def _social_security(number: Number) -> int:
    if len(number.digits) != 9:
        return NO
    from stdnum.us import ssn

    return CERTAIN if ssn.is_valid(number.digits) else POSSIBLE


def _card(number: Number) -> int:
    return CERTAIN if cards.named(number) else cards.card(number)


def _company(number: Number) -> int:
    """Behind a company's name: a tax code, if it checks and is no phone."""
    digits = number.groups == (10,) and vietnam.mst(number) == CERTAIN
    return CERTAIN if digits and phones.phone(number) != CERTAIN else NO


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
    COMPANY: (_company,),
    "CREDIT_CARD": (_card,),
    "PHONE": (phones.phone,),
    "US_SSN": (_social_security,),
    "DRIVER_LICENSE": (_licence,),
    "PASSPORT": (_passport,),
    ISSUED: (vietnam.cccd, vietnam.cmnd),
}
_LABELS: Final[dict[Callable[[Number], int], str]] = {
    vietnam.cccd: "CCCD",
    vietnam.cmnd: "CMND",
    vietnam.mst: "MST",
    vietnam.bhxh: "BHXH",
    _account: "BANK_ACCOUNT",
    _at_a_bank: "BANK_ACCOUNT",
    _company: "MST",
    _card: "CREDIT_CARD",
    phones.phone: "PHONE",
    _social_security: "US_SSN",
    _passport: "PASSPORT",
}
# What has no form of its own is believed a little further away from the word that names it.
_BY_NAME_ALONE: Final = frozenset(("CMND", "BANK_ACCOUNT", "BHXH", "US_SSN", "MST", "CCCD"))


def identify(text: str, number: Number, heading: Cue | None = None) -> Span | None:
    """What a number in `text` says about a person, if anything. `heading`: what names the column
    that it stands in."""
    in_column = heading is not None and heading.kind == DOB and _compact_date(number)
    if in_column or _date(number):
        # What a date says is in the words around it (`dates`); in a table they are at the top.
        return _span(number, DOB, 0.9, "heading") if heading and heading.kind == DOB else None
    return _with_more(text, number, heading) or _of_digits(text, number, heading)


def _with_more(text: str, number: Number, heading: Cue | None) -> Span | None:
    """What has a form of its own, by its dots or its letters."""
    if number.separator == "." and len(number.groups) == 4 and (found := four(text, number)):
        return found
    if not _LETTERS.search(text, max(0, number.start - 3), number.start):
        return None
    if found := passport(text, number, heading):
        return found
    if len(number.digits) > 9 and (place := vietnam.bhyt(text, number)):
        return Span(*place, "BHYT", 0.95, "vietnam")
    return iban(text, number)


def _of_digits(text: str, number: Number, heading: Cue | None) -> Span | None:
    if len(number.digits) < 6 or number.separator == "/":
        return None
    if measures(text, number) or _hotline(number):
        return None
    stuck = stuck_to(text, number)
    if heading and stuck != "code":
        found = _as_named(text, number, heading, stuck, 0)
        if found or heading.kind == OTHER:
            return found
    return _named(text, number, stuck)


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
    """The number as what a word says it is, if it can be that. `seen`: how many words that name
    something stand between."""
    if stuck == "code" and not cue.direct:
        return None
    for fits in _FITS.get(cue.kind, ()):
        label = _LABELS.get(fits) or licence(cue.said)
        if cue.kind == "BHYT" and label == "BHXH":
            label = "BHYT"  # the number of insurance is on both cards
        how = fits(number) if label != "PHONE" or number.groups != (3, 2, 4) else NO
        score = _sure(number, label, how, cue) if how != NO else 0.0
        if not score and how != NO and not seen and _close(text, number, label, cue):
            score = 0.6
        if score:
            return _span(_extended(text, number, label), label, score, cue.kind)
    return None


def _sure(number: Number, label: str, how: int, cue: Cue) -> float:
    """How sure a word right before a number makes what it says; 0 where it does not."""
    if how == CERTAIN and (cue.near or label in ("CCCD", "CREDIT_CARD", "PHONE")):
        return 0.95 if cue.direct else 0.85
    if number.amount and cue.kind not in ("CMND", "CCCD"):
        return 0.0
    return 0.75 if cue.direct and cue.near else 0.0


def _close(text: str, number: Number, label: str, cue: Cue) -> bool:
    """Whether a word a little further away is believed about a number without a form of its own."""
    if number.amount or not (cue.near or (len(number.groups) == 1 and alone(text, number))):
        return False
    if label == "CREDIT_CARD":
        return number.groups == (4, 4, 4, 4) and cue.near
    if label == "PHONE":
        # "gói" is "gọi" without accents: what no word names directly must begin as phones do.
        told = cue.direct or cue.said != "goi" or number.digits[0] == "0"
        return told and 8 < len(number.digits) < 14
    if len(number.groups) > 1 and len(number.digits) < 9:
        return False  # 3000-2400 behind an account's balance
    return label in _BY_NAME_ALONE


def _unnamed(text: str, number: Number, stuck: str, other: bool) -> Span | None:
    """A number that no word names: what it can hardly help being."""
    if cards.surely(number) and not (other and len(number.groups) == 1) and not stuck:
        return _span(number, "CREDIT_CARD", 0.8, "unnamed")
    in_threes = number.groups == (3, 3, 3, 3) and vietnam.cccd(number) == CERTAIN
    if phones.surely(number) and stuck in ("", "word", "link") and not in_threes:
        return _span(_extended(text, number, "PHONE"), "PHONE", 0.7, "unnamed")
    if stuck or other:
        return None
    american = number.groups == (3, 2, 4) and number.separator == "-"
    if american and _social_security(number) == CERTAIN:
        return _span(number, "US_SSN", 0.7, "unnamed")
    if vietnam.branch(number):
        return _span(number, "MST", 0.8, "unnamed")
    return _span(number, "CCCD", 0.6, "unnamed") if vietnam.cccd(number) == CERTAIN else None


def _span(number: Number, label: str, score: float, why: str) -> Span:
    return Span(number.start, number.end, label, score, f"numbers:{why}")


def _extended(text: str, number: Number, label: str) -> Number:
    """A phone's number with its extension, an account with all of its groups."""
    if label == "BANK_ACCOUNT":
        return _with_rest(text, number)
    more = phones.EXTENSION.match(text, number.end) if label == "PHONE" else None
    return number._replace(end=more.end()) if more else number


def _with_rest(text: str, number: Number) -> Number:
    """An account with what follows apart by the same sign, if that is no amount of its own."""
    rest = _REST.match(text, number.end) if len(number.groups) > 1 else None
    if rest is None or rest[1] != number.separator or rest.end() - number.start > _LONGEST_ACCOUNT:
        return number
    longer = number._replace(end=rest.end())
    return number if measures(text, longer) else longer


def _hotline(number: Number) -> bool:
    """1900 54 54 13: written as hotlines are, so not even an account at the bank that has it."""
    return (
        number.groups[0] == 4 and len(number.digits) < 11 and number.digits[:4] in ("1900", "1800")
    )


def _compact_date(number: Number) -> bool:
    """Whether it can be a date without signs: 19900503, 03051990."""
    digits = number.digits
    return number.groups == (8,) and any(c in ("19", "20") for c in (digits[:2], digits[4:6]))


def _date(number: Number) -> bool:
    """Whether it is written as a date: what a date says is not for here to know."""
    groups = number.groups
    if len(groups) != 3 or sum(groups) > 8:
        return False
    digits = number.digits
    first, second = digits[: groups[0]], digits[groups[0] : groups[0] + groups[1]]
    if groups[0] == 4:
        return digits[:2] in ("19", "20")
    return groups[2] in (2, 4) and int(first) <= 31 and int(second) <= 31 and max(groups[:2]) <= 2
