"""How much one request may put together: what it says, what it builds on, what its files contain.

A body is bounded where it comes in. A conversation that is continued, reasoning that was packed
and a file that is spoken of often are larger than the words that name them.
"""

from __future__ import annotations

from typing import Any, Final

from noibo.errors import InvalidRequest

MOST_ITEMS: Final = 10_000


class Budget:
    """So many characters, in so many items. Taken before the memory is."""

    def __init__(self, most: int) -> None:
        self.left = most
        self._most = most
        self._items = 0

    def take(self, size: int) -> None:
        """So many characters more. Raises `InvalidRequest` where it is too much."""
        self.left -= size
        if self.left < 0:
            raise _spent(f"{self._most:,} characters")

    def take_item(self, size: int = 0) -> None:
        """One item more, of so many characters. Raises `InvalidRequest` where it is too much."""
        self._items += 1
        if self._items > MOST_ITEMS:
            raise _spent(f"{MOST_ITEMS:,} items")
        self.take(size)


def weight(value: Any) -> int:
    """How many characters of an item may come before a model; of log-probabilities none do."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(weight, value))
    if isinstance(value, dict):
        return sum(weight(one) for name, one in value.items() if name != "logprobs")
    return 0


def _spent(most: str) -> InvalidRequest:
    return InvalidRequest(
        f"The input, with the conversation it continues and its files, is more than {most}.",
        param="input",
        next_step="Send fewer or smaller items, or begin a new conversation.",
    )
