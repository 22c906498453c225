"""Intel's GPUs: by `xpu-smi` where it is, else by the kernel's own files.

The driver xe tells a card's memory (`tileN/physical_vram_size_bytes`), i915 of some kernels too
(`lmem_total_bytes`). What is part of the processor has none, and is listed as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from noibo.hardware.cards import Card, by_name, known
from noibo.hardware.machine import Gpu
from noibo.hardware.system import System, parsed, whole_number

VENDOR: Final = "0x8086"
# The names of cards, by their number on the PCI bus.
_CARDS: Final = {
    "0x56a0": "Arc A770",
    "0x56a1": "Arc A750",
    "0x56a2": "Arc A580",
    "0x56a5": "Arc A380",
    "0x56a6": "Arc A310",
    "0x56c0": "Data Center GPU Flex 170",
    "0x0bd5": "Data Center GPU Max 1550",
    "0x0bda": "Data Center GPU Max 1100",
    "0xe20b": "Arc B580",
    "0xe20c": "Arc B570",
    "0xe211": "Arc Pro B60",
    "0xe212": "Arc Pro B50",
}


def find(system: System, memory: int) -> tuple[list[Gpu], list[str]]:
    """The cards and the integrated GPUs, and what could not be read of them. A card is what has
    memory of its own, whatever its number; where no file tells that, one of a known number."""
    folders = system.graphics(VENDOR)
    if not folders:
        return [], []
    told, notes = _by_tool(system)
    found: list[Gpu] = []
    for folder in folders:
        device = system.text(f"{folder}/device").strip().lower()
        driver = _driver(system, folder)
        if device not in _CARDS and not _own_memory(system, folder):
            found.append(_integrated(device, driver, memory))
        elif not told:
            name = _CARDS.get(device, f"GPU ({device.removeprefix('0x')})")
            gpu = _by_files(system, folder, name, driver)
            if gpu is None:
                notes.append(f"{name} was left out: nothing here tells its memory.")
            else:
                found.append(gpu)
    return told + found, notes


def _by_tool(system: System) -> tuple[list[Gpu], list[str]]:
    """xpu-smi lists the devices, and tells each one's memory when it is asked for that one."""
    answer = system.run(("xpu-smi", "discovery", "-j"))
    if answer.absent:
        return [], []
    table = parsed(answer)
    rows = table.get("device_list", []) if isinstance(table, Mapping) else table
    if not isinstance(rows, list):
        why = f" ({answer.problem})" if answer.problem else ""
        return [], [f"xpu-smi could not be read{why}."]
    found = []
    for row in rows:
        if isinstance(row, Mapping) and (number := _number(row.get("device_id"))) is not None:
            more = parsed(system.run(("xpu-smi", "discovery", "-d", str(number), "-j")))
            gpu = _told({**row, **(more if isinstance(more, Mapping) else {})})
            found += [gpu] if gpu else []
    return found, []


def _told(row: Mapping[str, Any]) -> Gpu | None:
    name, total = row.get("device_name"), _number(row.get("memory_physical_size_byte"))
    if not isinstance(name, str) or not total:
        return None
    free, driver = _number(row.get("memory_free_size_byte")), row.get("driver_version")
    return _gpu(name, total, free, driver if isinstance(driver, str) else "", known(name, total))


def _by_files(system: System, folder: str, name: str, driver: str) -> Gpu | None:
    if total := _own_memory(system, folder):
        free = system.number(f"{folder.removesuffix('/device')}/lmem_avail_bytes")
        return _gpu(f"Intel {name}", total, free, driver, known(name, total))
    made = by_name(name)
    if len(made) == 1:  # there is one of that name only: its memory is known by it
        return _gpu(f"Intel {name}", made[0].memory_bytes, None, driver, made[0])
    return None


def _own_memory(system: System, folder: str) -> int:
    """Bytes of a card's own memory, as its driver tells them; 0 where it does not."""
    tiles = [
        system.number("/" + str(path.relative_to(system.root))) or 0
        for path in system.paths(f"{folder}/tile[0-9]*/physical_vram_size_bytes")
    ]
    return sum(tiles) or system.number(f"{folder.removesuffix('/device')}/lmem_total_bytes") or 0


def _gpu(name: str, total: int, free: int | None, driver: str, card: Card | None) -> Gpu:
    return Gpu(
        name,
        "intel",
        total,
        free if free is not None and 0 < free <= total else None,
        driver,
        False,
        card.bandwidth if card else None,
        card.flops if card else None,
    )


def _integrated(device: str, driver: str, memory: int) -> Gpu:
    """It may take about half of the machine's memory: what the driver lets it have."""
    name = f"Intel graphics ({device.removeprefix('0x')})" if device else "Intel graphics"
    return Gpu(name, "intel", memory // 2, None, driver, shared_memory=True)


def _driver(system: System, folder: str) -> str:
    for line in system.text(f"{folder}/uevent").splitlines():
        if line.startswith("DRIVER="):
            return line.removeprefix("DRIVER=").strip()
    return ""


def _number(value: Any) -> int | None:
    return whole_number(str(value))
