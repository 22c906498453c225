"""What was measured of models on this machine, kept between runs: memory and use.

An estimate is only as good as the header and our reading of the engine. What a worker of exactly
this size held the last time is better, and where there is none, what the engine's other workers
held against their estimates says how far off the estimates are here.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from noibo.engines.memory.correction import Learned, Sample, learn
from noibo.engines.memory.size import Need, Use
from noibo.errors import StoreError
from noibo.modelstore.disk import write_atomically

MOST_ROWS: Final = 300  # of each kind; the oldest go
LEAST_CHANGE: Final = 0.02  # of what was measured before: below that nothing is written
HALF_LIFE_S: Final = 7 * 24 * 3600.0  # one rush is forgotten in some weeks
RECENT_PROMPTS: Final = 400  # beyond that the older half counts half


@dataclass(frozen=True, slots=True)
class Measured:
    """What one worker held when it was ready, in bytes."""

    engine: str
    estimate: int
    held: int
    at: float
    model: str = ""  # rows of before it was noted each count as a model of their own


@dataclass(frozen=True, slots=True)
class Used:
    """How a model was used: peaks as they were `at`; tokens of the `recent` of all prompts."""

    at: float
    callers: float = 0.0
    tokens: float = 0.0
    prompts: int = 0
    recent: int = 0
    prompt_tokens: int = 0
    reused_tokens: int = 0


@dataclass(slots=True)
class _Rows:
    measured: dict[str, Measured] = field(default_factory=dict)
    used: dict[str, Used] = field(default_factory=dict)


class Book:
    """Measurements in one JSON file, read once. A damaged file is an empty one: estimates do
    without. From any thread."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._rows: _Rows | None = None
        self._lock = threading.Lock()

    def expected(self, key: str, engine: str, need: Need) -> int:
        """Bytes a worker will hold when it is ready: as measured for `key`, else the estimate,
        corrected by what the engine's estimates were wrong by here."""
        with self._lock:
            rows = self._read().measured
            if found := rows.get(key):
                return found.held
            return int(self._learned(engine).apply(need.at_start))

    def correction(self, engine: str) -> Learned:
        """What the engine's workers taught about estimates, as it is used for the next one."""
        with self._lock:
            return self._learned(engine)

    def _learned(self, engine: str) -> Learned:
        return learn(
            Sample(row.model or key, row.estimate, row.held)
            for key, row in self._read().measured.items()
            if row.engine == engine
        )

    def measured(self, key: str, engine: str, need: Need, held: int, model: str = "") -> None:
        """Keep what a worker that has just become ready really holds."""
        if held <= 0 or need.at_start <= 0:
            return
        with self._lock:
            rows = self._read().measured
            old = rows.get(key)
            if old and old.estimate == need.at_start and _close(old.held, held):
                return
            rows[key] = Measured(engine, need.at_start, held, self._now(), model)
            self._write()

    def use(self, model: str) -> Use:
        """How the model has been used; peaks fade."""
        with self._lock:
            row = self._read().used.get(model)
        if row is None:
            return Use()
        left = _left(row.at, self._now())
        callers = max(round(row.callers * left), 1) if row.callers else 0
        tokens = int(row.tokens * left)
        return Use(callers, tokens, row.prompts, row.prompt_tokens, row.reused_tokens)

    def used(self, model: str, use: Use) -> None:
        """Add how it has been used since that was noted the last time."""
        if use == Use():
            return
        with self._lock:
            rows, now = self._read().used, self._now()
            old = rows.get(model, Used(now))
            rows[model] = _add(old, use, now)
            self._write()

    def _read(self) -> _Rows:
        if self._rows is None:
            try:
                self._rows = msgspec.json.decode(self._path.read_bytes(), type=_Rows)
            except (OSError, ValueError, RecursionError):
                self._rows = _Rows()
        return self._rows

    def _write(self) -> None:
        """A write that fails costs nothing but what is estimated the next time."""
        rows = self._read()
        _drop_oldest(rows.measured)
        _drop_oldest(rows.used)
        with contextlib.suppress(StoreError):
            write_atomically(self._path, msgspec.json.format(msgspec.json.encode(rows)))


def _close(a: int, b: int) -> bool:
    return math.isclose(a, b, rel_tol=LEAST_CHANGE)


def _left(then: float, now: float) -> float:
    """How much of a peak is left; a clock that went back takes nothing and adds nothing."""
    return float(0.5 ** (max(now - then, 0.0) / HALF_LIFE_S))


def _add(old: Used, use: Use, now: float) -> Used:
    left = _left(old.at, now)
    row = Used(
        now,
        max(old.callers * left, float(use.callers)),
        max(old.tokens * left, float(use.tokens)),
        old.prompts + use.prompts,
        old.recent + use.prompts,
        old.prompt_tokens + use.prompt_tokens,
        old.reused_tokens + use.reused_tokens,
    )
    if row.recent <= RECENT_PROMPTS:
        return row
    return replace(
        row,
        recent=row.recent // 2,
        prompt_tokens=row.prompt_tokens // 2,
        reused_tokens=row.reused_tokens // 2,
    )


def _drop_oldest(rows: dict[str, Any]) -> None:
    for key in sorted(rows, key=lambda key: rows[key].at)[: max(len(rows) - MOST_ROWS, 0)]:
        del rows[key]
