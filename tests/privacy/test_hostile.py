"""Texts that are made to be slow or to break the detector."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noibo.privacy.detector import STRUCTURED, Detector

DETECTOR = Detector(STRUCTURED)
WORDS = [
    "sđt",
    "stk",
    "mst",
    "cccd",
    "ns",
    "sinh",
    "ngày",
    "hộ",
    "chiếu",
    "password:",
    "token=",
    "Bearer",
    "sk-",
    "eyJ",
    "-----BEGIN",
    "PRIVATE",
    "-----END",
    "@",
    ".",
    ",",
    ":",
    "::",
    "://",
    "(",
    ")",
    "[at]",
    "+",
    "-",
    "_",
    "\n",
    "\t",
    "0912345678",
    "01/02/1990",
    "1.2.3.4",
    "GB29",
    "29A-",
    "đ",
    "á",
    "\u200b",
    "０",
    "\xa0",
    "KEY-----",
    "4111",
    "1111",
    '"',
    "'",
    "=",
    "/",
    "0",
    "1",
    "9",
    "x",
]
# Of names and addresses, put together with blanks.
WRITTEN = [
    *WORDS, "số", "12", "5th", "ngõ", "Lê", "Lợi", "lê lợi", "phường", "P.", "q1", "tp.", "hà nội",
    "Hà Nội", "xã", "ở", "địa chỉ:", "Nguyễn", "Văn", "thị", "trần", "Street", "Oak", "Rua",
    "PO Box", "chị", "họ tên:", "Jr.", "và", "@Lan", "K'Brửi", "30 Tháng 4", "H3-12", "QUẬN",
    "nghề", "I am",
]  # fmt: skip
REPEATED = (
    "1", "1 ", "1.", "12-", "0912345678 ", "a", " ", "\n", "@", "a@", "a@a.", ":", "=", "key=",
    "password: ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "eyJ", "://a:",
    "sinh ", "ns ", "a:", "1::", "29A-", "GB29 1234567 ", "1\u200b", "a\u0301", "1\u00a0", "(at) ",
    "Bearer ", "mật khẩu ", "+1", "(1)", "1234567,", "0912345678\n\n", "sdt,cccd\n1234567,2\n",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_can_be_looked_through(text):
    done = 0
    for span in DETECTOR.find(text):
        assert done <= span.start < span.end <= len(text)
        done = span.end


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WRITTEN), max_size=30).map(" ".join) | st.text(max_size=60))
def test_names_and_addresses_can_be_looked_for_in_any_text(text):
    done = 0
    for span in Detector().find(text):
        assert done <= span.start < span.end <= len(text)
        done = span.end


def calls(text: str) -> int:
    """How many functions are called to look through a text."""
    count = 0

    def see(_frame: object, _event: str, _argument: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        DETECTOR.find(text)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("piece", REPEATED, ids=repr)
def test_work_grows_with_the_length_and_no_faster(piece):
    once, twice = calls(piece * 400), calls(piece * 800)
    assert twice <= 2.2 * once + 200


def steps(text: str) -> int:
    """How many lines of code are gone through, each round of a loop anew."""
    count = 0

    def see(_frame: object, event: str, _argument: object) -> object:
        nonlocal count
        count += event == "line"
        return see

    before = sys.gettrace()
    sys.settrace(see)
    try:
        Detector().find(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("piece", ["Địa chỉ: số 5 Lê Lợi, Hà Nội\n", "Họ tên: Nguyễn Văn An\n"])
def test_many_labels_in_one_text_are_compared_with_their_neighbours_only(piece):
    once, twice = steps(piece * 100), steps(piece * 200)
    assert twice <= 2.2 * once + 200


@pytest.mark.parametrize(
    "text",
    [
        "sđt \uff10\uff19\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
        "sđt 0912\u200b345\u200d678",
        "sđt 0912\u00a0345\u00a0678",
        "sđt 0912\u2011345\u2011678",
        "s\u0111t\u200b: 09\u00ad12345678",
        "sđt ٠٩١٢٣٤٥٦٧٨",
    ],
)
def test_numbers_in_disguise_are_found(text):
    (span,) = DETECTOR.find(text)
    assert span.label == "PHONE"
    assert span.end == len(text)
