"""Work that only so many may do at once; who comes then is told to come again."""

from __future__ import annotations

import threading

from noibo.errors import QueueFull

_AGAIN_S = 5.0


class Gate:
    """Lets `most` in. For any thread: who was let in may leave from another."""

    def __init__(self, most: int, doing: str) -> None:
        self._most = most
        self._doing = doing
        self._places = threading.BoundedSemaphore(most)

    def enter(self) -> None:
        """Take a place; `leave` gives it back. Raises `QueueFull`."""
        if not self._places.acquire(blocking=False):
            raise QueueFull(
                f"{self._most} {self._doing} already.",
                next_step="Try again when one of them has ended.",
                retry_after_s=_AGAIN_S,
            )

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()
