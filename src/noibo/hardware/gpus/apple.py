"""Apple's GPUs share the machine's memory; the system says how much of it they may take.

Without a limit set (`iogpu.wired_limit_mb`) Metal takes two thirds of it up to 36 GiB, and three
quarters of more. Macs of before 2020 have a card by AMD, or Intel's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from noibo.hardware.cards import known
from noibo.hardware.machine import Gpu
from noibo.hardware.system import System, parsed

GIB: Final = 2**30
MIB: Final = 2**20
_UP_TO: Final = 36 * GIB
_VRAM: Final = re.compile(r"(\d+(?:[.,]\d+)?)\s*(GB|MB)")


def find(system: System, memory: int) -> tuple[list[Gpu], list[str]]:
    """The GPUs, and what could not be read of them."""
    answer = system.run(("system_profiler", "SPDisplaysDataType", "-json"))
    table = parsed(answer)
    rows = table.get("SPDisplaysDataType") if isinstance(table, Mapping) else None
    if not isinstance(rows, list):
        rows = []
    found = [gpu for row in rows if isinstance(row, Mapping) and (gpu := _gpu(system, row, memory))]
    if not found and system.is_arm:  # it always has one: its chip's name is the GPU's
        chip = system.run(("sysctl", "-n", "machdep.cpu.brand_string")).text.strip()
        if chip:
            found = [_shared(chip, system, memory)]
    if found:
        return found, []
    why = answer.problem or "it named no GPU"
    return [], [f"The GPU could not be read: system_profiler: {why}."]


def _gpu(system: System, row: Mapping[str, Any], memory: int) -> Gpu | None:
    name = row.get("sppci_model") or row.get("_name")
    if not isinstance(name, str) or not name:
        return None
    vendor = str(row.get("spdisplays_vendor", "")).lower()
    if "apple" in vendor or name.startswith("Apple"):
        return _shared(name, system, memory)
    said = row.get("spdisplays_vram") or row.get("spdisplays_vram_shared") or ""
    amount = _VRAM.search(str(said))
    if amount is None:
        return None
    size = round(float(amount[1].replace(",", ".")) * (GIB if amount[2] == "GB" else MIB))
    shared = "spdisplays_vram_shared" in row
    return Gpu(name, "amd" if "amd" in vendor else "intel", size, shared_memory=shared)


def _shared(name: str, system: System, memory: int) -> Gpu:
    card = known(name, memory)
    metal = system.run(("sw_vers", "-productVersion")).text.strip()
    return Gpu(
        name,
        "apple",
        usable(memory, _limit(system)),
        None,
        f"macOS {metal}" if metal else "",
        True,
        card.bandwidth if card else None,
        card.flops if card else None,
    )


def usable(memory: int, limit: int = 0) -> int:
    """What a GPU may take of so much memory, in bytes."""
    if limit:
        return min(limit, memory)
    return memory * 2 // 3 if memory <= _UP_TO else memory * 3 // 4


def _limit(system: System) -> int:
    said = system.run(("sysctl", "-n", "iogpu.wired_limit_mb")).text.strip()
    return int(said) * MIB if said.isascii() and said.isdigit() else 0
