"""NVIDIA's cards, by `nvidia-smi`.

A query prints CSV under a heading. What it cannot tell stands there in brackets (`[N/A]`,
`[Insufficient Permissions]`); machines whose GPU shares the memory (Jetson, GB10) say no memory.
A card in MIG mode cannot be used whole: its instances are listed apart, by profile (`3g.20gb`).
"""

from __future__ import annotations

import csv
import re
from typing import Final

from noibo.hardware.cards import compute, known
from noibo.hardware.machine import Gpu
from noibo.hardware.system import System

MIB: Final = 2**20
GIB: Final = 2**30
_BASIC: Final = ("name", "memory.total", "memory.free", "driver_version")
_SHARED: Final = re.compile(r"\b(GB10|Orin|Thor|Xavier|Tegra)\b")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:[.,\s\u202f\u00a0]\d{3})+")
_INSTANCE: Final = re.compile(r"^\s+MIG\s+(\S*?(\d+)gb\S*)\s+Device", re.IGNORECASE)
_CARD: Final = re.compile(r"^GPU \d+: (.+?) \(UUID", re.IGNORECASE)


def find(system: System, memory: int) -> tuple[list[Gpu], list[str]]:
    """The cards, and what could not be read of them."""
    answer = system.run(_query(*_BASIC, "mig.mode.current"))
    if answer.problem and not answer.absent:
        older = system.run(_query(*_BASIC))  # a driver from before MIG refuses the whole query
        answer = answer if older.problem else older
    if answer.absent:
        return [], _without_tool(system)
    if "No devices were found" in answer.text:
        return [], []
    if answer.problem:
        return [], [f"NVIDIA's cards could not be asked: {answer.problem}."]
    rows = _rows(answer.text)
    if not rows:
        return [], ["NVIDIA's cards could not be read: nvidia-smi answered no table."]
    found: list[Gpu] = []
    notes: list[str] = []
    if any(row.get("mig.mode.current", "").lower() == "enabled" for row in rows):
        found += _instances(system, rows[0].get("driver_version", ""))
        if not found:
            notes.append("A card is in MIG mode, and has no instance that could be used.")
    for row in rows:
        if row.get("mig.mode.current", "").lower() == "enabled":
            continue
        gpu = _card(row, memory)
        if isinstance(gpu, Gpu):
            found.append(gpu)
        else:
            notes.append(gpu)
    return found, notes


def _query(*columns: str) -> tuple[str, ...]:
    return ("nvidia-smi", f"--query-gpu={','.join(columns)}", "--format=csv,nounits")


def _rows(text: str) -> list[dict[str, str]]:
    """The table's rows by heading, without units; lines of warnings around it are no rows."""
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if line.strip().startswith("name,")), None)
    if start is None:
        return []
    reader = csv.reader(lines[start:], skipinitialspace=True)
    heading = [cell.partition("[")[0].strip() for cell in next(reader)]
    rows = [[cell.strip() for cell in row] for row in reader]
    return [dict(zip(heading, row, strict=False)) for row in rows if len(row) > 1 and row[0]]


def _card(row: dict[str, str], memory: int) -> Gpu | str:
    name, driver = row["name"], _plain(row.get("driver_version", ""))
    total, free = mebibytes(row.get("memory.total", "")), mebibytes(row.get("memory.free", ""))
    shared = bool(_SHARED.search(name))
    if total is None and shared:
        total, free = memory, None
    if not total:
        said = row.get("memory.total") or "nothing"
        return f"{name} was left out: nvidia-smi says {said[:40]!r} of its memory."
    card = known(name, total)
    return Gpu(
        name,
        "nvidia",
        total,
        free if free is not None and free <= total else None,
        driver,
        shared,
        card.bandwidth if card else None,
        card.flops if card else None,
        compute(name),
    )


def mebibytes(text: str) -> int | None:
    """Bytes of a number of MiB, whatever stands between its thousands; None for anything else."""
    text = text.strip().removesuffix("MiB").strip()
    if _THOUSANDS.fullmatch(text):
        text = re.sub(r"\D", "", text)
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return round(number * MIB) if 0 <= number < 1e9 else None


def _instances(system: System, driver: str) -> list[Gpu]:
    """The parts of cards in MIG mode, each a GPU of its own."""
    found, card = [], "NVIDIA GPU"
    for line in system.run(("nvidia-smi", "-L")).text.splitlines():
        if named := _CARD.match(line):
            card = named[1]
        elif part := _INSTANCE.match(line):
            size = int(part[2]) * GIB
            name = f"{card} MIG {part[1]}"
            own = compute(card)
            found.append(Gpu(name, "nvidia", size, driver=_plain(driver), compute=own))
    return found


def _plain(text: str) -> str:
    """A value, without what stands in brackets in place of one."""
    return "" if text.startswith("[") else text


def _without_tool(system: System) -> list[str]:
    if system.paths("dev/nvidia[0-9]*"):
        return ["There is an NVIDIA card, but nvidia-smi, which tells of it, is not here."]
    if on_the_bus(system):
        return ["There is an NVIDIA card, but its driver is not installed."]
    return []


def on_the_bus(system: System) -> bool:
    """A display or 3D controller of NVIDIA's among the PCI devices."""
    for kind in system.paths("sys/bus/pci/devices/*/class"):
        folder = "/" + str(kind.parent.relative_to(system.root))
        is_display = system.text(f"{folder}/class").startswith("0x03")
        if is_display and system.text(f"{folder}/vendor").strip() == "0x10de":
            return True
    return False
