"""Letters without their accents, by the tables of the codecs and letter by letter."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.cues import fold
from noibo.privacy.folding import bare, is_usual, without_accents
from noibo.privacy.reading import Reading

VIETNAMESE = "Nguyễn Thị Ngọc Đoan ở số 5 ngõ Trạm, ĐƯỜNG LÊ DUẨN – “Huế”…"


def test_vietnamese_is_read_as_it_is_typed_without_accents():
    assert without_accents("Nguyễn Thị Ngọc Đoan, ĐƯỜNG LÊ DUẨN") == (
        "Nguyen Thi Ngoc Doan, DUONG LE DUAN"
    )


@pytest.mark.parametrize("rare", ["", "陳", "½", "κ", "ō", "\x01", "\U0001f600"])
def test_a_rare_letter_changes_nothing_about_the_others(rare):
    text = VIETNAMESE.replace("–", "-")
    assert is_usual(text)
    assert is_usual(text + rare) == (rare == "")
    assert without_accents(text + rare).startswith(without_accents(text))
    assert fold(f"{text} {rare}").split()[:9] == fold(text).split()[:9]


@given(st.text(max_size=60) | st.text("aàáđĐếở .;\n|KİŉI", max_size=20))
def test_every_letter_stays_in_its_place(text):
    plain = without_accents(text)
    assert len(plain) == len(text)
    for given_, found in zip(text, plain, strict=True):
        assert found in (given_, bare(given_))


@given(st.text(max_size=40))
def test_what_is_usual_is_read_as_it_is(text):
    if is_usual(text):
        assert Reading.of(text).text is text
        assert unicodedata.normalize("NFC", text) == text
