"""The key by which another server is asked is in no answer of it, wherever that is cut."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.engines.remote.answer import Said
from noibo.engines.remote.keyless import INSTEAD, Keyless, without

KEY = "sk-aab-aabaab-secret"


class Pieces(Said):
    """An answer that comes in such pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(200, {}, b"")
        self._pieces = pieces

    async def piece(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    async def read(self) -> bytes:
        return b"".join(self._pieces)


async def heard(answer: Keyless) -> list[bytes]:
    found = []
    while said := await answer.piece():
        found.append(said)
    return found


@given(st.lists(st.sampled_from(["sk-", "aab", "-", KEY, KEY[:9], KEY[9:], "x"])), st.data())
def test_wherever_it_is_cut_it_is_not_told(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if a < b]
    told = asyncio.run(heard(Keyless(Pieces(pieces), KEY.encode())))
    assert b"".join(told) == text.replace(KEY.encode(), INSTEAD)
    assert all(told)


@pytest.mark.parametrize("text", [b"nothing of it", b"sk-aab-aabaab-secre", b"ends with sk-"])
def test_what_is_no_key_is_told_as_it_is(text: bytes) -> None:
    assert b"".join(asyncio.run(heard(Keyless(Pieces([text]), KEY.encode())))) == text


def test_what_cannot_become_the_key_is_told_at_once() -> None:
    pieces = [b"one ", b"two s", b"k- three"]
    told = asyncio.run(heard(Keyless(Pieces(pieces), KEY.encode())))
    assert told == [b"one ", b"two ", b"sk- three"]


def test_a_word_is_no_key() -> None:
    answer = Said(200, {}, b"none of it")
    assert without("none", answer) is answer
    assert without("", answer) is answer


def test_read_whole_it_is_not_told_either() -> None:
    answer = without(KEY, Pieces([KEY[:5].encode(), KEY[5:].encode()]))
    assert asyncio.run(answer.read()) == INSTEAD
