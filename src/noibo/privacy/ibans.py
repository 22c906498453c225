"""IBANs: as long as their country has them, and checked by `python-stdnum`."""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy.numbers import Number
from noibo.privacy.span import Span

_BEGIN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}")
_WHOLE: Final = re.compile(r"[A-Za-z]{2}[0-9]{2}(?:[ \-]?[0-9A-Za-z]){11,30}")
_BACK: Final = 24
# Lengths by SWIFT's registry.
_LENGTHS: Final = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18
    DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23
    IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27
    MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19
    SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""
_LENGTH: Final = {one[:2]: int(one[2:]) for one in _LENGTHS.split()}


def iban(text: str, number: Number) -> Span | None:
    """The IBAN that these digits are a part of, if there is one."""
    since = max(0, number.start - _BACK)
    for begin in _BEGIN.finditer(text, since, min(len(text), number.start + 3)):
        length = _LENGTH.get(begin[0][:2].upper(), 0)
        whole = _WHOLE.match(text, begin.start()) if length else None
        if whole and whole.end() > number.start:
            end = _end(text, begin.start(), whole.end(), length)
            if end >= number.end and _checks(text[begin.start() : end]):
                return Span(begin.start(), end, "IBAN", 0.99, "ibans")
    return None


def _end(text: str, start: int, end: int, length: int) -> int:
    """Where so many letters and digits end; words may follow. 0 if that is inside of one."""
    count = 0
    for at in range(start, end):
        count += text[at].isalnum()
        if count == length:
            return 0 if text[at + 1 : at + 2].isalnum() else at + 1
    return 0


def _checks(written: str) -> bool:
    from stdnum import iban as standard

    return bool(standard.is_valid(written, check_country=False))
