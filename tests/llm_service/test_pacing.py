from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.errors import InvalidRequest
from noibo.llm_service.pacing import paced, pause_of, words


async def said(pieces: Sequence[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


async def collected(source: AsyncIterator[str]) -> list[str]:
    return [one async for one in source]


@given(st.lists(st.text(alphabet="ab ộ\n\t", max_size=6)))
def test_words_add_up_to_the_text_however_it_is_cut(pieces: list[str]) -> None:
    found = asyncio.run(collected(words(said(pieces))))
    assert "".join(found) == "".join(pieces)
    assert all(len(word.split()) <= 1 for word in found)
    assert "" not in found


def test_a_word_waits_for_its_end() -> None:
    pieces = ["Xin ch", "ào", " các", " bạn ", "\n", "nhé"]
    assert asyncio.run(collected(words(said(pieces)))) == ["Xin ", "chào ", "các ", "bạn \n", "nhé"]


def test_without_a_pace_pieces_come_as_they_are() -> None:
    assert asyncio.run(collected(paced(said(["a", "b c"]), None))) == ["a", "b c"]
    assert asyncio.run(collected(paced(said(["a", "b c"]), 0.0))) == ["ab ", "c"]


def test_a_pace_is_words_a_second() -> None:
    assert pause_of(0) is None
    assert pause_of(4) == 0.25
    assert pause_of(math.inf) == 0.0


@pytest.mark.parametrize("pace", [-1, math.nan, "fast", True, None])
def test_what_is_no_pace_is_refused(pace: object) -> None:
    with pytest.raises(InvalidRequest, match="words_per_second"):
        pause_of(pace)  # type: ignore[arg-type]
