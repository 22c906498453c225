from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.enclosed import looks_packed, opened
from noibo.privacy.span import Span
from noibo.privacy.unescaped import unescaped


def packed(content: bytes, head: str = "") -> str:
    return head + base64.b64encode(content).decode()


TEXTS = {
    "text": packed(b"Xin ch\xc3\xa0o"),
    "an address": packed("Xin chào".encode(), "data:text/plain;base64,"),
    "with a charset": packed("Xin chào".encode(), "data:text/plain;charset=utf-8;base64,"),
    "in capitals": packed("Xin chào".encode(), "DATA:text/plain;BASE64,"),
    "without base64": "data:,Xin%20ch%C3%A0o",
    "as UTF-16": packed("Xin chào".encode("utf-16")),
    "as a picture that is none": packed("Xin chào".encode(), "data:image/png;base64,"),
    "without its end": packed("Xin chào".encode()).rstrip("="),
    "with line breaks": base64.encodebytes("Xin chào".encode() * 1).decode(),
}


@pytest.mark.parametrize("value", TEXTS.values(), ids=TEXTS.keys())
def test_a_text_is_opened_and_closed_again(value: str) -> None:
    found = opened(value)
    assert found
    assert found.text == "Xin chào"
    again = opened(found.closed("Tạm biệt"))
    assert again
    assert again.text == "Tạm biệt"
    assert again.head == found.head


@pytest.mark.parametrize(
    "value",
    [
        packed(b"\x89PNG\r\n\x1a\n" + bytes(20)),
        packed(b"\xff\xd8\xff\xe0JFIF"),
        packed(b"%PDF-1.7 only ASCII follows"),
        packed(b"PK\x03\x04docx"),
        packed(b"a" * 2000 + b"\x00\xff"),
        "data:text/plain;base64",
        "data:text/plain;base64,a",
        "không phải",
    ],
)
def test_what_is_no_text_is_not_opened(value: str) -> None:
    assert opened(value) is None


@given(st.binary())
def test_any_bytes_are_a_text_or_are_not(content: bytes) -> None:
    found = opened(packed(content))
    if found and found.coding == "utf-8":
        assert base64.b64decode(found.closed(found.text)) == content


def test_a_long_text_cut_in_the_middle_of_a_sign_is_one() -> None:
    found = opened(packed(("ễ" * 2000).encode()))
    assert found
    assert len(found.text) == 2000


def test_a_sentence_does_not_look_packed() -> None:
    assert looks_packed("A" * 300)
    assert looks_packed("data:text/plain,xin")
    assert not looks_packed("data: số điện thoại " + "x" * 300)
    assert not looks_packed("Aa1+" * 20)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Nguy\\u1ec5n \\ud83d\\ude42!", "Nguyễn 🙂!"),
        ("to=an%40b.vn&x=%E1%BB%85", "to=an@b.vn&x=ễ"),
        ("Nguy&#7877;n &amp; &#x1F642;", "Nguyễn & 🙂"),
        ("\\u0041%41&#65;", "AAA"),
        ("Nguy\\\\u1ec5n \\\\ud83d\\\\ude42", "Nguyễn 🙂"),
    ],
)
def test_a_text_as_it_reads(text: str, read: str) -> None:
    found = unescaped(text)
    assert found
    assert found.text == read


@pytest.mark.parametrize(
    "text", ["5% off", "a & b; &khong_co;", "\\u12", "\\ud83d", "%zz", "C:\\x"]
)
def test_a_text_that_is_written_as_it_reads(text: str) -> None:
    assert unescaped(text) is None


pieces = st.lists(
    st.sampled_from(["a", "ễ", "🙂", "\\u1ec5", "\\ud83d\\ude42", "%E1%BB%85", "%41", "&#65;"])
)


@given(pieces, pieces, pieces)
def test_a_finding_goes_back_to_where_it_is_written(
    before: list[str], inside: list[str], after: list[str]
) -> None:
    parts = ["".join([*some, " "]) for some in (before, inside, after)]
    found = unescaped("".join(parts))
    if not found:
        return
    start = len(read(parts[0]))
    span = found.back(Span(start, start + len(read(parts[1])), "X"))
    assert "".join(parts)[span.start : span.end] == parts[1]


def read(text: str) -> str:
    found = unescaped(text)
    return found.text if found else text
