"""Pieces of one request's work, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Piece = TypeVar("Piece")
Found = TypeVar("Found")


async def side_by_side(
    work: Callable[[Piece], Awaitable[Found]], pieces: Sequence[Piece], at_once: int
) -> list[Found]:
    """`work` over all pieces, so many at a time, in their order. The first failure, or leaving,
    ends all of it."""
    left = iter(enumerate(pieces))
    found: dict[int, Found] = {}

    async def some() -> None:
        for number, piece in left:
            found[number] = await work(piece)

    workers = [asyncio.ensure_future(some()) for _ in range(min(at_once, len(pieces)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [found[number] for number in range(len(pieces))]
