"""A text that a model has read, and reading on from what another text has in common with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from noibo.engines.hosted.python_model import Scores, Writer


class Stopped(Exception):
    """Nobody waits for the answer any more."""


class Reader:
    """One model's state: the tokens that it has read. For one thread. `batch`: tokens that are
    read at a time, so that a reading can be stopped between two."""

    def __init__(self, model: Writer, batch: int) -> None:
        self.model = model
        self.batch = max(batch, 1)
        self._tokens: list[int] = []

    def start(self, tokens: Sequence[int], *, afresh: bool = False) -> int:
        """Get ready to read a text; how many of its tokens need not be read again. The last one
        always is: its scores are wanted."""
        shared = 0 if afresh else _alike(self._tokens, tokens[:-1])
        return self.keep(shared)

    def keep(self, length: int) -> int:
        """Forget what comes after so many tokens; how many are left."""
        if length < len(self._tokens):
            if not self.model.cut(length):
                self.model.cut(length := 0)
            del self._tokens[length:]
        return len(self._tokens)

    def read(self, tokens: Sequence[int], *, each: bool = False) -> Scores:
        """Read on."""
        try:
            scores = self.model.read(tokens, each=each)
        except BaseException:  # nobody knows how far it came
            self._tokens.clear()
            self.model.cut(0)
            raise
        self._tokens += tokens
        return scores

    def prompt(
        self, tokens: Sequence[int], reused: int, stop: threading.Event
    ) -> Iterator[tuple[int, Scores]]:
        """Read a text from its token `reused` on, in batches: how far it is read, and the scores of
        what comes next. Raises `Stopped`."""
        for start in range(reused, len(tokens), self.batch):
            if stop.is_set():
                raise Stopped
            batch = tokens[start : start + self.batch]
            yield start + len(batch), self.read(batch)


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginning."""
    length = min(len(one), len(other))
    return next((i for i in range(length) if one[i] != other[i]), length)
