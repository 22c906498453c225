"""How fast memory is read and written, and how fast numbers are multiplied: measured.

Answers are written one token at a time, and for each the whole model passes through the processor:
the memory's speed is the speed of an answer. Reading a prompt is arithmetic.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from noibo.hardware.system import System

MIB: Final = 2**20
LEAST: Final = 64 * MIB  # of all buffers together: more than any cache of a small machine
MOST: Final = 4096 * MIB
TIMES_THE_CACHE: Final = 2  # nothing of a pass is left in it for the next
SIDE: Final = 1024  # of the matrices, in numbers
_PASSES: Final = 3  # at least, however long one takes


def cache_bytes(system: System) -> int:
    """The last-level caches together; 0 where nobody says."""
    seen: dict[str, int] = {}
    for index in system.paths("sys/devices/system/cpu/cpu[0-9]*/cache/index[23]"):
        folder = Path("/") / index.relative_to(system.root)
        text = system.text(folder / "size").strip().upper()
        unit = {"K": 1024, "M": MIB}.get(text[-1:], 0)
        if unit and text[:-1].isdigit():
            shared = system.text(folder / "shared_cpu_list").strip()
            seen[f"{folder.name} {shared}"] = int(text[:-1]) * unit
    return sum(seen.values())


def buffer_bytes(cache: int, available: int) -> int:
    """Bytes to copy from, and as many to copy to: well over the cache, and an eighth of what is
    free at the most."""
    wanted = min(max(TIMES_THE_CACHE * cache, 4 * LEAST), MOST)
    return max(min(wanted, available // 8), LEAST) // 2


def copy_rate(seconds: float, threads: int, each: int) -> float:
    """Bytes a second read and written while `threads` copy `each` bytes between them, the best of
    the passes there is time for. What a write reads first is not counted."""
    import numpy

    part = max(each // threads // 8, 1)
    pairs = [(numpy.empty(part), numpy.empty(part)) for _ in range(threads)]
    _together([lambda a=a: a.fill(1.0) for a, _ in pairs])  # type: ignore[misc]

    def one_pass() -> None:
        _together([lambda a=a, b=b: numpy.copyto(b, a) for a, b in pairs])  # type: ignore[misc]

    best = _best(one_pass, seconds)
    return 2 * 8 * part * threads / best


def multiply_rate(seconds: float, side: int = SIDE) -> float:
    """Operations a second of a product of two square matrices in single precision, on as many
    cores as the library takes: it knows a process's affinity, and no container's quota, which only
    slows it down. The best of the passes there is time for."""
    import numpy

    a = numpy.full((side, side), 0.5, dtype=numpy.float32)
    b = numpy.full((side, side), 0.25, dtype=numpy.float32)
    out = numpy.empty_like(a)
    best = _best(lambda: numpy.matmul(a, b, out=out), seconds)
    return 2 * float(side) ** 3 / best


def _best(work: Callable[[], Any], seconds: float) -> float:
    """The shortest time of `work`, after one time that does not count: pages come then."""
    work()
    until, best, passes = time.perf_counter() + seconds, float("inf"), 0
    while passes < _PASSES or time.perf_counter() < until:
        began = time.perf_counter()
        work()
        best, passes = min(best, time.perf_counter() - began), passes + 1
    return max(best, 1e-9)


def _together(works: list[Callable[[], None]]) -> None:
    """All at the same time, each in a thread; the copying itself holds no lock."""
    threads = [threading.Thread(target=work) for work in works[1:]]
    for thread in threads:
        thread.start()
    works[0]()
    for thread in threads:
        thread.join()
