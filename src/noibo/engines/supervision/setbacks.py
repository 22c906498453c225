"""Models that failed lately: how often, why, and when a start makes sense again.

The first failure costs nothing: the next request starts afresh. After that each one doubles the
wait, and who asks in the meantime is told at once what happened, with the log's last lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from noibo.errors import NoiboError, WorkerDied, WorkerStartFailed

FIRST_WAIT_S: Final = 1.0
MOST_WAIT_S: Final = 60.0
TOLD_FROM_S: Final = 1.5  # shorter waits are waited out


@dataclass(slots=True)
class _Setback:
    error: NoiboError
    times: int = 0
    until: float = 0.0


class Setbacks:
    """Knows no clock: every call says what time it is."""

    def __init__(self) -> None:
        self._of: dict[str, _Setback] = {}

    def failed(self, model: str, error: NoiboError, now: float) -> None:
        """A start failed, or a worker ended."""
        setback = self._of.setdefault(model, _Setback(error))
        setback.error = error
        setback.times += 1
        doublings = min(setback.times - 2, 10)
        wait = FIRST_WAIT_S * 2**doublings if setback.times > 1 else 0.0
        setback.until = now + min(wait, MOST_WAIT_S)

    def worked(self, model: str) -> None:
        """An answer came to its end: all is well again."""
        self._of.pop(model, None)

    def wait_until(self, model: str) -> float:
        """When the next start makes sense; in the past, mostly."""
        setback = self._of.get(model)
        return setback.until if setback else 0.0

    def refusal(self, model: str, now: float) -> NoiboError | None:
        """What to tell who asks, while the wait is too long to be waited out."""
        setback = self._of.get(model)
        if setback is None or setback.until - now < TOLD_FROM_S:
            return None
        left = setback.until - now
        old = setback.error
        kind = WorkerStartFailed if isinstance(old, WorkerDied) else type(old)
        refusal = kind(
            f"{model} failed {setback.times} times in a row; the next try is in {left:.0f} s. "
            f"The last time: {old.message}",
            next_step=old.next_step,
            retry_after_s=left,
        )
        refusal.lines = old.lines
        return refusal
