"""Numbers of Vietnam, cards, plates, addresses of mail and network: the facts of each."""

import pytest

from noibo.privacy import cards, vietnam
from noibo.privacy.detector import STRUCTURED, Detector
from noibo.privacy.emails import emails
from noibo.privacy.networks import sixes
from noibo.privacy.numbers import numbers
from noibo.privacy.plates import plates
from noibo.privacy.vietnam import CERTAIN, NO, POSSIBLE


def one(text: str):
    return next(numbers(text))


def found(text: str) -> list[tuple[str, str]]:
    spans = Detector(STRUCTURED).find(text)
    return [(span.label, text[span.start : span.end]) for span in spans]


def test_an_identity_number_has_a_province_a_century_and_a_year():
    assert vietnam.cccd(one("001087012345")) == CERTAIN
    assert vietnam.cccd(one("079 301 004567")) == CERTAIN
    assert vietnam.cccd(one("003087012345")) == POSSIBLE  # no such province
    assert vietnam.cccd(one("001987012345")) == POSSIBLE  # no such century
    assert vietnam.cccd(one("001399012345")) == POSSIBLE  # born in 2099
    assert vietnam.cccd(one("00108701234")) == NO
    assert found("nhân thân: 026 196 397 216") == [("CCCD", "026 196 397 216")]


def test_a_tax_code_has_a_check_digit_and_perhaps_a_branch():
    assert vietnam.mst(one("0101243150")) == CERTAIN
    assert vietnam.mst(one("0101243150-001")) == CERTAIN
    assert vietnam.mst(one("0101243151")) == POSSIBLE
    assert vietnam.mst(one("001087012345")) == CERTAIN  # a person's, since 2025
    assert vietnam.branch(one("0101243150-001"))
    assert not vietnam.branch(one("0101243151-001"))


def test_a_code_behind_a_companys_name_is_its_tax_code_if_it_checks():
    assert found("Cty TNHH Sao Mai (0301442379) đặt hàng") == [("MST", "0301442379")]
    assert found("Cty TNHH Sao Mai (0301442378) đặt hàng") == []


def test_a_health_card_begins_with_a_group_of_people():
    assert found("DN4790123456789") == [("BHYT", "DN4790123456789")]
    assert found("thẻ GD 4 01 0123456789 đây") == [("BHYT", "GD 4 01 0123456789")]
    assert found("BHYT: DN-4-79-0123456789") == [("BHYT", "DN-4-79-0123456789")]
    assert found("QZ4790123456789") == []
    assert found("DN9790123456789") == []  # nobody pays a ninth share


def test_cards_check():
    assert cards.surely(one("4111 1111 1111 1111"))
    assert cards.surely(one("9704366619480014")) or cards.card(one("9704366619480014")) == POSSIBLE
    assert not cards.surely(one("4111 1111 1111 1112"))
    assert cards.card(one("4111 1111 1111 1112")) == POSSIBLE
    assert cards.card(one("0000000000000000")) != CERTAIN
    assert found("mã vạch 8934563138164") == []


@pytest.mark.parametrize(
    ("text", "plate"),
    [
        ("xe 51F-123.45", "51F-123.45"),
        ("59X3-456.78 đỗ sai", "59X3-456.78"),
        ("bks 30A12345", "30A12345"),
        ("biển 29MĐ1-123.45", "29MĐ1-123.45"),
        ("bien so 43a1 23456", "43a1 23456"),
    ],
)
def test_plates_are_found(text, plate):
    assert [text[span.start : span.end] for span in plates(text)] == [plate]


@pytest.mark.parametrize(
    "text",
    ["13A-123.45", "lô 12A-1234", "mã 30A12345", "X51F-123.45", "51F-123.456", "1024A-123.45"],
)
def test_what_only_looks_like_a_plate_is_left(text):
    assert list(plates(text)) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("thư: lan.tran+a@example.com.vn.", "lan.tran+a@example.com.vn"),
        ("<a_b@x.io>,", "a_b@x.io"),
        ("email=lan@x.vn&y=1", "lan@x.vn"),
        ("mailto:lan@x.vn", "lan@x.vn"),
        ("lan.tran @gmail.com", "lan.tran @gmail.com"),
        ("lan (at) example (dot) vn", "lan (at) example (dot) vn"),
        ("nguyễn@công-ty.vn", "nguyễn@công-ty.vn"),
    ],
)
def test_mail_is_found(text, address):
    assert [text[span.start : span.end] for span in emails(text)] == [address]


