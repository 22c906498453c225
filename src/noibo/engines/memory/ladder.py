"""From the size that is wanted down to the least that makes sense: what is given up first.

First the state of conversations that have no slot (they are read again), then slots (callers
wait), then exactness of the state, and at last the length of a conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from noibo.engines.memory.size import Size


def rungs(
    wanted: Size, least_context: int, total: Callable[[Size], int], *, may_round: bool
) -> Sequence[Size]:
    """Sizes, each of which takes less than the one before. `total` says what a size takes,
    `may_round` whether the model's state can be held as q8_0."""
    found = [wanted]
    for size in _steps(wanted, least_context, may_round=may_round):
        if total(size) < total(found[-1]):
            found.append(size)
    return found


def _steps(size: Size, least_context: int, *, may_round: bool) -> Iterator[Size]:
    if size.kept_bytes:
        size = replace(size, kept_bytes=0)
        yield size
    while size.parallel > 1:
        size = replace(size, parallel=size.parallel // 2)
        yield size
    if size.kv_type == "f16" and may_round:
        size = replace(size, kv_type="q8_0")
        yield size
    while size.context > least_context:
        size = replace(size, context=max(size.context // 2, least_context))
        yield size
