"""An answer word by word, at the pace of somebody who reads."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator
from typing import Final

from noibo.errors import InvalidRequest

_WORD: Final = re.compile(r"\S+\s+|\s+")


def pause_of(words_per_second: float) -> float | None:
    """Seconds between two words; None: pieces are to come as the engine writes them. Infinitely
    many a second is whole words without a pause. Raises `InvalidRequest`."""
    if isinstance(words_per_second, bool) or not isinstance(words_per_second, int | float):
        words_per_second = math.nan
    if not words_per_second >= 0:
        raise InvalidRequest(
            "words_per_second is a number, 0 or more.",
            param="words_per_second",
            next_step="0 gives the answer as it comes; 5 is a pace to read along with.",
        )
    return 1 / words_per_second if words_per_second else None


async def words(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """Whole words with the space after them, so that they add up to the text again."""
    held = ""
    async for piece in pieces:
        held += piece
        end = 0
        for found in _WORD.finditer(held):
            if found.end() == len(held):
                break  # more space may follow, and belongs to it
            yield found[0]
            end = found.end()
        held = held[end:]
    for found in re.finditer(r"\S+\s*|\s+", held):
        yield found[0]


async def paced(pieces: AsyncIterator[str], pause: float | None) -> AsyncIterator[str]:
    """The pieces as they come, or a word each `pause` seconds. What the reader itself takes counts
    as part of the pause."""
    if pause is None:
        async for piece in pieces:
            yield piece
        return
    clock = asyncio.get_running_loop().time
    due = clock()
    async for word in words(pieces):
        if (early := due - clock()) > 0:
            await asyncio.sleep(early)
        yield word
        due = max(due + pause, clock())
