"""Numbers that Vietnam gives to people: what each is made of, which is what tells them apart.

    CCCD    12 digits: province (3), century and sex (1), year of birth (2), serial (6)
    CMND    9 digits, the older identity card (12 on its last edition)
    MST     10 digits, the last a check digit; a branch has three more: 0101243150-001.
            Since July 2025 a person's tax code is the number of the CCCD
    BHXH    10 digits, the first two a province
    BHYT    15 signs: group of people (2 letters), share paid (1 digit), province (2), BHXH (10)

Codes of provinces as in Circular 59/2021/TT-BCA, those of health insurance as in Decision
1351/QĐ-BHXH and those before it, which are on cards still in use.
"""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.numbers import CERTAIN, NO, POSSIBLE, Number, codes

_PROVINCES: Final = codes(
    """
    001 002 004 006 008 010 011 012 014 015 017 019 020 022 024 025 026 027 030 031 033 034 035
    036 037 038 040 042 044 045 046 048 049 051 052 054 056 058 060 062 064 066 067 068 070 072
    074 075 077 079 080 082 083 084 086 087 089 091 092 093 094 095 096
    """
)
_LAST_YEAR_BORN: Final = 40  # of this century; a number that says more is not an identity card
_INSURED: Final = codes(
    """
    DN HX CH NN TK HC XK HT TB NO CT XB TN CS QN CA CY XN MS CC CK CB KC HD TE BT HN DT DK XD TS
    TC TQ TA TY HG LS PV CN HS SV GB GD HK TH ND TV TD XV TG DS DQ XH NT TM CM KT
    """
)
_BHYT: Final = re.compile(
    r"(?<![A-Za-z0-9])(?P<who>[A-Za-z]{2})[ .\-]?[1-5](?:[ .\-]?[0-9]){12}(?![0-9])"
)


def cccd(number: Number) -> int:
    """A citizen's identity number."""
    digits = number.digits
    if len(digits) != 12:
        return NO
    if digits[:3] not in _PROVINCES or digits[3] > "3":
        return POSSIBLE
    return CERTAIN if digits[3] < "2" or int(digits[4:6]) <= _LAST_YEAR_BORN else POSSIBLE


def cmnd(number: Number) -> int:
    """The older card: nothing but nine digits, so its name must stand near."""
    return POSSIBLE if len(number.digits) == 9 and not _all_alike(number.digits) else NO


def mst(number: Number) -> int:
    """A tax code, of a company, a branch of it, or a person."""
    digits = number.digits
    if len(digits) == 12:
        return cccd(number) if cccd(number) == CERTAIN else NO
    if len(digits) not in (10, 13):
        return NO
    from stdnum.vn import mst as standard

    # A branch's serial is not part of the check, and people write 000 for the head office.
    if digits[2:9] == "0000000" or standard.calc_check_digit(digits) != digits[9]:
        return POSSIBLE
    return CERTAIN


def branch(number: Number) -> bool:
    """Whether it can be nothing but a branch's tax code: 0101243150-001."""
    return number.groups == (10, 3) and number.separator == "-" and mst(number) == CERTAIN


def bhxh(number: Number) -> int:
    """A number of social insurance."""
    digits = number.digits
    return (CERTAIN if "01" <= digits[:2] <= "97" else POSSIBLE) if len(digits) == 10 else NO


def bhyt(text: str, number: Number) -> tuple[int, int] | None:
    """Where a card of health insurance stands whose digits are these, letters included."""
    since = max(0, number.start - 12)
    for found in _BHYT.finditer(text, since, number.end):
        if found.end() >= number.end and found["who"].upper() in _INSURED:
            return found.span()
    return None


def _all_alike(digits: str) -> bool:
    return digits.count(digits[0]) == len(digits)
