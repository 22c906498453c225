"""How large a batch of prompt tokens may be, so that a worker can be cancelled within a second.

llama.cpp looks up from its work only between batches. A batch sized for throughput on a GPU takes
half a minute on a slow core. So the batch is sized by speed: an estimate from the parameter count
the first time, what this machine really did from then on.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from noibo.errors import StoreError
from noibo.modelstore.disk import write_atomically

# A token costs about two operations a parameter; a core of the last decade does some 16e9 of them
# a second on 4-bit weights (measured 17e9 on a shared 2.5 GHz AVX-512 machine).
OPERATIONS_PER_CORE = 16e9
SMALLEST_BATCH = 8
LARGEST_BATCH = 2048
ENOUGH = 3  # measurements, each at a start


def batch_tokens(rate: float, seconds: float) -> int:
    """The largest power of two of prompt tokens that `rate` tokens/s read in `seconds`."""
    tokens = max(int(rate * seconds), 1)
    return min(max(1 << (tokens.bit_length() - 1), SMALLEST_BATCH), LARGEST_BATCH)


def estimated_rate(parameters: int, threads: int) -> float:
    """Prompt tokens a second, before anything was measured."""
    return threads * OPERATIONS_PER_CORE / (2 * max(parameters, 1_000_000))


@dataclass(frozen=True, slots=True)
class Measured:
    """What one engine did with one model on this machine."""

    prefill_tokens_per_s: float
    measured_at: float
    times: int = 1


class Tuning:
    """Measured speeds, kept in one JSON file. A damaged file is an empty one: it is only speed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prefill_rate(self, key: str) -> float | None:
        """Prompt tokens a second measured for `key`, or None."""
        found = self._read().get(key)
        return found.prefill_tokens_per_s if found else None

    def wants_more(self, key: str) -> bool:
        """True until `key` was measured often enough to believe it on a busy machine."""
        found = self._read().get(key)
        return found is None or found.times < ENOUGH

    def record(self, key: str, prefill_tokens_per_s: float) -> None:
        """Keep the best of a few measurements: a busy machine only ever measures too low.

        A write that fails costs nothing but the next estimate."""
        rows = self._read()
        old = rows.get(key, Measured(0.0, 0.0, 0))
        best = max(old.prefill_tokens_per_s, round(prefill_tokens_per_s, 1))
        rows[key] = Measured(best, round(time.time()), old.times + 1)
        with contextlib.suppress(StoreError):
            write_atomically(self._path, msgspec.json.format(msgspec.json.encode(rows)))

    def _read(self) -> dict[str, Measured]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Measured])
        except (OSError, ValueError, RecursionError):
            return {}


def threads_for(limit: int) -> int:
    """Threads a worker gets: the limit, else one for each core this process may use."""
    if limit:
        return limit
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)
