"""Counts the tokens of one answer for its worker, while the answer passes.

An event is about a token, if it has any text; what the engine says at the end corrects that. Of an
answer that is cancelled the count so far stays.
"""

from __future__ import annotations

import re
import time
from typing import Final

from noibo.engines.worker import Worker
from noibo.wire import sse
from noibo.wire.tally import Progress, Tally, progress, tally, tally_of

_NOTHING: Final = Tally()
# What a model writes, in the events of any engine: the part of it that is not empty.
_WRITTEN: Final = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|name|arguments)": ?"[^"]'
)


class Tokens:
    """What one answer has added to its worker's counters."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._counted = _NOTHING
        self._told = _NOTHING
        self._guessed = 0  # events that were counted as tokens, over what was told
        self.reading: Progress | None = None  # while the prompt is being read
        self.first_at = 0.0  # when the first of them was written; 0: none was

    def count(self, block: bytes, *, reads: bool) -> None:
        """Take a block of whole events; `reads`: one of them tells how far the prompt is read."""
        self.reading = self._read(block) if reads else None
        if not self.first_at and not reads:
            self.first_at = time.perf_counter()
        if told := tally(block):
            self._told += told  # each choice of an answer tells its own
            self._settle(self._told)
            whole = self._told.prompt + self._told.written
            self._worker.longest_tokens = max(self._worker.longest_tokens, whole)
        elif not reads and self._told is _NOTHING:
            events = _written(block)
            self._worker.tokens_out += events
            self._guessed += events

    def told(self, whole: bytes) -> None:
        """Take a whole answer that was not streamed: when it was begun nobody knows."""
        if found := tally_of(whole):
            self._settle(found)

    @property
    def worker(self) -> Worker:
        """Whose answer it is."""
        return self._worker

    @property
    def prompt(self) -> int:
        """Tokens of its prompt, as far as was said."""
        return self._counted.prompt

    @property
    def reused(self) -> int:
        """Those of its prompt that were not read again."""
        return self._counted.reused

    @property
    def written(self) -> int:
        """Tokens of the answer."""
        return self._counted.written + self._guessed

    def words(self) -> str:
        """What there is to say of an answer that is silent."""
        if self.reading is None:
            return "alive"
        return f"reading the prompt, {self.reading.processed} of {self.reading.total} tokens"

    def _read(self, block: bytes) -> Progress | None:
        if (now := progress(block)) is not None:
            written = self._counted.written + self._guessed
            self._settle(Tally(now.processed, now.cache, written))
        return now

    def _settle(self, right: Tally) -> None:
        if right.prompt and not self._counted.prompt:
            self._worker.prompts += 1
        self._worker.tokens_in += right.prompt - self._counted.prompt
        self._worker.tokens_reused += right.reused - self._counted.reused
        self._worker.tokens_out += right.written - self._counted.written - self._guessed
        self._counted, self._guessed = right, 0


def _written(block: bytes) -> int:
    """Events of a block in which something is written. Most are of nothing else: only those that
    also say who speaks, or that it ends, are looked at."""
    if not (
        b'"role"' in block
        or b'"finish_reason":"' in block
        or b'"finish_reason": "' in block
        or b"[DONE]" in block
    ):
        return block.count(b"\n\n")
    return sum(_WRITTEN.search(event) is not None for event in sse.events(block))
