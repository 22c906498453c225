"""Phone numbers: Vietnam's by its own plan, other countries' by `phonenumbers`.

Mobile and landline numbers are found wherever they stand, since they cannot be much else. Hotlines
(1900, 1800) and short numbers (113, 115) are nobody's: they are not found. A number that only its
plan abroad makes a phone needs a plus, a bracketed area code or a word that names it.
"""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.numbers import CERTAIN, NO, POSSIBLE, Number

# Behind the nought: prefixes of mobile networks, and area codes with what they are followed by.
_MOBILE: Final = re.compile(r"(?:3[2-9]|5[25689]|7[06-9]|8[1-9]|9[0-9])[0-9]{7}")
_OLD_MOBILE: Final = re.compile(r"1(?:2[0-9]|6[2-9]|8[68]|99)[0-9]{7}")  # eleven digits until 2018
_LANDLINE: Final = re.compile(r"2(?:[48][0-9]{8}|(?:0[3-9]|1[0-689]|2[0-25-9]|3[2-9]|5[124-9]"
                              r"|6[0-39]|7[0-7]|9[0-4679])[0-9]{7,8})")  # fmt: skip
_HOTLINE: Final = re.compile(r"(?:1900|1800)[0-9]{2,6}")
_AMERICAN: Final = re.compile(r"1?[2-9][0-9]{2}[2-9][0-9]{6}")
_LINE: Final = r"ext\.?|(?:số |so )?(?:máy lẻ|may le|máy nhánh|may nhanh|nội bộ|noi bo)|nhánh"
EXTENSION: Final = re.compile(
    rf"[ ,]{{0,2}}(?:x|{_LINE}|#)[ .:]{{0,2}}[0-9]{{1,6}}\b"
    rf"|[ ,]{{0,2}}\((?:{_LINE})[ .:]{{0,2}}[0-9]{{1,6}}\)",
    re.I,
)


def phone(number: Number) -> int:
    """How well a number fits a phone's."""
    digits = number.digits
    if _HOTLINE.fullmatch(digits) or not 6 < len(digits) < 16:
        return NO
    if number.plus:
        return _abroad(digits) if not digits.startswith("84") else _at_home(digits[2:])
    if digits[0] == "0" and _local(digits[1:]):
        return CERTAIN if number.separator != "/" else POSSIBLE
    if digits[:2] == "84" and _local(digits[2:]) and (len(digits) == 11 or number.separator):
        return CERTAIN
    if digits[:4] == "0084" and _local(digits[4:]):
        return CERTAIN
    bracketed = digits[:3] == "084" and number.separator == "?"  # (084) 912 345 678
    return CERTAIN if bracketed and _MOBILE.fullmatch(digits[3:]) else POSSIBLE


def surely(number: Number) -> bool:
    """Whether it is a phone where no word says so."""
    if phone(number) == CERTAIN:
        return True
    # (415) 555-2671, 415-555-2671: the form is American, and so is the number.
    groups = number.groups[-3:]
    return (
        groups == (3, 3, 4)
        and len(number.groups) < 5
        and number.separator in ("-", ".", "?")
        and _AMERICAN.fullmatch(number.digits) is not None
    )


def _at_home(digits: str) -> int:
    """What follows +84; some write the nought as well: +84 (0) 912 345 678."""
    return CERTAIN if _local(digits.removeprefix("0")) else POSSIBLE


def _local(digits: str) -> bool:
    return bool(
        _MOBILE.fullmatch(digits) or _LANDLINE.fullmatch(digits) or _OLD_MOBILE.fullmatch(digits)
    )


def _abroad(digits: str) -> int:
    import phonenumbers

    for written in (digits, digits[:2] + digits[3:] if digits[2:3] == "0" else ""):
        try:
            parsed = phonenumbers.parse(f"+{written}", None)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(parsed):
            return CERTAIN
    return POSSIBLE
