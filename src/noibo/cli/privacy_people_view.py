"""What `noibo privacy find-person` and its like say, in English and Vietnamese."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING, Any

from noibo.cli.privacy_view import Language
from noibo.cli.table import Column, print_paragraph, print_table
from noibo.cli.terminal import harmless

if TYPE_CHECKING:
    from noibo.holdings.finding import Found
    from noibo.holdings.steward import Erased

_SAYS = {
    "nothing": {
        Language.en: "Nothing is kept of that person here.",
        Language.vi: "Ở đây không lưu gì về người đó.",
    },
    "would": {
        Language.en: "Nothing was changed. With --yes, this is erased.",
        Language.vi: "Chưa thay đổi gì. Thêm --yes để xóa những mục này.",
    },
    "erased": {Language.en: "Erased: {what}.", Language.vi: "Đã xóa: {what}."},
    "stayed": {
        Language.en: "A batch still reads {what}: erase again when it has ended.",
        Language.vi: "Một lô vẫn đang đọc {what}: hãy xóa lại khi lô kết thúc.",
    },
    "log": {
        Language.en: "The database's log still holds what was erased until its last reader ends:"
        " run this again, or stop the server.",
        Language.vi: "Nhật ký của cơ sở dữ liệu còn giữ nội dung đã xóa cho đến khi người đọc cuối"
        " cùng dừng: hãy chạy lại, hoặc dừng máy chủ.",
    },
    "users": {
        Language.en: "Users who are called so stay: {what}. To erase one: noibo privacy"
        " erase-person --user NAME.",
        Language.vi: "Người dùng mang tên đó vẫn còn: {what}. Để xóa: noibo privacy erase-person"
        " --user TÊN.",
    },
    "models": {
        Language.en: "Models that are called so stay: {what}. To remove one: noibo rm NAME.",
        Language.vi: "Mô hình mang tên đó vẫn còn: {what}. Để gỡ: noibo rm TÊN.",
    },
    "waiting": {
        Language.en: "Calls of theirs are not in the database yet, and come into it with their"
        " name: start the server, or type noibo usage; then erase again.",
        Language.vi: "Một số lượt gọi của họ chưa vào cơ sở dữ liệu và sẽ vào kèm tên: hãy chạy máy"
        " chủ hoặc gõ noibo usage, rồi xóa lại.",
    },
    "remains": {
        Language.en: "What noibo cannot reach: copies of the database and of NOIBO_HOME made"
        " elsewhere, snapshots, blocks a disk has set aside, and what was sent to others"
        " (noibo privacy report --user says where).",
        Language.vi: "Những gì noibo không với tới: bản sao của cơ sở dữ liệu và NOIBO_HOME ở nơi"
        " khác, ảnh chụp đĩa, các khối đĩa đã loại, và những gì đã gửi cho bên khác (noibo privacy"
        " report --user cho biết nơi nào).",
    },
    "unsearched": {
        Language.en: "{count} files are no text and were not searched: {what}.",
        Language.vi: "{count} tệp không phải văn bản và chưa được tìm: {what}.",
    },
}
_HEADINGS = {
    Language.en: ("KIND", "ROW", "WHOSE", "WHERE"),
    Language.vi: ("LOẠI", "DÒNG", "CỦA AI", "CHỖ"),
}


def print_counted(counts: dict[str, int], lang: Language, json: bool) -> None:
    """What would go."""
    print(dumps(counts) if json else counted(counts) or _SAYS["nothing"][lang])


def print_unchanged(lang: Language) -> None:
    """Nothing went."""
    print(_SAYS["would"][lang])


def print_found(found: Found, lang: Language, json: bool) -> None:
    """Where somebody is named."""
    if json:
        said: dict[str, Any] = {"hits": [asdict(hit) for hit in found.hits]}
        print(dumps(said | {"unsearched": found.unsearched}, indent=2, ensure_ascii=False))
        return
    if found.hits:
        rows = [
            (hit.kind, hit.name, harmless(hit.owner), harmless(hit.excerpt)) for hit in found.hits
        ]
        print_table([Column(title, most=56) for title in _HEADINGS[lang]], rows)
    else:
        print(_SAYS["nothing"][lang])
    if found.unsearched:
        what = ", ".join(found.unsearched)
        print_paragraph(_SAYS["unsearched"][lang].format(count=len(found.unsearched), what=what))


def print_erased(erased: Erased, lang: Language, json: bool) -> None:
    """What went, and what did not."""
    if json:
        print(dumps(asdict(erased), indent=2))
        return
    if not erased.counts:
        print(_SAYS["nothing"][lang])
    else:
        print(_SAYS["erased"][lang].format(what=counted(erased.counts)))
    if erased.stayed:
        print_paragraph(_SAYS["stayed"][lang].format(what=", ".join(erased.stayed)))
    if erased.users:
        print_paragraph(_SAYS["users"][lang].format(what=", ".join(erased.users)))
    if erased.models:
        print_paragraph(_SAYS["models"][lang].format(what=", ".join(erased.models)))
    if erased.waiting:
        print_paragraph(_SAYS["waiting"][lang])
    if not erased.scrubbed:
        print_paragraph(_SAYS["log"][lang])
    print_paragraph(_SAYS["remains"][lang])


def counted(counts: dict[str, int]) -> str:
    """How much of each kind, as people read it."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
