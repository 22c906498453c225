"""Addresses: from the house to the province, in Vietnamese, in English and elsewhere."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.addresses import find_addresses
from tests.privacy.marked import DATA

SHARED = Path(os.environ.get("NOIBO_SHARED") or "../shared") / "data" / "pii"

WHOLE = [
    "số 12 ngõ 34 đường Láng, phường Láng Thượng, quận Đống Đa, Hà Nội",
    "12/3A Lê Lợi, P.5, Q.3, TP.HCM",
    "K45/12 Ông Ích Khiêm, Thanh Bình, Hải Châu, Đà Nẵng",
    "thôn Đoài, xã Tam Sơn, huyện Từ Sơn, Bắc Ninh",
    "ấp Tân Lợi, xã Mỹ Hạnh Trung, thị xã Cai Lậy, Tiền Giang",
    "Căn hộ A3-1204, chung cư Hoàng Anh, đường số 7, phường Tân Phong, Quận 7",
    "tầng 8, toà nhà Detech, số 8 Tôn Thất Thuyết, Hà Nội",
    "Lô C2, đường số 4, KCN Tân Bình, quận Tân Phú, TP. Hồ Chí Minh",
    "hẻm 76 Hồ Văn Huê, P.9, Phú Nhuận",
    "45 đường 30 Tháng 4, phường Ninh Kiều, thành phố Cần Thơ",
    "so 5 ngach 42/19 ngo Tho Quan, Kham Thien, Dong Da, Ha Noi",
    "12 Le Loi St., Ward 5, Dist. 3, HCMC",
    "45B Ly Tu Trong St., Ben Nghe Ward, District 1, Ho Chi Minh City",
    "14 Rosemount Crescent, Glasgow G20 7QN",
    "4217 Maple Avenue, Apt 3B, Columbus, OH 43215",
    "Rua do Arenque 1634",
    "Unit 4719 Box 7394\nDPO AP 70942",
]


def addresses(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_addresses(text)]


@pytest.mark.parametrize("address", WHOLE)
def test_an_address_is_found_whole(address: str) -> None:
    assert addresses(address) == [address]
    assert addresses(f"Giao đến: {address} nhé") == [address]


@pytest.mark.parametrize("address", [one for one in WHOLE if not one.isascii()])
def test_an_address_without_accents_is_found_too(address: str) -> None:
    apart = unicodedata.normalize("NFD", address.replace("đ", "d").replace("Đ", "D"))
    plain = "".join(c for c in apart if not unicodedata.combining(c))
    assert addresses(f"Dia chi: {plain}") == [plain]


def test_an_address_typed_in_lower_case() -> None:
    text = "dia chi em la so 3 duong so 7, kp 5, phuong linh tay, thu duc"
    assert addresses(text) == ["so 3 duong so 7, kp 5, phuong linh tay, thu duc"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_offsets_are_those_of_the_original(form: str) -> None:
    text = unicodedata.normalize(form, "Ở số 84 Trần Phú, phường Lộc Thọ, Nha Trang.")  # type: ignore[arg-type]
    (found,) = addresses(text)
    assert unicodedata.normalize("NFC", found) == "số 84 Trần Phú, phường Lộc Thọ, Nha Trang"


@pytest.mark.parametrize(
    "text",
    [
        "Hà Nội hôm nay 35 độ, trời nắng.",
        "Quốc lộ 1A đoạn qua Bình Thuận dài 178 km.",
        "Từ năm 1975 đến 1996, Việt Nam và Lào hợp tác.",
        "Đội tuyển Việt Nam thắng Thái Lan 3-2.",
        "Phường 5 tổ chức tiêm chủng ngày 12/6.",
        "Quận 1 và Quận 3 có nhiều quán cà phê.",
        "Top 10 Trường Đại học tốt nhất Việt Nam",
        "Chương II, Điều 5, Khoản 3 của Hợp đồng",
        "From 28 February 2008 to 31 August 2009, rates fell.",
        "During 1971, Mayo invested in 1886, Robert Lane sold it.",
        "We moved here from Kenosha.",
        "Windows 11 24H2 build 26100.3476",
    ],
)
def test_what_is_nobodys_door_is_not_found(text: str) -> None:
    assert addresses(text) == []


def test_an_address_ends_where_the_sentence_goes_on() -> None:
    text = "Ship về 149 Hoàng Diệu, phường Trường Thi, TP Vinh, Nghệ An nhé, sđt 086-512-8843"
    assert addresses(text) == ["149 Hoàng Diệu, phường Trường Thi, TP Vinh, Nghệ An"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gửi về 69 trần hưng đạo, quận 1, hà nội đến sân bay", "69 trần hưng đạo, quận 1, hà nội"),
        ("tới 25 le loi, quan 1, tp. ho chi minh giup em", "25 le loi, quan 1, tp. ho chi minh"),
        ("tôi ở 12 nguyễn trãi, quận 5", "12 nguyễn trãi, quận 5"),
        ("nha minh 45 le loi q1 nhe", "45 le loi q1"),
        ("529 3 THÁNG 2, PHƯỜNG 14, QUẬN 10", "529 3 THÁNG 2, PHƯỜNG 14, QUẬN 10"),
        ("ship về H3-12 khu đô thị Nam An, P. Xuân La", "H3-12 khu đô thị Nam An, P. Xuân La"),
        ("dia chi 25 ngach 4 ngo 210 le loi, cau giay", "25 ngach 4 ngo 210 le loi, cau giay"),
        (
            "Địa chỉ: Trạm y tế xã Nậm Cắn, bản Tiền Tiêu, Kỳ Sơn, Nghệ An",
            "Trạm y tế xã Nậm Cắn, bản Tiền Tiêu, Kỳ Sơn, Nghệ An",
        ),
        ("sống ở Nậm Pẻn 2, xã Nậm Pung, Bát Xát", "Nậm Pẻn 2, xã Nậm Pung, Bát Xát"),
        ("ship 18/2 Bạch Đằng, F24, Bình Thạnh", "18/2 Bạch Đằng, F24, Bình Thạnh"),
        (
            "ở đường Lê Hồng Phong nối dài, phường 4, Mỹ Tho",
            "đường Lê Hồng Phong nối dài, phường 4, Mỹ Tho",
        ),
    ],
)
def test_addresses_are_found_as_people_type_them(text: str, found: str) -> None:
    assert addresses(text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "có 12 học sinh quận 5 đạt giải",
        "ở 12 quận 5 phường",
        "lớp 12 q1",
        "ở Đà Nẵng, quận này",
        "12 5th 7",
    ],
)
def test_a_number_of_something_else_is_no_house(text: str) -> None:
    assert addresses(text) == []


def test_lines_of_an_address_are_one() -> None:
    text = "Sophie Lang\n3482 Oak Street\n Suite 838\n Austin\n Texas 73301\nUSA"
    assert addresses(text)[0].startswith("3482 Oak Street\n Suite 838\n Austin")


@given(st.text(alphabet=st.sampled_from("số12/A ngõLê,.\nQ3PhườngTSt \u0301\u200b"), max_size=60))
def test_spans_are_sorted_apart_and_not_empty(text: str) -> None:
    done = 0
    for span in find_addresses(text):
        assert done <= span.start < span.end <= len(text)
        done = span.end


def wrong(path: Path) -> tuple[int, int]:
    """How many rows have other addresses than were marked, of how many."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    differ = 0
    for row in rows:
        wanted = [one["value"] for one in row["spans"] if one["label"] == "ADDRESS"]
        differ += addresses(row["text"]) != wanted
    return differ, len(rows)


@pytest.mark.parametrize("name", ["own_sentences.jsonl", "own_sentences_later.jsonl"])
def test_our_own_sentences_in_other_styles(name: str) -> None:
    differ, count = wrong(DATA / name)
    assert differ <= count * 0.05


@pytest.mark.shared
def test_the_shared_vietnamese_sentences() -> None:
    differ, count = wrong(SHARED / "vi_pii_spans.jsonl")
    assert differ <= count * 0.02
