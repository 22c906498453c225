from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.wire import sse

STREAM = b'data: {"a":1}\n\n: a comment\n\ndata: two\ndata: lines\n\nevent: x\ndata:[DONE]\n\n'


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cutting_of_a_stream_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    buffer = sse.EventBuffer()
    found = [
        sse.data(event)
        for start, end in itertools.pairwise(edges)
        for event in sse.events(buffer.feed(STREAM[start:end]))
    ]
    assert found == [b'{"a":1}', b"", b"two\nlines", b"[DONE]"]
    assert buffer.rest == b""


def test_half_an_event_waits() -> None:
    buffer = sse.EventBuffer()
    assert buffer.feed(b"data: 1\n\ndata: 2\n") == b"data: 1\n\n"
    assert buffer.rest == b"data: 2\n"


def test_windows_line_ends_count() -> None:
    block = sse.EventBuffer().feed(b"data: a\r\n\r\ndata: b\r\n\r\n")
    assert [sse.data(event) for event in sse.events(block)] == [b"a", b"b"]


def test_an_event_without_end_is_not_collected_for_ever() -> None:
    buffer = sse.EventBuffer(largest=100)
    with pytest.raises(ValueError, match="more than 100"):
        for _ in range(3):
            buffer.feed(b"x" * 60)


def test_a_last_event_without_its_blank_line_is_not_lost() -> None:
    buffer = sse.EventBuffer()
    assert buffer.feed(b"data: 1\n\ndata: [DONE]") == b"data: 1\n\n"
    assert buffer.end() == b"data: [DONE]\n\n"
    assert buffer.end() == b""


def test_a_comment_is_read_as_it_was_written_and_is_no_data() -> None:
    event = sse.comment("waiting, place 2, about 8 s")
    assert sse.EventBuffer().feed(event) == event
    assert (sse.remark(event), sse.data(event)) == ("waiting, place 2, about 8 s", b"")
    assert sse.remark(b"data: no: comment\n\n") == ""
