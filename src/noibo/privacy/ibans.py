"""IBANs: the country's length and form, and the remainder of 97, as `python-stdnum` knows them."""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.numbers import Number, codes
from noibo.privacy.span import Span

_BEGIN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}")
_WHOLE: Final = re.compile(r"[A-Za-z]{2}[0-9]{2}(?:[ \-]?[0-9A-Za-z]){11,30}")
_BACK: Final = 24
# Those that have IBANs, by SWIFT's registry: a card of health insurance has the form of one.
_COUNTRIES: Final = codes(
    """
    AD AE AL AT AZ BA BE BG BH BI BR BY CH CR CY CZ DE DJ DK DO EE EG ES FI FK FO FR GB GE GI GL
    GR GT HN HR HU IE IL IQ IS IT JO KW KZ LB LC LI LT LU LV LY MC MD ME MK MN MR MT MU NI NL NO
    OM PK PL PS PT QA RO RS RU SA SC SD SE SI SK SM SO ST SV TL TN TR UA VA VG XK YE
    """
)


def iban(text: str, number: Number) -> Span | None:
    """The IBAN that these digits are a part of, if there is one."""
    since = max(0, number.start - _BACK)
    for begin in _BEGIN.finditer(text, since, min(len(text), number.start + 3)):
        if begin[0][:2].upper() not in _COUNTRIES:
            continue
        whole = _WHOLE.match(text, begin.start())
        if whole and whole.end() >= number.end and (end := _valid(text, *whole.span())):
            return Span(begin.start(), end, "IBAN", 0.99, "ibans")
    return None


def _valid(text: str, start: int, end: int) -> int:
    """Where a valid one ends; words may follow it that look like a part. 0 for nowhere."""
    from stdnum import iban as standard

    while end - start > 14:
        if standard.is_valid(text[start:end], check_country=False):
            return end
        # back by a group: what is written in fours ends with one
        cut = max(text.rfind(" ", start, end), text.rfind("-", start, end))
        if cut < start + 4:
            return 0
        end = cut
    return 0
