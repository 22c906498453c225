import pytest

from noibo.privacy.numbers import numbers
from noibo.privacy.phones import phone, surely
from noibo.privacy.vietnam import CERTAIN, NO, POSSIBLE


def one(text: str):
    return next(numbers(text))


@pytest.mark.parametrize(
    "text",
    [
        "0912345678",
        "0351234567",
        "0562345678",
        "+84912345678",
        "+84 (0) 912 345 678",
        "+84 (0)28 3822 9999",
        "84912345678",
        "0084912345678",
        "84-24-3974-3413",
        "84 912 345 678",
        "(084) 912 345 678",
        "024 3936 1234",
        "(028) 3822 1234",
        "0292 3165 3497",
        "0236 3822 333",
        "01234567890",
        "+1 650 253 0000",
        "+44 20 7946 0958",
        "+41 (0)44 668 18 00",
    ],
)
def test_numbers_of_a_plan_are_phones_wherever_they_stand(text):
    assert phone(one(text)) == CERTAIN
    assert surely(one(text))


@pytest.mark.parametrize("text", ["19006868", "1800 1091", "1900 545 415"])
def test_hotlines_are_nobodys(text):
    assert phone(one(text)) == NO


@pytest.mark.parametrize("text", ["123456789", "0123456789012"])
def test_other_digits_need_a_word(text):
    assert phone(one(text)) == POSSIBLE
    assert not surely(one(text))


def test_the_american_form_is_enough():
    assert surely(one("(415) 555-2671"))
    assert surely(one("415-555-2671"))
    assert not surely(one("4155552671"))
