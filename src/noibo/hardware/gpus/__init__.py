"""Every GPU of a machine, by the tools of its maker and the files of the system.

A tool's answer may be of any version, cut short, or nonsense: what it says for certain is taken,
and what it does not is a note of one line.
"""

from __future__ import annotations

from noibo.hardware.gpus import amd, apple, intel, nvidia
from noibo.hardware.machine import Gpu
from noibo.hardware.system import System

Found = tuple[list[Gpu], list[str]]


def gpus(system: System, memory: int) -> Found:
    """All GPUs, those with the most memory first, and what could not be read. `memory` is the
    machine's: some take theirs from it."""
    found: list[Gpu] = []
    notes: list[str] = []
    if system.platform == "darwin":
        makers = [apple.find(system, memory)]
    elif system.platform == "win32":
        makers = [nvidia.find(system, memory)]
        notes.append("On Windows only NVIDIA's cards are looked for.")
    else:
        makers = [nvidia.find(system, memory), amd.find(system, memory), intel.find(system, memory)]
    for some, said in makers:
        found += some
        notes += said
    return sorted(found, key=lambda one: (one.shared_memory, -one.memory_bytes)), notes


def suspected(system: System) -> bool:
    """Whether there may be one, by files alone: nothing is run for it, nothing waited for."""
    if system.platform != "linux":
        return True
    signs = ("dev/nvidia[0-9]*", "dev/kfd", "dev/dxg")
    if any(system.paths(one) for one in signs) or nvidia.on_the_bus(system):
        return True
    vendors = system.paths("sys/class/drm/card[0-9]*/device/vendor")  # a virtual screen has one too
    said = {system.text("/" + str(one.relative_to(system.root))).strip() for one in vendors}
    return bool(said & {amd.VENDOR, intel.VENDOR})