@pytest.mark.parametrize(
    "text", ["@Override", "git@github.com:a/b", "a@localhost", "x @ y", "pkg@1.2.3", "@", "a@.vn"]
)
def test_what_is_no_mail_is_left(text):
    assert list(emails(text)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IP 36.33.148.135 vào", ["36.33.148.135"]),
        ("từ 10.0.0.7:8080", ["10.0.0.7"]),
        ("8.8.8.8", ["8.8.8.8"]),
        ("127.0.0.1 và 0.0.0.0, 255.255.255.0", []),
        ("phiên bản 10.15.7.1", []),
        ("v1.2.3.4", []),
        ("256.1.1.1", []),
        ("1.2.3.4.5", []),
        ("01.02.03.04", []),
    ],
)
def test_addresses_of_the_network(text, expected):
    assert [value for label, value in found(text) if label == "IP"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "từ 2001:ee0:4f0a:1b20:a1b2:c3d4:e5f6:789a tới",
            ["2001:ee0:4f0a:1b20:a1b2:c3d4:e5f6:789a"],
        ),
        ("fe80::1ff:fe23:4567:890a%eth0", ["fe80::1ff:fe23:4567:890a%eth0"]),
        ("[2402:800:61c5::1a2b]:443", ["2402:800:61c5::1a2b"]),
        ("::1", []),
        ("std::vector a::b::c dead::beef", []),
        ("12:30:45", []),
        ("00:1A:2B:3C:4D:5E", []),
    ],
)
def test_long_addresses_of_the_network(text, expected):
    assert [text[span.start : span.end] for span in sixes(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "the account after two years is 3000-2400=600",
        "a total of 150+(150(100/100))",
        "đơn hàng 12345678 của chị",
        "x=1234567890123456",
        "0.123456789012",
        "https://a.vn/bai-viet-0912345678.html",
        "1738901558123",
    ],
)
def test_numbers_of_nobody_are_left(text):
    assert found(text) == []


def test_a_plate_of_an_embassy_is_one():
    assert found("xe 80-NG-123-45") == [("LICENSE_PLATE", "80-NG-123-45")]


def test_a_passport_needs_a_word():
    assert found("hộ chiếu K3634368") == [("PASSPORT", "K3634368")]
    assert found("B1234567 (passport)") == [("PASSPORT", "B1234567")]
    assert found("mã K3634368") == []


def test_an_iban_is_checked():
    assert found("GB29NWBK60161331926819") == [("IBAN", "GB29NWBK60161331926819")]
    assert found("DE89 3704 0044 0532 0130 00 nhé") == [("IBAN", "DE89 3704 0044 0532 0130 00")]
    assert found("GB28NWBK60161331926819") == []


def test_what_stands_under_a_heading_is_named_by_it():
    text = "Tên,Số CMND,Ngày sinh\nLan,050123456,01/02/1990\nMai,040987654,03/04/1991"
    assert [label for label, _ in found(text)] == ["CMND", "DOB"] * 2
    orders = text.replace("Số CMND", "Mã đơn hàng")
    assert [label for label, _ in found(orders)] == ["DOB"] * 2
    assert found("Kính gửi anh Ba, chị Tư\n050123456, 040987654") == []


@pytest.mark.parametrize(
    "account",
    ["1903 4567 8901 23", "021 1000 456 789", "102-0100-0123-4567", "248.00.12.673162"],
)
def test_an_account_is_found_with_all_of_its_groups(account):
    assert found(f"STK: {account} tại BIDV") == [("BANK_ACCOUNT", account)]


@pytest.mark.parametrize("amount", ["500k", "50 triệu", "12/05/2025", "12.500.000"])
def test_what_follows_an_account_is_not_its_last_group(amount):
    first = found(f"stk 0071 0012 3456 {amount}")[0]
    assert first == ("BANK_ACCOUNT", "0071 0012 3456")


@pytest.mark.parametrize("said", ["Giấy chứng nhận đăng ký doanh nghiệp số", "GPKD:", "ĐKKD số"])
def test_a_firms_registration_is_its_tax_code(said):
    assert found(f"{said} 0301442379") == [("MST", "0301442379")]


@pytest.mark.parametrize(
    "both", ["0912345678/0987654321", "0912.345.678/0987.654.321", "024 38254321-0912 345 678"]
)
def test_of_two_phones_in_one_both_are_found(both):
    assert [label for label, _ in found(f"LH: {both}")] == ["PHONE", "PHONE"]


def test_of_two_identity_cards_in_one_both_are_found():
    cards = found("CMND/CCCD: 012345678/001087012345")
    assert cards == [("CMND", "012345678"), ("CCCD", "001087012345")]


def test_a_number_behind_a_year_or_a_code_is_still_part_of_it():
    assert found("HĐ 2024/0912345678") == []


def test_an_embassys_plate_is_one():
    assert found("xe 80-011-NG-01 đỗ trước cổng") == [("LICENSE_PLATE", "80-011-NG-01")]


def test_a_line_inside_the_house_belongs_to_the_phone():
    assert found("(024) 3825 4321 (máy lẻ 102)") == [("PHONE", "(024) 3825 4321 (máy lẻ 102)")]


@pytest.mark.parametrize(
    "label", ["Số tài khoản\n", "Số tài khoản:\n\n", "Account No.\n", "Số TK / Account No.\n\n"]
)
def test_a_label_may_stand_on_the_line_above_its_value(label):
    text = f"{label}3691 8861 4526\n\nNgân hàng"
    assert found(text) == [("BANK_ACCOUNT", "3691 8861 4526")]


def test_a_parcel_is_no_call():
    assert found("Gói 5 sản phẩm mã 4829-1123-001") == []
    assert found("gọi cho em theo số 4829 1123 001") == [("PHONE", "4829 1123 001")]
