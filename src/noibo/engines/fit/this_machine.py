"""What this machine is and can do, measured once and believed for a day.

What is free changes from one moment to the next and is asked each time; how fast memory and
processor are is measured, which takes seconds. A busy machine only ever measures too low: the best
counts, and what was measured beside other work is believed for some minutes alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import psutil

from noibo.errors import StoreError
from noibo.hardware.gpus import gpus
from noibo.hardware.machine import Hardware
from noibo.hardware.offload import Usable, advice, ask_engine, vendors
from noibo.hardware.probe import memory_of, probe
from noibo.hardware.system import System
from noibo.modelstore.disk import write_atomically

FILE_NAME: Final = "hardware.json"
FRESH_FOR_S: Final = 24 * 3600.0
FRESH_IF_BUSY_S: Final = 600.0
SECONDS: Final = 1.0  # that the copy is measured
BUSY: Final = (
    "Other work kept the machine busy while it was measured, so it may be faster than this: "
    "`noibo hardware` measures it again."
)


@dataclass(frozen=True, slots=True)
class Found:
    """The machine, and which of its GPUs the installed engine (that `build` of it) can use."""

    at: float
    build: str
    hardware: Hardware
    usable: Usable
    busy: bool = False  # other work took much of the processor

    def holds(self, build: str, now: float) -> bool:
        """It was measured lately, for that build."""
        most = FRESH_IF_BUSY_S if self.busy else FRESH_FOR_S
        return self.build == build and 0 <= now - self.at < most

    @property
    def for_models(self) -> Hardware:
        """The machine as models find it: without GPUs that the engine cannot use."""
        if not self.usable.devices:
            return replace(self.hardware, gpus=())
        whose = vendors(self.usable)
        used = tuple(gpu for gpu in self.hardware.gpus if not whose or gpu.vendor in whose)
        return replace(self.hardware, gpus=used)

    @property
    def remark(self) -> str:
        """What to do about a GPU that lies idle, where the engine could say whether one does, and
        about a measurement that says too little; empty where there is nothing."""
        idle = "" if self.usable.problem else advice(self.hardware.gpus, self.usable)
        return " ".join(said for said in (idle, BUSY if self.busy else "") if said)


def this_machine(  # noqa: PLR0913 - the last two are what a test has others of
    home: Path,
    folder: Path,
    build: str,
    *,
    tell: Callable[[str], None] = lambda said: None,
    now: Callable[[], float] = time.time,
    ask: Callable[[], Usable] | None = None,
) -> Found:
    """This machine, from `home` where it was measured lately for the same build of the engine;
    `ask` asks that build. `folder` is where models lie. An engine that could not say what it can
    use is asked again the next time."""
    path, answer = home / FILE_NAME, ask or ask_engine
    known = _read(path)
    if known is not None and known.holds(build, now()):
        if known.usable.problem:
            known = replace(known, usable=answer())
            _write(path, known)
        return replace(known, hardware=_now_free(known.hardware))
    busy = is_busy()
    hardware = probe(seconds=SECONDS, folder=folder, tell=tell)
    tell("asking the engine")
    return keep(home, Found(now(), build, hardware, answer(), busy))


def keep(home: Path, found: Found) -> Found:
    """Write down what was measured now. Where the same machine was faster before, that counts; what
    was measured in a quiet moment is not in doubt for a busy one."""
    path = home / FILE_NAME
    known = _read(path)
    if known is not None and known.hardware.cpu == found.hardware.cpu:
        best = _best(found.hardware, known.hardware)
        found = replace(found, hardware=best, busy=found.busy and known.busy)
    _write(path, found)
    return found


def is_busy() -> bool:
    """Whether others have kept half of the processor's cores busy for the last minute."""
    return float(psutil.getloadavg()[0]) > 0.5 * (psutil.cpu_count() or 1)


def _best(new: Hardware, old: Hardware) -> Hardware:
    """The new measurement, or the one before where that was faster."""
    bandwidth = max(new.bandwidth or 0.0, old.bandwidth or 0.0) or None
    return replace(new, bandwidth=bandwidth, flops=max(new.flops or 0.0, old.flops or 0.0) or None)


def _now_free(hardware: Hardware) -> Hardware:
    system = System()
    total, free = memory_of(system)
    cards = tuple(gpus(system, total)[0]) if hardware.gpus else ()
    return replace(hardware, memory_bytes=total, available_bytes=free, gpus=cards)


def _read(path: Path) -> Found | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Found)
    except (OSError, ValueError, RecursionError):
        return None


def _write(path: Path, found: Found) -> None:
    with contextlib.suppress(StoreError):
        write_atomically(path, msgspec.json.format(msgspec.json.encode(found)))
