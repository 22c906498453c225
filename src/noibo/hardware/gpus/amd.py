"""AMD's cards: by `amd-smi` or `rocm-smi` where they are, else by the kernel's own files.

Neither tool's JSON has kept its keys from one version to the next, so they are looked for without
regard to case, and a size may be a number, a text, or an object with its unit. A GPU that is part
of the processor has a small memory of its own and takes the rest from the machine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from noibo.hardware.cards import known
from noibo.hardware.machine import Gpu
from noibo.hardware.system import System, parsed

VENDOR: Final = "0x1002"
_UNITS: Final = {"B": 1, "KB": 2**10, "MB": 2**20, "MIB": 2**20, "GB": 2**30, "GIB": 2**30}
_INTEGRATED: Final = re.compile(
    r"\b(?:Vega|Radeon(?:\(TM\))?|Radeon RX Vega) Graphics|\b\d{3}M\b|\b80[456]0S\b|"
    r"\[Radeon \d{3}M|Custom GPU|^AMD Radeon Graphics$|APU",
    re.IGNORECASE,
)
_SMALL: Final = 2**30  # a card of its own has more


def find(system: System, memory: int) -> tuple[list[Gpu], list[str]]:
    """The cards, and what could not be read of them."""
    cards = system.graphics(VENDOR)
    if not cards and not system.paths("dev/kfd"):
        return [], []
    driver = system.text("sys/module/amdgpu/version").strip()
    notes: list[str] = []
    for tool in (_by_amd_smi, _by_rocm_smi):
        found, problem = tool(system, driver)
        if found:
            return [_whole(gpu, cards, memory, system) for gpu in found], notes
        notes += [problem] if problem else []
    found = [gpu for card in cards if (gpu := _by_files(system, card, driver))]
    if cards and not found:
        notes.append("There is a GPU by AMD, but its memory could not be read.")
    return [_whole(gpu, cards, memory, system) for gpu in found], notes


def _by_amd_smi(system: System, driver: str) -> tuple[list[Gpu], str]:
    answer = system.run(("amd-smi", "static", "--asic", "--vram", "--driver", "--json"))
    if answer.absent:
        return [], ""
    rows = list(_listed(parsed(answer)))
    if not rows:
        return [], f"amd-smi could not be read{_why(answer.problem)}."
    usage = system.run(("amd-smi", "metric", "--mem-usage", "--json"))
    free = {
        str(row.get("gpu")): _size(_in(row, "mem_usage", "free_vram"))
        for row in _listed(parsed(usage))
    }
    found = []
    for row in rows:
        total = _size(_in(row, "vram", "size"))
        if total:
            name = _text(_in(row, "asic", "market_name")) or "AMD GPU"
            version = _text(_in(row, "driver", "version")) or driver
            found.append(Gpu(name, "amd", total, free.get(str(row.get("gpu"))), version))
    return found, "" if found else "amd-smi says no card's memory."


def _by_rocm_smi(system: System, driver: str) -> tuple[list[Gpu], str]:
    options = ("--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json")
    answer = system.run(("rocm-smi", *options))
    if answer.absent:
        return [], ""
    table = parsed(answer)
    if not isinstance(table, Mapping):
        return [], f"rocm-smi could not be read{_why(answer.problem)}."
    system_row = _lower(table.get("system"))
    version = _text(system_row.get("driver version")) or driver
    found = []
    for key, value in table.items():
        row = _lower(value)
        total = _size(row.get("vram total memory (b)"))
        if str(key).startswith("card") and total:
            used = _size(row.get("vram total used memory (b)"))
            free = total - used if used is not None and used <= total else None
            found.append(Gpu(_rocm_name(row), "amd", total, free, version))
    return found, "" if found else "rocm-smi says no card's memory."


def _rocm_name(row: Mapping[str, Any]) -> str:
    """Its name, where that is one and no number of the PCI bus."""
    for key in ("card series", "card model", "device name", "card sku"):
        name = _text(row.get(key))
        if name and not name.lower().startswith("0x"):
            return name
    return "AMD GPU"


def _by_files(system: System, card: str, driver: str) -> Gpu | None:
    total = system.number(f"{card}/mem_info_vram_total")
    if not total:
        return None
    used = system.number(f"{card}/mem_info_vram_used")
    named = system.text(f"{card}/product_name").strip()
    device = system.text(f"{card}/device").strip().removeprefix("0x")
    name = named or (f"AMD GPU ({device})" if device else "AMD GPU")
    free = total - used if used is not None and used <= total else None
    return Gpu(name, "amd", total, free, driver)


def _whole(gpu: Gpu, cards: list[str], memory: int, system: System) -> Gpu:
    """With the figures of a known card; one that is part of the processor may take more memory:
    what the kernel lets it have of the machine's (GTT)."""
    card = known(gpu.name, gpu.memory_bytes)
    shared = bool(_INTEGRATED.search(gpu.name)) or gpu.memory_bytes <= _SMALL
    total, free = gpu.memory_bytes, gpu.free_bytes
    if shared:
        tables = [system.number(f"{one}/mem_info_gtt_total") or 0 for one in cards]
        total = min(total + max(tables, default=0), max(memory, total))
        free = None
    return Gpu(
        gpu.name,
        "amd",
        total,
        free,
        gpu.driver,
        shared,
        card.bandwidth if card else None,
        card.flops if card else None,
    )


def _listed(table: Any) -> Iterator[Mapping[str, Any]]:
    """The rows, whether they are a list, or stand in an object under `gpu_data`."""
    if isinstance(table, Mapping):
        table = table.get("gpu_data", [])
    for row in table if isinstance(table, list) else []:
        if isinstance(row, Mapping):
            yield row


def _in(row: Mapping[str, Any], *names: str) -> Any:
    value: Any = row
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _lower(row: Any) -> dict[str, Any]:
    return {str(k).lower(): v for k, v in row.items()} if isinstance(row, Mapping) else {}


def _text(value: Any) -> str:
    said = value.strip() if isinstance(value, str) else ""
    return "" if said.upper() in {"N/A", "NONE", "UNKNOWN"} else said


def _size(value: Any) -> int | None:
    """Bytes of `16368`, `"17163091968"`, `{"value": 16368, "unit": "MB"}`; None of anything else.
    A bare number is in bytes, or in MiB where it would be no memory otherwise."""
    unit = 0
    if isinstance(value, Mapping):
        unit = _UNITS.get(str(value.get("unit", "")).upper(), 0)
        value = value.get("value")
    found = re.fullmatch(r"\s*(\d+)(?:\.\d+)?\s*([KMG]?i?B)?\s*", str(value), re.IGNORECASE)
    if found is None or isinstance(value, bool):
        return None
    number = int(found[1])
    unit = unit or (_UNITS.get(found[2].upper(), 1) if found[2] else 0)
    return number * (unit or (2**20 if 0 < number < 2**24 else 1))


def _why(problem: str) -> str:
    return f" ({problem})" if problem else ""
