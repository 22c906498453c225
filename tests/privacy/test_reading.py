import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.reading import Reading
from noibo.privacy.span import Span

ODD = "aà\u0301\u0309\u200b\u00ad\u00a0１５२-–ｘ \u2060e\u0302\u0301🙂ﬁ"


def seen(text: str, wanted: str) -> str:
    """What stands in `text` where `wanted` was read."""
    reading = Reading.of(text)
    at = reading.text.index(wanted)
    span = reading.back(Span(at, at + len(wanted), "X"))
    return text[span.start : span.end]


def test_ordinary_text_is_read_without_a_copy():
    for text in ("gọi 0912 345 678", "plain", ""):
        assert Reading.of(text).text is text


@pytest.mark.parametrize(
    ("text", "read", "given_"),
    [
        ("số \uff10\uff19\uff11\uff12 nhé", "0912", "\uff10\uff19\uff11\uff12"),
        ("số 09\u200b12 nhé", "0912", "09\u200b12"),
        ("số \u200b0912\u200b nhé", "0912", "0912"),
        ("09\u00a012", "09 12", "09\u00a012"),
        ("09\u201112", "09-12", "09\u201112"),
        ("số ٠٩١٢", "0912", "٠٩١٢"),
        ("m𝟎𝟗m", "09", "𝟎𝟗"),
        (unicodedata.normalize("NFD", "thẻ cũ"), "thẻ", unicodedata.normalize("NFD", "thẻ")),
        (unicodedata.normalize("NFD", "địa chỉ 12"), "12", "12"),
    ],
)
def test_places_are_those_of_the_original(text, read, given_):
    assert seen(text, read) == given_


@given(st.text(alphabet=ODD, max_size=40))
def test_every_place_read_is_a_place_given(text):
    reading = Reading.of(text)
    done = 0
    for at in range(len(reading.text)):
        span = reading.back(Span(at, at + 1, "X"))
        assert done <= span.start < span.end <= len(text)
        done = span.start
    whole = reading.back(Span(0, len(reading.text), "X")) if reading.text else Span(0, 0, "X")
    left = text[: whole.start] + text[whole.end :]
    assert Reading.of(left).text == ""
