"""Names that a label asks for."""

from __future__ import annotations

import pytest

from noibo.privacy.names_asked import asked_names


def found(text: str) -> list[str]:
    return [text[start:end] for start, end in asked_names(text)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Họ tên học viên: Thạch Sa Phone\nHạng: B2", "Thạch Sa Phone"),
        ('{"ho_ten": "Lơ Mu Ha Pút"}', "Lơ Mu Ha Pút"),
        ("full_name='Kpuih H\u2019Blưn', age=30", "Kpuih H\u2019Blưn"),
        ("HỌ VÀ TÊN: RƠ CHĂM Y KHOAI; 1980", "RƠ CHĂM Y KHOAI"),
    ],
)
def test_the_whole_value_is_the_name(text, name):
    assert found(text) == [name]


def test_the_names_on_tickets_are_found_without_their_titles():
    booked = "2 khách: NGUYEN/VAN HAI MR, TRAN/THI MAI MRS, chuyến HAN/SGN"
    assert found(booked) == ["NGUYEN/VAN HAI", "TRAN/THI MAI"]


@pytest.mark.parametrize(
    "text",
    [
        "Người nhận: Công ty TNHH Phú Gia",
        "Họ tên: chưa điền vào",
        "Người gửi hàng hôm nay đông",
        "full name: the name of a file",
        "Người nhận: Phòng Kế toán tầng 3",
    ],
)
def test_what_is_no_name_is_left(text):
    assert found(text) == []
