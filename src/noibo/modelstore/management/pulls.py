"""The pulls of one process: begun, shared, watched, cancelled, and remembered for a while.

A few run at a time; the others wait for their turn.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, TypeAlias

from noibo.errors import NotFound, ShuttingDown
from noibo.modelstore.management.errand import Errand
from noibo.modelstore.management.rows import progress_row
from noibo.modelstore.management.turns import Turns
from noibo.modelstore.progress import Cancel, Progress, Report
from noibo.wire.models import ErrorRow, ModelRow, ProgressRow, PullRow

KEPT: Final = 100  # pulls that have ended
KEPT_S: Final = 3600.0
AT_ONCE: Final = 4  # pulls that run; each has several connections

# What was typed, and the name to give it (None: its own), to the model that came.
PullWork: TypeAlias = Callable[[str, str | None, Report, Cancel], ModelRow]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for: for people (no password of an address is in it), and what two
    have in common who mean the same."""

    shown: str
    same: Hashable

    @classmethod
    def literally(cls, model: str, name: str | None) -> Asked:
        return cls(model, (model, name))


# Understands a request; raises what is wrong with it.
Read: TypeAlias = Callable[[str, str | None], Asked]


class Pull(Errand[ModelRow]):
    """One model on its way."""

    def __init__(self, asked: Asked, model: str, name: str | None, work: PullWork) -> None:
        self.id = secrets.token_hex(6)
        self.asked = asked
        self.model = asked.shown
        self.name = name
        self.started_at = time.time()
        self.ended_at: float | None = None

        def run(report: Report, cancel: Cancel) -> ModelRow:
            try:
                return work(model, name, report, cancel)
            finally:
                self.ended_at = time.time()

        super().__init__(run, f"pull {asked.shown}")

    def told(self, progress: Progress) -> ProgressRow:
        """Progress of this pull, as it goes over the wire."""
        return progress_row(progress, self.id)

    def row(self) -> PullRow:
        """How it stands now."""
        seen = self.seen
        return PullRow(
            id=self.id,
            model=self.model,
            name=self.name,
            state=seen.state,
            progress=self.told(seen.latest),
            notes=[one.note for one in seen.notes],
            error=ErrorRow.of(seen.error) if seen.error else None,
            result=seen.result,
            started_at=self.started_at,
            ended_at=self.ended_at if seen.ended else None,
            watchers=self.watchers,
        )


class Pulls:
    """Begins pulls and finds them again. Every method is for any thread."""

    def __init__(self, pull: PullWork, read: Read = Asked.literally) -> None:
        self._pull = pull
        self._read = read
        self._lock = threading.Lock()
        self._pulls: dict[str, Pull] = {}
        self._turns = Turns(AT_ONCE)
        self._closed = False

    def start(self, model: str, name: str | None = None) -> Pull:
        """Begin a pull, or join the one of the same model that runs. Raises what `read` does."""
        asked = self._read(model, name)
        with self._lock:
            if self._closed:
                raise ShuttingDown("noibo is stopping.", next_step="Try again when it is back.")
            self._forget()
            for pull in self._pulls.values():
                if pull.asked == asked and not pull.seen.ended and not pull.cancelling:
                    return pull
            pull = Pull(asked, model, name, self._in_turn)
            self._pulls[pull.id] = pull
            return pull

    def get(self, pull_id: str) -> Pull:
        """The pull of that id; raises `NotFound`."""
        found = self._pulls.get(pull_id)
        if found is None:
            raise NotFound(
                f"There is no pull {pull_id!r}.",
                next_step="GET /noibo/v1/pulls lists those that run or have just ended.",
            )
        return found

    def all(self) -> list[Pull]:
        """Pulls that run or ended lately, in the order in which they began."""
        with self._lock:
            self._forget()
            return list(self._pulls.values())

    def cancel(self, pull_id: str, patience_s: float = 5.0) -> Pull:
        """Stop one; what is here is kept. Waits until it has stopped, but not for ever."""
        pull = self.get(pull_id)
        pull.cancel()
        pull.wait(patience_s)
        return pull

    def cancel_all(self) -> None:
        """Take no new pull and ask all to stop, without waiting."""
        self._closed = True
        for pull in list(self._pulls.values()):
            pull.cancel()

    def close(self, patience_s: float = 5.0) -> None:
        """Stop all. One that does not stop in time ends with the process, which harms nothing."""
        self.cancel_all()
        until = time.monotonic() + patience_s
        for pull in list(self._pulls.values()):
            pull.wait(max(0.0, until - time.monotonic()))

    def _in_turn(self, model: str, name: str | None, report: Report, cancel: Cancel) -> ModelRow:
        with self._turns.one("Waiting for another pull to end.", report, cancel):
            return self._pull(model, name, report, cancel)

    def _forget(self) -> None:
        """Drop those that ended long ago, and the first of too many."""
        ended = [pull for pull in self._pulls.values() if pull.seen.ended]
        old = time.time() - KEPT_S
        for place, pull in enumerate(ended):
            if len(ended) - place > KEPT or (pull.ended_at or old) < old:
                del self._pulls[pull.id]
