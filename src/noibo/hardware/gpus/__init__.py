"""Every GPU of a machine, by the tools of its maker and the files of the system.

A tool's answer may be of any version, cut short, or nonsense: what it says for certain is taken,
and what it does not is a note of one line.
"""

from __future__ import annotations

import csv

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
        makers = {"Apple": apple.find}
    elif system.platform == "win32":
        makers = {"NVIDIA": nvidia.find}
        notes.append("On Windows only NVIDIA's cards are looked for.")
    else:
        makers = {"NVIDIA": nvidia.find, "AMD": amd.find, "Intel": intel.find}
    for name, find in makers.items():
        try:
            some, said = find(system, memory)
        except (ValueError, csv.Error):  # numbers or rows longer than can be read
            some, said = [], [f"GPUs by {name} were left out: what is told of them makes no sense."]
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
