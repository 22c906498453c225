from __future__ import annotations

import base64
import codecs
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

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


def read(pieces: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Name and data of each event of a stream that comes in these pieces."""
    buffer = sse.EventBuffer()
    found = [event for piece in pieces for event in sse.events(buffer.feed(piece))]
    return [(sse.name(event), sse.data(event)) for event in found if sse.data(event)]


def cuttings(stream: bytes) -> Iterable[list[bytes]]:
    """The stream in one piece, in two at every byte, and byte by byte."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    yield from ([stream[:at], stream[at:]] for at in range(1, len(stream)))


@pytest.mark.shared
def test_the_streams_of_other_readers_are_read_as_they_read_them(shared: Path) -> None:
    """However they are cut, whatever ends their lines, with a byte order mark and without."""
    lines = (shared / "hostile" / "sse_cases.jsonl").read_bytes().splitlines()
    assert len(lines) >= 17
    for case in map(json.loads, lines):
        stream = base64.b64decode(case["raw_b64"])
        told = [(one["event"] or "message", one["data"].encode()) for one in case["events"]]
        plain = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        forms = [stream, *(plain.replace(b"\n", end) for end in (b"\n", b"\r", b"\r\n"))]
        for form in [*forms, *(codecs.BOM_UTF8 + form for form in forms)]:
            for pieces in cuttings(form):
                assert read(pieces) == told, (case["name"], form, pieces)


def test_a_line_that_was_cut_off_is_no_event() -> None:
    buffer = sse.EventBuffer()
    buffer.feed(b'data: {"a":1}\n\ndata: {"cho')
    assert buffer.end() == b""
    buffer.feed(b'data: {"error":"x"}\ndata')
    assert buffer.end() == b'data: {"error":"x"}\n\n'


@pytest.mark.parametrize(
    ("event", "name", "data"),
    [
        (b"event: a\nevent:b\ndata: 1\n\n", "b", b"1"),
        (b"database: 1\ndata: 2\n\n", "message", b"2"),
        (b"data\ndata: 2\n\n", "message", b"\n2"),
        (b"event\ndata: 2\nid: 7\nretry: 5\n\n", "message", b"2"),
        (b"data:  two spaces\n\n", "message", b" two spaces"),
        (b"data: a\nb\n\n", "message", b"a"),
    ],
)
def test_fields_are_read_as_the_standard_has_them(event: bytes, name: str, data: bytes) -> None:
    assert (sse.name(event), sse.data(event)) == (name, data)
