"""Dates of birth: dates that somebody was born on, and no others.

A date says something about a person where birth is meant: "sinh ngày 5/3/1990", "DOB: 1990-03-05",
"(ngày sinh 05.03.1990)", a value of a field `ngay_sinh`. The date of a law, an appointment or an
expiry is left alone, also where it follows a date of birth. A year alone counts behind "sinh năm".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from noibo.privacy.cues import fold
from noibo.privacy.span import Span

_MONTHS: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR: Final = r"(?:19[0-9]{2}|20[0-4][0-9])"
_DAY, _MONTH = r"(?:3[01]|[12][0-9]|0?[1-9])", r"(?:1[0-2]|0?[1-9])"
_BETWEEN: Final = r"[ \t]{0,2}[./\-][ \t]{0,2}"
# On folded text every full stop is gone and hyphens are spaces: dates are looked for in the text
# itself, where only accents and capitals differ. How any of them begins is asked first.
_DATE: Final = re.compile(
    rf"(?=[0-9nmjfasod])(?:(?:ng(?:ày|ay)[ \t]{{1,2}}|m(?:ù|ồ|u|o)ng[ \t])?{_DAY}[ \t]{{0,2}}"
    rf"(?:th(?:á|a)ng|th\.?|-)[ \t]{{0,2}}{_MONTH}[ \t]{{0,2}},?[ \t]{{0,2}}"
    rf"(?:n(?:ă|a)m[ \t]{{0,2}}|[/\-]?[ \t]{{0,2}}){_YEAR}(?![0-9])"
    rf"|(?<![0-9]){_YEAR}{_BETWEEN}{_MONTH}{_BETWEEN}{_DAY}(?![0-9])"
    rf"|(?<![0-9./]){_DAY}{_BETWEEN}{_MONTH}{_BETWEEN}(?:{_YEAR}|[0-9]{{2}})(?![0-9])"
    rf"|(?<![0-9./]){_MONTH}{_BETWEEN}{_DAY}{_BETWEEN}{_YEAR}(?![0-9])"
    rf"|(?<![0-9]){_DAY}[ \t]{_MONTH}[ \t]{_YEAR}(?![0-9])"
    rf"|(?<![0-9]){_DAY}{_MONTH}{_YEAR}(?![0-9])"
    rf"|(?<![0-9]){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?![0-9])"
    rf"|\b{_MONTHS}\.?[ \t]{{1,2}}{_DAY}(?:st|nd|rd|th)?,?[ \t]{{1,2}}{_YEAR}(?![0-9])"
    rf"|(?<![0-9]){_DAY}(?:st|nd|rd|th)?[ \t\-](?:of[ \t])?{_MONTHS}\.?,?[ \t\-]{_YEAR}(?![0-9])"
    rf"|(?<![0-9]){_YEAR}[ \t]{_MONTHS}[ \t]{_DAY}(?![0-9]))",
    re.IGNORECASE,
)
_ONLY_YEAR: Final = re.compile(rf"(?<![0-9/.\-]){_YEAR}(?![0-9/\-]|\.[0-9])")
# Where birth is spoken of at all: one look at the text, and at nothing else where there is none. It
# begins with one class of signs for all, since such are found fast.
_SPOKEN: Final = re.compile(
    r"[sSbBdDnN](?=[iINnRrOo.BbSs/])(?:(?<=[sS])(?:inh(?=[\W_NđĐdD]|ngay|date|day|$)|INH(?=[\W_]|$))"
    r"|(?<=[bB])(?:irth|IRTH|orn\b|ORN\b)|(?<=[dD])\.?[oO]\.?[bB]\b"
    r"|(?<!\w.)(?:(?<=[nN])[/.]?[sS]\b|(?<=[sS])[nN]\b))"
)
# Between a name and a date of birth: a bracket, also with a word for whose child it is, or a mark
# of a row, also with whether it is a man or a woman.
_BESIDE: Final = re.compile(
    r"[ ]?\((?:(?:con|cháu|vợ|chồng|mẹ|bố|cha|anh|chị|em|nam|nữ|bé|chủ)"
    r"[^\W\d_ ]*(?: [^\W\d_]+){0,2}, )?"
    r"|(?P<mark>,[ ]?|[ ]?[-–—|/;][ ]?|\t)"
    r"(?:(?:[Nn]am|NAM|[Nn]ữ|NỮ|[Nn]u|NU|M|F)[ ]?[-–—|/;,\t][ ]?)?"
)
_ROW_GOES_ON: Final = re.compile(r"[ ]?[-–—|/;,\t\n]|$")
_ONLY_YEAR_IN: Final = re.compile(_YEAR)
_NEWEST: Final = 2015
_SELDOM: Final = ("đẻ ", "hào đời", "NTNS", "ntns", "BDAY")
_DIGIT: Final = re.compile(r"[0-9]")
_AHEAD: Final = 64
_NOT_BIRTH_BEFORE: Final = re.compile(
    r"(?:hoc|hoi|tai|ve|thi|phat|hy|hi|nay|tai|tam|di|ban|khai|duong|nuoi|moi|tiet|dan|ky|cong|muu|san"
    r"|thu y) $"
)
_NOT_BIRTH_AFTER: Final = re.compile(
    r"(?: (?:vien|hoat|hoc|thai|ly|trac|dong|loi|thiet|ra|san|to|ton|nhai|su|khi|mach|duc|quyen"
    r"|nhat (?:cong ty|cua cong ty|dang|doan|lan thu|bac))\b)"
)
_OTHER_DATE: Final = re.compile(
    r"\b(?:cap ngay|ngay cap|nhap vien|kham|het han|hieu luc|ky ngay|ngay ky|vao lam|den ngay|mat"
    r"|mat ngay|ket hon|issued|expires?|expiry|admitted|visit|died|hired|joined|valid|until|date of"
    r" issue|tu tran|xuat vien|tai kham|hen|ngay lap|lap ngay|gia nhap|nhap hoc|tot nghiep|cuoi)\b"
)
_YEAR_OF_BIRTH: Final = re.compile(
    r"(?:sinh nam|nam sinh|ns|sn|n s|birth year|year of birth|born in|\bsinh$)"
)
_OF_MANY: Final = re.compile(r"(?:tre em|tre|the he|lua|nguoi|hoc sinh|ban|thi sinh|nhung ai) $")


def births(text: str) -> Iterator[Span]:
    """Every date of birth in `text`."""
    done = -1
    for start, end in _spoken(text):
        if start < done:
            continue
        if found := _ahead(text, start, end) or _behind(text, start, end):
            done = found.end
            yield found


def behind_names(text: str, names: Iterable[Span]) -> Iterator[Span]:
    """Dates of birth that nothing but a name before them tells: "Phạm Văn Đạt (22/09/1972)", and in
    a row of what is known of somebody: "Phạm Văn Đạt, 22/09/1972, 0912345678"."""
    for name in names:
        between = _BESIDE.match(text, name.end)
        found = _DATE.match(text, between.end()) if between else None
        # Eight digits in a row behind a name may be a student's number as well.
        if between and found and not found[0].isdigit() and _of_a_life(found[0]):
            if between["mark"] is None:
                closed = text[found.end() : found.end() + 1] == ")"
            else:
                on = _ROW_GOES_ON.match(text, found.end())
                # A mere comma may stand before the date of a letter.
                closed = on is not None and (bool(on[0].strip()) or between["mark"][0] != ",")
            if closed:
                yield Span(found.start(), found.end(), "DOB", 0.6, "dates")


def _of_a_life(date: str) -> bool:
    """Whether its year is one that somebody who is named may be born in; letters are newer."""
    year = _ONLY_YEAR_IN.search(date)
    return year is not None and 1920 <= int(year[0]) <= _NEWEST


def _spoken(text: str) -> Iterator[tuple[int, int]]:
    """Where birth is spoken of."""
    for spoken in _SPOKEN.finditer(text):
        start, end = spoken.span()
        if _is_birth(text, start, end):
            yield start, end
    for word in _SELDOM:
        at = text.find(word)
        while at >= 0:
            yield at, at + len(word)
            at = text.find(word, at + len(word))


def _is_birth(text: str, start: int, end: int) -> bool:
    """Whether the word means that somebody was born: not "sinh viên", not "học sinh"."""
    word = text[start:end].lower()
    if start and (text[start - 1].isalnum() or text[start - 1] in "@#"):
        # ngaysinh and dateOfBirth are one word; "thanh" holds no birth
        stuck = fold(text[max(0, start - 8) : start])
        if not stuck.endswith(("ngay", "nam", "of", "thang", "date", "user", "customer")):
            return False
    if not word.startswith("s"):
        return True
    earlier = fold(text[max(0, start - 10) : start])
    return not (
        _NOT_BIRTH_BEFORE.search(earlier) or _NOT_BIRTH_AFTER.match(fold(text[end : end + 24]))
    )


def _ahead(text: str, start: int, end: int) -> Span | None:
    """The date that follows the word, if no other date is spoken of before it."""
    until = min(len(text), end + _reach(text[start:end]))
    if not _DIGIT.search(text, end, until + 12):
        return None
    found = _DATE.search(text, end, min(len(text), until + 26))
    if found and found.start() < until:
        between = text[end : found.start()]
        apart = between.count("\n") > 1 and between.strip(" \t\r\n:")
        if not apart and not _OTHER_DATE.search(fold(between)):
            return Span(found.start(), found.end(), "DOB", 0.9, "dates")
    return _year_ahead(text, start, end)


def _year_ahead(text: str, start: int, end: int) -> Span | None:
    """The year alone that follows the word."""
    year = _ONLY_YEAR.search(text, end, min(len(text), end + 14))
    if year is None:
        return None
    if end - start < 4 and fold(text[end : year.start()]).strip() not in ("", "nam"):
        return None  # "ns tinh nam 2024" is a budget's
    said = fold(text[max(0, start - 8) : year.start()]).strip()
    if not _YEAR_OF_BIRTH.search(said) or _OF_MANY.search(fold(text[max(0, start - 12) : start])):
        return None
    if not 1915 <= int(year[0]) <= 2030 or any(char.isdigit() for char in text[end : year.start()]):
        return None
    return Span(year.start(), year.end(), "DOB", 0.6, "dates")


def _reach(word: str) -> int:
    """How far from the word its date may stand: abbreviations are said right before it."""
    if len(word) < 4 and word.lower() not in ("dob", "d.o.b"):
        return 12
    return 24 if word.lower() == "born" else _AHEAD


def _behind(text: str, start: int, end: int) -> Span | None:
    """A date right before the word: "05/03/1990 là ngày sinh của bé", "1990-03-05 (DOB)"."""
    since = max(0, start - 40)
    last = None
    for found in _DATE.finditer(text, since, start):
        last = found
    if last is None or last.start() == since != 0:
        return None
    between = fold(text[last.end() : start]).split()
    joins = {"la", "ngay", "is", "was", "the", "my", "her", "his", "date", "of", "nam", "thang"}
    direct = all(word in joins for word in between) and len(between) < 5
    if not direct or not (between or "(" in text[last.end() : start]):
        return None
    if text[last.end() : start].strip() in ("", ",") and "(" not in text[last.end() : start]:
        return None
    return Span(last.start(), last.end(), "DOB", 0.8, "dates")
