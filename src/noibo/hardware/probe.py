"""Asks and measures this machine. Takes about twice the seconds it is given for the copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from noibo.hardware import cgroup, disk
from noibo.hardware.bandwidth import buffer_bytes, cache_bytes, copy_rate, multiply_rate
from noibo.hardware.cpu import cpu
from noibo.hardware.gpus import gpus
from noibo.hardware.machine import Hardware
from noibo.hardware.system import System

Tell = Callable[[str], None]
_TOO_LITTLE: Final = 2**28  # free bytes below which nothing is measured in memory


def probe(
    *,
    seconds: float = 2.0,
    folder: Path,
    system: System | None = None,
    tell: Tell = lambda said: None,
) -> Hardware:
    """This machine. `seconds` is how long the copy is measured, the rest half as long each; with 0
    nothing is measured. `folder` is where models lie; `tell` is told what is being done."""
    system = system or System()
    tell("asking the processor")
    processor, notes = cpu(system)
    memory, available = memory_of(system)
    tell("asking the graphics cards")
    found, said = gpus(system, memory)
    notes += said
    bandwidth = flops = None
    if seconds and available < _TOO_LITTLE:
        notes.append("The memory's speed was not measured: hardly any is free.")
    elif seconds:
        tell("measuring the memory")
        each = buffer_bytes(cache_bytes(system), available)
        bandwidth = copy_rate(seconds, processor.threads, each)
        tell("measuring arithmetic")
        flops = multiply_rate(seconds / 2)
    if seconds:
        tell("measuring the disk")
    drive, problem = disk.disk(folder, seconds / 2)
    notes += [problem] if problem else []
    return Hardware(
        processor, memory, available, bandwidth, flops, tuple(found), drive, tuple(notes)
    )


def memory_of(system: System) -> tuple[int, int]:
    """Bytes there are and bytes that are free, of the machine or of its container."""
    whole = psutil.virtual_memory()
    total, free = int(whole.total), int(whole.available)
    limit = cgroup.memory(system)
    if limit is None:
        return total, free
    most, used = limit
    return min(total, most), min(free, max(most - used, 0))
