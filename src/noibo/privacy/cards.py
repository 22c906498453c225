"""Cards of payment, by their issuer's first digits, their length and the check digit of Luhn."""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.numbers import CERTAIN, NO, POSSIBLE, Number

_FOURS: Final = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4))
_ISSUERS: Final = re.compile(
    r"9704[0-9]{12}(?:[0-9]{3})?"  # NAPAS, Vietnam's own
    r"|4[0-9]{15}(?:[0-9]{3})?"  # Visa
    # Mastercard
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11}(?:[0-9]{2})?"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2}|622[1-9])[0-9]{12}"  # Discover
    r"|62[0-9]{14,17}"  # UnionPay
    r"|(?:1800|2131)[0-9]{11}"  # JCB, of old
)
# Maestro and Visa of thirteen digits look like much else: they need a word that names them.
_SELDOM: Final = re.compile(r"(?:5[0678]|6[0-9])[0-9]{10,17}|4[0-9]{12}")


def card(number: Number) -> int:
    """How well a number fits a card's."""
    if not 12 <= len(number.digits) <= 19:
        return NO
    if _checks(number.digits):
        return CERTAIN if _ISSUERS.fullmatch(number.digits) else POSSIBLE
    # Somebody who mistypes a digit of a card has told its number all the same.
    fours = number.groups in _FOURS or len(number.digits) == 16
    return POSSIBLE if fours and number.digits[0] in "3456912" else NO


def surely(number: Number) -> bool:
    """Whether it is a card where no word says so."""
    if card(number) != CERTAIN:
        return False
    if len(number.groups) == 1:
        return True
    return number.groups in _FOURS and number.separator in (" ", "-", ".")


def named(number: Number) -> bool:
    """Whether it is a card where a word near it says so, and not only the word "thẻ"."""
    return _checks(number.digits) and bool(
        _SELDOM.fullmatch(number.digits) or _ISSUERS.fullmatch(number.digits)
    )


def _checks(digits: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(digits)) and digits.count(digits[0]) < len(digits)
