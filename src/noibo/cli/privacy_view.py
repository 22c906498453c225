"""The tables of `noibo privacy`, in English and Vietnamese."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from noibo.cli.table import Column, print_paragraph, print_table
from noibo.cli.terminal import harmless

if TYPE_CHECKING:
    from noibo.egress_ledger import Departed, Sum
    from noibo.ledger.checked import Checked


class Language(StrEnum):
    """The language of headings and sentences."""

    en = "en"
    vi = "vi"


_HEADINGS: Final[Mapping[str, Mapping[Language, str]]] = {
    "time": {Language.en: "TIME", Language.vi: "LÚC"},
    "day": {Language.en: "DAY", Language.vi: "NGÀY"},
    "destination": {Language.en: "DESTINATION", Language.vi: "NƠI ĐẾN"},
    "purpose": {Language.en: "PURPOSE", Language.vi: "MỤC ĐÍCH"},
    "user": {Language.en: "USER", Language.vi: "NGƯỜI DÙNG"},
    "label": {Language.en: "LABEL", Language.vi: "NHÃN"},
    "policy": {Language.en: "POLICY", Language.vi: "QUY TẮC"},
    "request": {Language.en: "REQUEST", Language.vi: "YÊU CẦU"},
    "departures": {Language.en: "DEPARTURES", Language.vi: "LƯỢT RA"},
    "content": {Language.en: "WITH CONTENT", Language.vi: "CÓ NỘI DUNG"},
    "sent": {Language.en: "SENT", Language.vi: "GỬI ĐI"},
    "received": {Language.en: "RECEIVED", Language.vi: "NHẬN VỀ"},
    "outcome": {Language.en: "OUTCOME", Language.vi: "KẾT CỤC"},
    "open": {Language.en: "OPEN", Language.vi: "CHƯA RÕ"},
    "last": {Language.en: "LAST", Language.vi: "LẦN CUỐI"},
}
_NOTHING: Final = {
    Language.en: "Nothing left this machine in that time.",
    Language.vi: "Không có gì rời khỏi máy này trong khoảng thời gian đó.",
}
_OPEN: Final = {
    Language.en: "*: it is not known what became of it (the process ended before it said so): all"
    " of it may have left, and is counted as sent.",
    Language.vi: "*: không rõ kết cục (tiến trình dừng trước khi kịp ghi): có thể toàn bộ đã rời"
    " đi, và được tính là đã gửi.",
}
_TOTAL: Final = {
    Language.en: "{departures} departures, {content} of them with content: {sent} bytes sent,"
    " {received} received.",
    Language.vi: "{departures} lượt ra, trong đó {content} lượt có nội dung: đã gửi {sent} byte,"
    " nhận về {received} byte.",
}
_EARLIER: Final = {
    Language.en: "{count} earlier ones are not listed: --last, --since, --by.",
    Language.vi: "{count} lượt trước đó không được liệt kê: --last, --since, --by.",
}
FORMER_KEY: Final = {
    Language.en: "Rows up to {last} were written with another key than this node has now: whose"
    " they are, and what they carried, cannot be told any more.",
    Language.vi: "Các dòng đến {last} được ghi bằng khóa khác với khóa hiện nay của máy này: không"
    " còn biết chúng là của ai và đã mang gì.",
}
_SOUND: Final = {
    Language.en: "{ledger}: {rows} rows, all as they were written.",
    Language.vi: "{ledger}: {rows} dòng, tất cả đúng như khi được ghi.",
}
_EMPTY: Final = {
    Language.en: "{ledger}: nothing was written yet.",
    Language.vi: "{ledger}: chưa có gì được ghi.",
}
_BROKEN: Final = {
    Language.en: "{ledger}: {rows} rows, and not as they were written:",
    Language.vi: "{ledger}: {rows} dòng, không còn đúng như khi được ghi:",
}
_CONTAINS: Final = {
    Language.en: "It contains the head of row {number}, and all rows before it.",
    Language.vi: "Sổ có chứa dấu chốt ở dòng {number} và mọi dòng trước đó.",
}
_NOTE: Final = {Language.en: "Note", Language.vi: "Ghi chú"}
_FAULT: Final = {Language.en: "FAULT", Language.vi: "LỖI"}
_MORE: Final = {Language.en: "… and {count} more", Language.vi: "… và {count} lỗi nữa"}


def print_checked(found: Checked, lang: Language) -> None:
    """What a check of one ledger found."""
    first = _BROKEN if found.faults else _SOUND if found.rows else _EMPTY
    print(first[lang].format(ledger=found.ledger, rows=f"{found.rows:,}"))
    for words in found.faults:
        print_paragraph(f"{_FAULT[lang]}: {harmless(words)}")
    if found.untold:
        print(_MORE[lang].format(count=found.untold))
    for words in found.notes:
        print_paragraph(f"{_NOTE[lang]}: {harmless(words)}")
    for number in found.contains:
        print(_CONTAINS[lang].format(number=number))


def print_sums(sums: Sequence[Sum], by: str, lang: Language) -> None:
    """Departures added up."""
    if not sums:
        print(_NOTHING[lang])
        return
    columns = [
        _column(by, lang),
        *(_column(k, lang, right=True) for k in ("departures", "content", "sent", "received")),
        _column("open", lang, right=True),
        _column("last", lang),
    ]
    print_table(
        columns,
        [
            (
                harmless(one.key) or "-",
                f"{one.departures:,}",
                f"{one.with_content:,}",
                f"{one.sent:,}",
                f"{one.received:,}",
                f"{one.open:,}" if one.open else "",
                _moment(one.last),
            )
            for one in sums
        ],
    )
    _print_total(sums, lang)


def print_departures(rows: Sequence[Departed], named: Callable[[str], str], lang: Language) -> None:
    """Departures one by one."""
    if not rows:
        print(_NOTHING[lang])
        return
    headings = (
        *("time", "purpose", "destination", "sent", "outcome"),
        *("label", "policy", "user", "request"),
    )
    columns = [Column(_HEADINGS[name][lang], most=40, right=name == "sent") for name in headings]
    print_table(
        columns,
        [
            (
                _moment(one.time),
                one.purpose,
                harmless(one.destination),
                _sent(one),
                harmless(one.outcome),
                harmless(one.label),
                harmless(one.policy),
                harmless(named(one.user)),
                harmless(one.request),
            )
            for one in rows
        ],
    )
    if any(one.is_open for one in rows):
        print_paragraph(_OPEN[lang])


def print_earlier(count: int, lang: Language) -> None:
    """How many more there are."""
    if count:
        print(_EARLIER[lang].format(count=f"{count:,}"))


def _print_total(sums: Sequence[Sum], lang: Language) -> None:
    said = _TOTAL[lang].format(
        departures=f"{sum(one.departures for one in sums):,}",
        content=f"{sum(one.with_content for one in sums):,}",
        sent=f"{sum(one.sent for one in sums):,}",
        received=f"{sum(one.received for one in sums):,}",
    )
    print(f"\n{said}")
    if any(one.open for one in sums):
        print_paragraph(_OPEN[lang].replace("*", _HEADINGS["open"][lang], 1))


def _sent(one: Departed) -> str:
    if one.bytes is None:
        return ""
    return f"{one.bytes:,}*" if one.sent is None else f"{one.sent:,}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _column(name: str, lang: Language, *, right: bool = False) -> Column:
    return Column(_HEADINGS[name][lang], right=right)
