import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from noibo.privacy.numbers import numbers


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("gọi 0912 345 678 nhé", ["0912 345 678"]),
        ("+84 (0) 91-234-5678", ["+84 (0) 91-234-5678"]),
        ("(+84) 706457043", ["(+84) 706457043"]),
        ("(028) 3822 1234", ["(028) 3822 1234"]),
        ("01/02/1990 0912345678", ["01/02/1990", "0912345678"]),
        ("0915309128 046189610864", ["0915309128", "046189610864"]),
        ("Quận 1 0905.123.456", ["0905.123.456"]),
        ("số 12 0912 345 678", ["0912 345 678"]),
        ("9704 0761 5460 6479", ["9704 0761 5460 6479"]),
        ("+84905123456 0905123457", ["+84905123456", "0905123457"]),
        ("10.0.0.7:80, ngày 5/3/90", ["10.0.0.7", "5/3/90"]),
        ("192.168.1.10-192.168.1.20", ["192.168.1.10", "192.168.1.20"]),
        ("0283.9250 123", ["0283.9250 123"]),
        ("3 7 0 1 2 3 4 5 6 7", ["3 7 0 1 2 3 4 5 6 7"]),
        ("năm 2024 và 2025", []),
    ],
)
def test_what_was_written_as_one_number_is_one(text, written):
    assert [text[number.start : number.end] for number in numbers(text)] == written


def test_amounts_are_told_from_phones():
    assert next(numbers("92.500.000")).amount
    assert not next(numbers("0905.123.456")).amount
    assert not next(numbers("92 500 000")).amount


@given(st.text(alphabet="0123456789 .-()/+\t\nax", max_size=80))
@example("0/0/0")
def test_numbers_are_in_order_and_hold_their_digits(text):
    done = 0
    for number in numbers(text):
        assert done <= number.start < number.end
        inside = "".join(char for char in text[number.start : number.end] if char.isdigit())
        assert inside == number.digits
        assert sum(number.groups) == len(number.digits)
        done = number.end
