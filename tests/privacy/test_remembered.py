from __future__ import annotations

from noibo.privacy.remembered import Remembered
from noibo.privacy.span import Span
from tests.privacy.finding import find

TEXT = "Khách hàng Nguyễn Văn An gọi từ số 0912 345 678 sáng nay."


class Counted:
    """A finder that knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> list[Span]:
        self.asked.append(text)
        return find(text)


def test_a_text_is_looked_through_once() -> None:
    counted = Counted()
    remembered = Remembered(counted)
    assert list(remembered(TEXT)) == list(remembered(TEXT)) == find(TEXT)
    assert counted.asked == [TEXT]


def test_another_text_is_looked_through() -> None:
    counted = Counted()
    remembered = Remembered(counted)
    assert [list(remembered(TEXT + sign)) for sign in ".!"] == [find(TEXT), find(TEXT)]
    assert len(counted.asked) == 2


def test_the_oldest_is_forgotten() -> None:
    counted = Counted()
    remembered = Remembered(counted, most=2)
    for sign in "abca":
        remembered(TEXT + sign)
    assert len(remembered) == 2
    assert len(counted.asked) == 4


def test_no_text_is_kept() -> None:
    remembered = Remembered(find)
    remembered(TEXT)
    assert "Nguyễn" not in repr(vars(remembered))


def test_texts_with_many_places_are_not_all_kept() -> None:
    """However few they are: a table of a million customers is one text."""
    counted = Counted()
    remembered = Remembered(counted, most_places=5)
    texts = [f"{TEXT} Mã {number}." for number in range(4)]  # two places each
    for text in texts:
        remembered(text)
    assert len(remembered) == 2
    remembered(texts[-1])
    assert counted.asked == texts
    remembered("; ".join([TEXT] * 9))
    assert len(remembered) == 0
