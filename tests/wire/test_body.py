from __future__ import annotations

import pytest

from noibo.errors import InvalidRequest
from noibo.wire.body import DEEPEST, MOST_VALUES, read_fields


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "expecting value"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'{"a":1', "expecting"),
        (b'{"a":NaN}', "nan is no json"),
        (b'{"a":{"b":-Infinity}}', "-infinity is no json"),
        (b'{"a":1,"a":2}', "'a' is there twice"),
        (b'{"a":[{"b":{"c":1,"d":2,"c":3}}]}', "'c' is there twice"),
        (b'{"a":"\xff"}', "utf-8"),
        (b'{"a":["x","\\ud800"]}', "surrogate"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "deep"),
        (b'{"a":' + b'{"a":' * DEEPEST + b"1" + b"}" * DEEPEST + b"}", "deep"),
        (b'{"a":1} x', "extra data"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_fields(body)
    assert said in str(caught.value).lower()


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\\ud83d\\ude00"}',
        '{"a":"nội bộ"}'.encode(),
        b'{"a":"' + b"[{" * 5000 + b'"}',
        b'{"a":"\\"' + b"{" * 500 + b'"}',
        b'{"a":[' + b"{}," * 500 + b"{}]}",
        b'{"a":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}",
    ],
)
def test_what_can_be_read_in_one_way_is_taken(body: bytes) -> None:
    assert bytes(read_fields(body)["a"]) == body[5:-1]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b"[]," * MOST_VALUES + b"1]}",
        b'{"a":[' + b"{}," * MOST_VALUES + b"1]}",
        b'{"a":[' + b"1," * MOST_VALUES + b"1]}",
        b'{"a":"' + b"x" * 1000 + b'","b":["' + b'\\"","' * MOST_VALUES + b'1"]}',
        b"[" * 2 * MOST_VALUES,
    ],
)
def test_more_values_than_anybody_sends_are_refused_unread(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="more than 1,048,576 values"):
        read_fields(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"' + b"[{,,}]" * MOST_VALUES + b'"}',
        b'{"a":"' + b'\\",\\\\[' * MOST_VALUES + b'"}',
        b'{"a":[' + b"1000," * (MOST_VALUES - 8) + b"1]}",
    ],
)
def test_signs_in_a_text_are_no_values(body: bytes) -> None:
    assert bytes(read_fields(body)["a"]) == body[5:-1]


def test_a_text_that_never_ends_is_looked_through_once() -> None:
    with pytest.raises(InvalidRequest, match="nterminated"):
        read_fields(b'{"a":"' + b'\\",[' * MOST_VALUES)
