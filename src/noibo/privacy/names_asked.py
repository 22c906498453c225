"""Names that a label asks for: `Họ tên học viên: Thạch Sa Phone`, `"ho_ten": "Lơ Mu Ha Pút"`, and
those on tickets: `NGUYEN/VAN HAI MR`.

Behind a label for the full name of a person the whole value is the name, also where no list has its
syllables: those of peoples and of foreigners. It must look like a name and fill its line or cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from noibo.privacy.names_lexicon import COMMON, GIVEN_VI, HONORIFIC, ORGANISATION, SURNAME, kinds

_LABELS: Final = (
    "họ tên", "họ và tên", "ho ten", "ho va ten", "hoten", "ho_ten", "ho_va_ten", "full name",
    "full_name", "fullname", "chủ tài khoản", "chủ hộ", "người nhận", "người gửi", "nguoi nhan",
    "nguoi gui", "người được ủy quyền", "người nộp", "người lập",
)  # fmt: skip
_WORD: Final = r"[^\W\d_]+(?:['’\-][^\W\d_]+)*"
_VALUE: Final = re.compile(
    rf"(?: [^\W\d_]+){{0,3}}(?: ?\([^()\n]{{1,20}}\))?[\"'*`]{{0,2}}\s?[:=][ \t*]*[\"'“]?"
    rf"(?P<name>{_WORD}(?: {_WORD}){{1,5}})(?=[ ]?(?:[\n\"'”,;|<()/\t]|$|\. |[-–] |\.$))"
)
_TITLES: Final = (" MR", " MS", " MISS")
_ON_TICKET: Final = re.compile(
    r"\b[A-Z]{2,20}/[A-Z]{2,20}(?: [A-Z]{2,20}){0,3}(?= (?:MR|MRS|MS|MISS|MSTR)\b)"
)


def asked_names(text: str) -> Iterator[tuple[int, int]]:
    """Where the values of such labels stand."""
    if "/" in text and any(title in text for title in _TITLES):
        for ticket in _ON_TICKET.finditer(text):
            yield ticket.span()
    if ":" not in text and "=" not in text:
        return
    low = text.lower()
    if len(low) != len(text):
        return
    for label in _LABELS:
        place = low.find(label)
        while place >= 0:
            after = place + len(label)
            found = _VALUE.match(text, after)
            if found and _looks_like_one(found["name"].split(" ")):
                yield found.span("name")
            place = low.find(label, after)


def _looks_like_one(words: list[str]) -> bool:
    """Whether all words have capitals, and none is that of a company, a title or a thing."""
    if not all(word[0].isupper() for word in words):
        return False
    told = [kinds[word] for word in words]
    if any(kind & ORGANISATION for kind in told) or told[0] & HONORIFIC:
        return False
    return not all(kind & COMMON and not kind & (GIVEN_VI | SURNAME) for kind in told)
