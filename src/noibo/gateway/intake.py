"""How much of what callers sent is in memory at the same time: bodies that are read, or wait.

One body has its limit, and many large ones at once would still fill the memory. Small ones are not
counted: there are never more of them than connections.
"""

from __future__ import annotations

import asyncio
from typing import Final

from noibo.errors import QueueFull

SMALL: Final = 2**16
BODIES: Final = 4  # so many of the largest that are taken fit in
_AGAIN_S: Final = 5.0


class Intake:
    """At most `most` bytes of large bodies. Lives on one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def share(self) -> Share:
        """What the request that is answered by the present task takes of it, until its end."""
        share = Share(self)
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(lambda _: share.grow(0))
        return share

    def change(self, by: int) -> None:
        """Take so many bytes more, or give them back. Raises `QueueFull`."""
        if by > 0 and self.held + by > self._most:
            raise QueueFull(
                f"Requests that are being read or wait hold {self.held >> 20} MiB already.",
                next_step="Try again when some are answered, or raise server.max_body_bytes.",
                retry_after_s=_AGAIN_S,
            )
        self.held += by


class Share:
    """One request's part of it."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._bytes = 0

    def grow(self, size: int) -> None:
        """The body has so many bytes now. Raises `QueueFull`."""
        self._intake.change(size - self._bytes)
        self._bytes = size
