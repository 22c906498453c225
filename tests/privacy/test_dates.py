import pytest

from noibo.privacy.dates import behind_names, births
from noibo.privacy.span import Span


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in births(text)]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("sinh ngày 5/3/1990", "5/3/1990"),
        ("Sinh: 05-03-1990", "05-03-1990"),
        ("sinh ngay 5 thang 3 nam 1990", "ngay 5 thang 3 nam 1990"),
        ("NGÀY SINH: 05.03.1990", "05.03.1990"),
        ("ngày sinh của cháu là 05/03/2015", "05/03/2015"),
        ("ns 12/08/85", "12/08/85"),
        ("DOB 1990-03-05", "1990-03-05"),
        ("born on March 5, 1990", "March 5, 1990"),
        ("born 5th of May 1990", "5th of May 1990"),
        ("date of birth: 05 Mar 1990", "05 Mar 1990"),
        ("birthDate: 1990/03/05", "1990/03/05"),
        ("05/03/1990 là ngày sinh của bé", "05/03/1990"),
        ("1990-03-05 (DOB)", "1990-03-05"),
        ("chào đời ngày 3/3/2023", "ngày 3/3/2023"[5:]),
        ("sinh năm 1988", "1988"),
        ("NS: 1956", "1956"),
        ("sn năm 1956", "1956"),
        ("bà sinh 1948 ở Huế", "1948"),
        ("NTNS: 20/10/1992", "20/10/1992"),
        ("sinh ngay mong 5 thang 9 nam 1985", "mong 5 thang 9 nam 1985"),
        ("Ngày sinh\n\n20/10/1992", "20/10/1992"),
        ("ngaysinh=19921020", "19921020"),
        ("BEGIN:VCARD\nBDAY:1992-08-19\nEND:VCARD", "1992-08-19"),
    ],
)
def test_dates_of_birth_are_found(text, date):
    assert found(text) == [date]


@pytest.mark.parametrize(
    "text",
    [
        "Sinh viên nộp bài ngày 05/03/2024",
        "học sinh nghỉ từ 01/06/2024",
        "sinh hoạt chi bộ ngày 03/06/2024",
        "phát sinh ngày 05/03/2024",
        "vệ sinh máy lạnh 05/03/2024",
        "sinh nhật công ty 05/03/2024",
        "Luật có hiệu lực từ 01/01/2017",
        "Born in the USA came out on 04/06/1984",
        "trẻ sinh năm 2019 tăng",
        "Nguyễn Du sinh năm 1765",
        "cấp ngày 05/03/2020",
        "hồi sinh năm 2005",
        "# SS 2013-12-20",
        "lessons on 05/03/2020",
        "Quyet dinh so 12 ngay 01/04/2025",
        "Thai Binh, 12/05/2024",
        "gia dinh ve que 12/05/2024",
        "ns tinh nam 2024 tang",
        "phát sinh 2024 hồ sơ",
        "sinh ở Huế, nhập viện 05/03/2024",
    ],
)
def test_other_dates_are_left(text):
    assert found(text) == []


def test_only_the_date_of_birth_of_several_dates_is_found():
    text = "sinh ngày 05/03/1990, CCCD cấp ngày 12/04/2021, vào làm 01/06/2022"
    assert found(text) == ["05/03/1990"]


def test_a_date_right_behind_a_name_is_a_birth_if_it_is_old_enough():
    name = [Span(0, 12, "PERSON")]
    for text, date in (
        ("Phạm Văn Đạt (22/09/1972), bệnh án 12", "22/09/1972"),
        ("Phạm Văn Đạt, 22/09/1972, 0912345678", "22/09/1972"),
        ("Phạm Văn Đạt (22/09/2024)", None),
        ("Phạm Văn Đạt, 22/09/1972", None),
        ("Phạm Văn Đạt - 20121105 - lớp K57", None),
        ("Phạm Văn Đạt (22/09/1912 – 03/04/1990)", None),
        ("Phạm Văn Đạt đi Huế (22/09/1972)", None),
    ):
        found = [text[span.start : span.end] for span in behind_names(text, name)]
        assert found == ([date] if date else []), text
