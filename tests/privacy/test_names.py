"""Names of persons: by what they are made of and by what stands around them."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.addresses import find_addresses
from noibo.privacy.names import Weights, find_names, shipped
from tests.privacy.marked import DATA

SHARED = Path(os.environ.get("NOIBO_SHARED") or "../shared") / "data" / "pii"


def names(text: str) -> list[str]:
    """The names found, but for those inside an address, as the detector has it."""
    places = [(span.start, span.end) for span in find_addresses(text)]
    return [
        text[span.start : span.end]
        for span in find_names(text)
        if not any(start <= span.start < end for start, end in places)
    ]


def f1(rows: list[dict[str, object]]) -> tuple[float, float]:
    """Precision and recall over rows, exact spans."""
    right = said = gold = 0
    for row in rows:
        text = str(row["text"])
        spans = row["spans"]
        assert isinstance(spans, list)
        wanted = sorted(s["value"] for s in spans if s["label"] == "PERSON")
        found = sorted(names(text))
        gold, said = gold + len(wanted), said + len(found)
        for name in wanted:
            if name in found:
                found.remove(name)
                right += 1
    return right / said, right / gold


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Bệnh nhân Trần Thị Ngọc Ánh nhập viện hôm qua.", ["Trần Thị Ngọc Ánh"]),
        ("Khách hàng Lê An yêu cầu hoàn tiền.", ["Lê An"]),
        ("HỌ TÊN: ĐẶNG VŨ HOÀI NAM", ["ĐẶNG VŨ HOÀI NAM"]),
        ("Nguoi gui: Pham Van Khoi, 0912345678", ["Pham Van Khoi"]),
        ("Anh Tùng và chị Hạnh đã đến.", ["Tùng", "Hạnh"]),
        ("chị lan ơi gửi em nhé", ["lan"]),
        ("toi ten la nguyen van hai, o ha noi", ["nguyen van hai"]),
        ("ctk le thi hong gam nha", ["le thi hong gam"]),
        ("Dear Ms. Hoang Yen,", ["Hoang Yen"]),
        ("Kính gửi bà Tôn Nữ Diệu Linh", ["Tôn Nữ Diệu Linh"]),
        ("Chủ hộ: Giàng A Páo", ["Giàng A Páo"]),
        ("My name is Oluwaseun Adeyemi.", ["Oluwaseun Adeyemi"]),
        ("her maiden name is nyberg", ["nyberg"]),
        ("Mr. McAllister met Jean-Luc O'Brien.", ["McAllister", "Jean-Luc O'Brien"]),
        ("We hired John F. Whitaker III last year.", ["John F. Whitaker III"]),
        ("It belongs to Mario's mother, Anna Rossi.", ["Mario", "Anna Rossi"]),
    ],
)
def test_a_name_is_found_without_its_honorific(text: str, found: list[str]) -> None:
    assert names(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "Đường Nguyễn Huệ tối nay có lễ hội hoa.",
        "Trường THPT chuyên Lê Hồng Phong tuyển 600 học sinh.",
        "Truyện Kiều của Nguyễn Du có bao nhiêu câu thơ?",
        "Who wrote Hamlet, and when was Shakespeare born?",
        "Hà Nội, Đà Nẵng và Cần Thơ là thành phố trực thuộc trung ương.",
        "Công ty TNHH Hoàng Phát báo lãi quý 2.",
        "Thư ký hội đồng đọc biên bản. Minh hoạ bằng ví dụ.",
        "Anh ơi cho em hỏi chị có bán hàng không ạ",
        "anh chị em ký nhé",
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM",
        "Dịch sang tiếng Anh giúp mình.",
        "The weather in Copenhagen is cold in January.",
        "Will you come? May I ask? Mark all that apply.",
        "Thanh toán trước ngày 15. Bình luận bị xoá.",
        "class Person(Base): pass",
        "Nhà Trần ba lần thắng quân Nguyên.",
    ],
)
def test_what_is_no_person_is_not_found(text: str) -> None:
    assert names(text) == []


def test_a_customer_may_bear_the_name_of_a_king() -> None:
    assert names("Lê Lợi lên ngôi năm 1428.") == []
    assert names("Khách hàng Lê Lợi đã thanh toán.") == ["Lê Lợi"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ctk tran quoc bao vcb", "tran quoc bao"),
        ("benh nhan do huu lam, 50 tuoi", "do huu lam"),
        ("của chị đặng kim dung sắp hết hạn", "đặng kim dung"),
        ("lương minh việt\nngày sinh: 1990", "lương minh việt"),
        ("xe cua tran thi my linh o ham B2", "tran thi my linh"),
        ("Trưởng thôn Lò Văn Páo vắng mặt", "Lò Văn Páo"),
        ("Trong nhà có Bàn Văn Phin và mẹ", "Bàn Văn Phin"),
        ("Gia đình Huỳnh Kim Dung dọn đi", "Huỳnh Kim Dung"),
        ("@Phạm Ngọc Yến xem giúp", "Phạm Ngọc Yến"),
        ("hộ ông Giàng Seo Chẩn được vay", "Giàng Seo Chẩn"),
    ],
)
def test_names_are_found_as_people_type_them(text: str, found: str) -> None:
    assert [text[span.start : span.end] for span in find_names(text)] == [found]


@pytest.mark.parametrize(
    "text",
    [
        "trong do thi ham so nay",
        "mot so tac pham trung bay tu trien lam",
        "hồ nước trước nhà rộng 3 mẫu, lý do cạn là trời nắng",
        "xã đều do thị trưởng cầm quyền",
        "mai anh đi công tác",
        "Phòng Văn Thư nhận công văn",
        "@Override public void run()",
        "viết cho lan@Acme.com",
    ],
)
def test_plain_words_in_a_row_are_no_name(text: str) -> None:
    assert find_names(text) == []


def test_who_was_named_in_full_is_known_by_a_part_of_the_name() -> None:
    text = "Hồ sơ của Nguyễn Thuỳ Dương Khuê. Sáng nay Khuê không đến."
    assert names(text) == ["Nguyễn Thuỳ Dương Khuê", "Khuê"]


def test_a_street_beside_a_person_stays_a_street() -> None:
    text = "Chị Vũ Thu Hà ở số 12 Trần Hưng Đạo, Hoàn Kiếm, Hà Nội."
    assert names(text) == ["Vũ Thu Hà"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_offsets_are_those_of_the_original(form: str) -> None:
    text = unicodedata.normalize(form, "Ông Hứa Kiến Quốc\u200b đăng ký")  # type: ignore[arg-type]
    (span,) = find_names(text)
    assert unicodedata.normalize("NFC", text[span.start : span.end]) == "Hứa Kiến Quốc"


def test_characters_without_width_do_not_hide_a_name() -> None:
    text = "Bệnh nhân Trần\u200b Văn\ufeff Bình nhập viện"
    (span,) = find_names(text)
    assert text[span.start : span.end] == "Trần\u200b Văn\ufeff Bình"


def test_other_weights_can_be_measured() -> None:
    text = "Bệnh nhân Trần Văn Bình nhập viện"
    assert find_names(text) != []
    assert find_names(text, Weights({"bias": -9.0})) == []
    assert shipped() is shipped()


@given(st.text(alphabet=st.sampled_from("AaNguyễn Vă.,'-\n1ChịLanơi\u0301\u200b"), max_size=60))
def test_spans_are_sorted_apart_and_not_empty(text: str) -> None:
    done = 0
    for span in find_names(text):
        assert done <= span.start < span.end <= len(text)
        done = span.end


@pytest.mark.parametrize("name", ["own_sentences.jsonl", "own_sentences_later.jsonl"])
def test_our_own_sentences_in_other_styles(name: str) -> None:
    precision, recall = f1(rows(DATA / name))
    assert precision >= 0.9
    assert recall >= 0.9


def test_offsets_of_our_own_sentences_are_right() -> None:
    for row in rows(DATA / "own_sentences.jsonl"):
        spans = row["spans"]
        assert isinstance(spans, list)
        for span in spans:
            assert str(row["text"])[span["start"] : span["end"]] == span["value"]


@pytest.mark.shared
def test_the_shared_vietnamese_sentences() -> None:
    precision, recall = f1(rows(SHARED / "vi_pii_spans.jsonl"))
    assert precision >= 0.95
    assert recall >= 0.95


def test_the_second_of_two_who_are_addressed_alike_is_found() -> None:
    assert names("chị đi chợ về rồi, chị lan ơi") == ["lan"]


def test_words_of_forms_are_nobodys_names():
    for text in (
        "PHIẾU ĐIỂM DANH: lớp 5A",
        "Năm sinh: 1998",
        "Mã GD: 987654",
        "Kết quả xổ số miền Bắc: 48213",
        "IBAN DE89, BIC COBADEFFXXX, 12 EUR",
        "Sacombank CN Đống Đa; ĐT 024 3754 9066",
        "xe qua nút giao Nguyễn Tri Phương",
        "hoi nghi to chuc tai ha noi, da nang va thanh pho ho chi minh.",
    ):
        assert names(text) == [], text


def test_surnames_that_are_words_begin_full_names():
    assert names("Tôi là Lại Thế Vinh, công tác tại Sở") == ["Lại Thế Vinh"]
    assert names("Bên bán xe: Châu Nhuận Phát; giá 415 triệu") == ["Châu Nhuận Phát"]
    assert names("Lại Nguyễn Văn An đến muộn") == ["Nguyễn Văn An"]
