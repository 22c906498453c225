from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from noibo.privacy.joining import join
from noibo.privacy.span import Span

TEXT = "abcdefghijklmnopqrstuvwxyz0123456789" * 2


def places(*spans: Span) -> list[tuple[int, int, str]]:
    return [(one.start, one.end, one.label) for one in join(TEXT, spans)]


def test_the_surer_span_stays():
    assert places(Span(0, 10, "A", 0.5), Span(0, 10, "B", 0.9)) == [(0, 10, "B")]


def test_of_two_equally_sure_the_longer_stays():
    assert places(Span(0, 6, "A"), Span(0, 10, "B")) == [(0, 10, "B")]


def test_what_the_less_sure_one_covers_beyond_stays_found():
    assert places(Span(0, 30, "A", 0.5), Span(10, 20, "B", 0.9)) == [
        (0, 10, "A"),
        (10, 20, "B"),
        (20, 30, "A"),
    ]
    assert places(Span(0, 12, "A", 0.9), Span(8, 20, "B", 0.5)) == [(0, 12, "A"), (12, 20, "B")]


def test_two_of_one_kind_become_one():
    assert places(Span(0, 12, "A", 0.9), Span(8, 20, "A", 0.5)) == [(0, 20, "A")]


@given(
    st.lists(
        st.builds(
            lambda start, size, label, score: Span(start, start + size, label, score),
            st.integers(0, 40),
            st.integers(3, 20),
            st.sampled_from("ABC"),
            st.sampled_from((0.5, 0.7, 0.9)),
        ),
        max_size=12,
    )
)
def test_nothing_overlaps_and_hardly_anything_is_lost(spans):
    joined = join(TEXT, spans)
    assert all(a.end <= b.start for a, b in pairwise(joined))
    kept = {place for one in joined for place in range(one.start, one.end)}
    for one in spans:
        lost = set(range(one.start, one.end)) - kept
        # Rests of one or two signs between others are not worth a span.
        assert not any({at, at + 1, at + 2} <= lost for at in lost)
