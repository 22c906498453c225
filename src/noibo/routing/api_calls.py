"""How often models elsewhere were asked in the last hour, by one program: the seed's
`max_api_calls_per_hour`. A server counts in its database instead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from noibo.routing.demand import Means

HOUR_S: Final = 3600.0


class ApiCalls:
    """`most` None: nobody counts. For several threads."""

    __slots__ = ("_at", "_clock", "_most", "_turn")

    def __init__(self, most: int | None, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._at: deque[float] = deque()
        self._turn = threading.Lock()

    def means(self) -> Means:
        """Whether one more may be made, and when again where not."""
        if self._most is None:
            return Means()
        with self._turn:
            left = self._left()
            wait = self._at[0] + HOUR_S - self._clock() if left <= 0 and self._at else None
        return Means(api_calls_left=left, retry_after_s=wait)

    def take(self) -> bool:
        """Make one now; False where there is none left: another thread had the last."""
        if self._most is None:
            return True
        with self._turn:
            if self._left() <= 0:
                return False
            self._at.append(self._clock())
        return True

    def give_back(self) -> None:
        """The one that was made last was not made after all."""
        with self._turn:
            if self._at:
                self._at.pop()

    def _left(self) -> int:
        while self._at and self._at[0] <= self._clock() - HOUR_S:
            self._at.popleft()
        return max((self._most or 0) - len(self._at), 0)
