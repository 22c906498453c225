"""Work on what a caller sent, or is sent, done where nobody else waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

SMALL: Final = 2**16  # bytes, or as many of anything: at most some milliseconds of the event loop
Given = ParamSpec("Given")
Found = TypeVar("Found")


async def off_loop(
    size: int, work: Callable[Given, Found], *args: Given.args, **more: Given.kwargs
) -> Found:
    """`work`, in a thread if there is more of it than `SMALL`: to go there and back takes longer
    than most work does."""
    if size <= SMALL:
        return work(*args, **more)
    return await asyncio.to_thread(work, *args, **more)
