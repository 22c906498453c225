"""How fast models really were here, taken from what llama.cpp's log says of single requests.

A worker says after each answer how long it took. Of all that it said the best counts: an answer
beside others, or on a busy machine, is only ever slower. A log is no interface: a line that is not
known, or not as it was, changes nothing.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from noibo.engines.engine import Model
from noibo.engines.fit.ask import Ask, of_model
from noibo.engines.fit.work import Work, work_of
from noibo.engines.memory.size import Size
from noibo.errors import StoreError
from noibo.modelstore.disk import write_atomically

ENOUGH_READ: Final = 48  # tokens: fewer say more of the beginning than of the speed
ENOUGH_WRITTEN: Final = 12
MOST_ROWS: Final = 200  # the oldest go
LEAST_GAIN: Final = 1.02  # below that nothing is written
_TIMED: Final = re.compile(
    r"(?P<prompt>prompt )?eval time += +(?P<ms>\d+(?:\.\d+)?) ms / +(?P<tokens>\d+) tokens"
)


@dataclass(frozen=True, slots=True)
class Timed:
    """Tokens/s of one answer's reading or writing, and at which depth (in tokens) it was done."""

    rate: float = 0.0
    depth: int = 0


@dataclass(frozen=True, slots=True)
class How:
    """What ran a model besides the model itself: `build` of the engine, as it names it; layers on
    GPUs, as llama.cpp counts them."""

    threads: int
    build: str = ""
    gpu_layers: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """The best speeds of one model here by one build of the engine, with so many layers on GPUs,
    and the work that they were at: operations of a prompt token, bytes, operations and layers of a
    written one."""

    model: str
    at: float
    prefill: float = 0.0
    prompt_flops: float = 0.0
    decode: float = 0.0
    bytes: int = 0
    flops: float = 0.0
    layers: int = 0
    build: str = ""
    gpu_layers: int = 0

    @property
    def work(self) -> Work:
        return Work(self.bytes, 0, self.flops, self.layers, self.prompt_flops)


def timed(log: Iterable[str]) -> tuple[Timed, Timed]:
    """The best reading and the best writing that a log tells of; of none, rate 0."""
    read = written = Timed()
    prompt = 0
    for line in log:
        found = _TIMED.search(line)
        if found is None or not float(found["ms"]):
            continue
        tokens = int(found["tokens"])
        rate = 1000 * tokens / float(found["ms"])
        if found["prompt"]:
            prompt = tokens
            if tokens >= ENOUGH_READ and rate > read.rate:
                read = Timed(rate, tokens)
        elif tokens >= ENOUGH_WRITTEN and rate > written.rate:
            written = Timed(rate, prompt + tokens // 2)
    return read, written


class Speeds:
    """Measured speeds in one JSON file. A damaged file is an empty one; from any thread."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()

    def note(self, model: Model, size: Size, how: How, log: Sequence[str]) -> None:
        """Keep what the log of a worker of `model` says, where it is better than what is known."""
        read, written = timed(log)
        if not read.rate and not written.rate:
            return
        ran = f"threads={how.threads} gpu_layers={how.gpu_layers} {how.build}"
        key = f"{model.path or model.name} {size.kv_type} {ran}"
        with self._lock:
            rows = self._read()
            unseen = Seen(model.name, 0.0, build=how.build, gpu_layers=how.gpu_layers)
            old = rows.get(key, unseen)
            ask = replace(of_model(model), kv_type=size.kv_type)
            new = _written_faster(_read_faster(old, ask, read), ask, written)
            if new is old:
                return
            rows[key] = replace(new, model=model.name, at=round(self._now()))
            for oldest in sorted(rows, key=lambda one: rows[one].at)[
                : max(len(rows) - MOST_ROWS, 0)
            ]:
                del rows[oldest]
            with contextlib.suppress(StoreError):
                write_atomically(self._path, msgspec.json.format(msgspec.json.encode(rows)))

    def seen(self, build: str) -> list[Seen]:
        """What is known of all models, by that build of the engine: another one is faster, or
        slower."""
        with self._lock:
            return [one for one in self._read().values() if one.build == build]

    def _read(self) -> dict[str, Seen]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Seen])
        except (OSError, ValueError, RecursionError):
            return {}


def _read_faster(old: Seen, ask: Ask, read: Timed) -> Seen:
    if read.rate <= LEAST_GAIN * old.prefill or (work := work_of(ask, read.depth)) is None:
        return old
    return replace(old, prefill=round(read.rate, 2), prompt_flops=work.prompt)


def _written_faster(old: Seen, ask: Ask, written: Timed) -> Seen:
    if written.rate <= LEAST_GAIN * old.decode or (work := work_of(ask, written.depth)) is None:
        return old
    rate = round(written.rate, 2)
    return replace(old, decode=rate, bytes=work.bytes, flops=work.flops, layers=work.layers)
