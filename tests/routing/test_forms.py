"""The form of a prompt, in either language."""

from __future__ import annotations

import pytest

from noibo.routing.forms import shape_of
from noibo.routing.phrases import Words

CHOICE = "Find the degree of the extension.\nA. 0\nB. 4\nC. 2\nD. 6\nAnswer:"
LAW = "Tuổi kết hôn của nam là bao nhiêu?\nA. 18 tuổi\nB. 20 tuổi\nC. 21 tuổi"
PROBLEM = (
    "Tom has 3 boxes with 12 apples each. He gives half of them to Ann and buys 5 more. "
    "How many apples does he have?"
)
VIETNAMESE_PROBLEM = (
    "Tâm có 3 hộp, mỗi hộp 12 quả táo. Tâm cho An một nửa rồi mua thêm 5 quả. "
    "Hỏi Tâm có bao nhiêu quả táo?"
)
CODE = "def f(x):\n    return x + 1\nfor i in range(3):\n    print(f(i))"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (CHOICE, "choice"),
        (LAW, "choice"),
        ("Which is a mammal? A) trout B) whale C) crow", "choice"),
        (PROBLEM, "problem"),
        (VIETNAMESE_PROBLEM, "problem"),
        (CODE, "code"),
        ("How many planets are there?", "open"),
        ("Plan A is cheap. Plan B is not. Compare them.", "open"),
    ],
)
def test_forms_are_told_apart(text: str, form: str) -> None:
    assert shape_of(text, Words.of(text)).form == form


def test_numbers_and_relations_of_a_word_problem_are_counted_in_both_languages() -> None:
    english = shape_of(PROBLEM, Words.of(PROBLEM))
    vietnamese = shape_of(VIETNAMESE_PROBLEM, Words.of(VIETNAMESE_PROBLEM))
    assert english.numbers == vietnamese.numbers == 3
    assert english.rates and vietnamese.rates
    assert english.shares and vietnamese.shares


def test_options_that_are_numbers_are_seen() -> None:
    assert shape_of(CHOICE, Words.of(CHOICE)).number_options == 1.0


@pytest.mark.timeout(20)
@pytest.mark.parametrize("sign", ["\n", " ", "\t\n", "(", "A. ", "\\a", "{\n"])
def test_text_of_one_kind_of_sign_is_read_in_one_pass(sign: str) -> None:
    text = (sign * 8000)[:8000]
    for _ in range(20):  # minutes, were it read from every place anew
        assert shape_of(text, Words.of(text)).form in {"open", "code", "choice"}
