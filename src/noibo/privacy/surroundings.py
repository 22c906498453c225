"""What stands right beside a number: a unit, a currency, a link, the rest of a code."""

from __future__ import annotations

import re
from typing import Final

from noibo.privacy import phones
from noibo.privacy.numbers import Number

# Beside a number they make it an amount. Words that mean something else without their accents, or
# in front of a name, are not among them: "ngân hàng" is no ngàn, "MB Bank" no megabytes.
_UNITS: Final = re.compile(
    r" ?(?:đồng|dong|vnđ|vnd|triệu|trieu|tỷ|tỉ|nghìn|nghin|ngàn|usd|eur|đô la|do la|người|nguoi"
    r"|đơn vị|don vi|tấn|lít|lượt|luot|kg|km|ha|cái|chiếc|sản phẩm|san pham|cổ phiếu|co phieu"
    r"|phần trăm|điểm|tokens?|bytes?|kb|gb|views?|users|people|dollars?|euros?|ms|giây|bản ghi|dân"
    r"|hành khách|độ|mm|cm|m2|m3|m²|rpm|k?hz|[mg]hz|kwh?|mw|quyển|cuốn|thùng|records?|rows?|items?"
    r"|units?|times|lần|phiếu)\b"
)
_SHORT_UNITS: Final = re.compile(r" ?[đĐ₫%‰°$€£¥](?!\w)|[dkKgm](?![a-zA-Z])")
_MONEY: Final = frozenset("$€£¥₫")
_CLOSING: Final = frozenset("\n\r\t,.;:!?)]}>'\"-–/|")  # no unit begins so
# Two numbers in one: 0912345678/0987654321.
_ANOTHER: Final = re.compile(
    r"(?<![\w./\-])(?:(?:\+84|84|\(?0)[ .]?[0-9](?:[ .\-)]{0,2}[0-9]){7,9}[/\-]|[0-9]{9,13}/)$"
)
_LINKS_TO_PHONES: Final = ("zalo.me/", "wa.me/", "tel:", "sms:", "viber:", "t.me/")


def measures(text: str, number: Number) -> bool:
    """Whether it is an amount or a measure: a unit or a currency stands beside it."""
    if number.start and text[number.start - 1] in _MONEY:
        return True
    behind = text[number.end : number.end + 14]
    if not behind or number.plus or behind[0] in _CLOSING:
        return False
    if _SHORT_UNITS.match(behind):
        return True
    # No amount begins with nought and has ten digits: "0912345678 lần sau gọi".
    phone = number.digits[0] == "0" and len(number.digits) == 10
    return not phone and _UNITS.match(behind.lower()) is not None


def stuck_to(text: str, number: Number) -> str:
    """How a number hangs on what stands right beside it: "" not at all, "word" on a word, "link" in
    an address that leads to a phone, "code" in something that is no number of its own."""
    start, end = number.start, number.end
    earlier, later, next_ = text[start - 1 : start], text[end : end + 1], text[end + 1 : end + 2]
    if text[start - 2 : start] in ("\\n", "\\t", "\\r"):
        earlier = " "  # the end of a line, as JSON writes it
    if earlier.isalpha() or earlier == "#" or later == "@" or (later == "_" and next_.isdigit()):
        return "code"
    if later.isalpha() and not phones.EXTENSION.match(text, end):
        return "code"
    hangs = "word" if later == "-" and next_.isalnum() else ""
    return hangs if not earlier or earlier.isspace() else _behind(text, start) or hangs


def _behind(text: str, start: int) -> str:
    """How a number hangs on what it is the end of."""
    chunk = text[max(0, start - 80) : start].rsplit(maxsplit=1)[-1]
    if any(link in chunk for link in _LINKS_TO_PHONES):
        return "link"
    if "://" in chunk or chunk.startswith("www.") or ".com/" in chunk or ".vn/" in chunk:
        return "code"
    if chunk[-1] not in "-_/.\\":
        return ""
    if chunk[-1] in "/-" and _ANOTHER.search(text, max(0, start - 22), start):
        return "word"
    word = re.split(r"[\-_/.\\]", chunk[:-1])[-1]
    return "code" if not word or any(map(str.isdigit, word)) else "word"


def alone(text: str, number: Number) -> bool:
    """Whether it has a line to itself: the bank, the holder and the account, one under another."""
    earlier, later = text[number.start - 1 : number.start], text[number.end : number.end + 1]
    return earlier == "\n" and later in ("", "\n", "\r") and len(number.digits) > 7
