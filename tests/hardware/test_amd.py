"""AMD's cards: both tools in several versions' JSON, and the kernel's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noibo.hardware.gpus import amd
from noibo.hardware.machine import Gpu
from noibo.hardware.system import Answer
from tests.hardware.machines import machine

GIB = 2**30
XTX = 25_753_026_560  # bytes, as the driver says of a 24 GB card
FILES = {
    "sys/class/drm/card1/device/vendor": "0x1002\n",
    "sys/class/drm/card1/device/device": "0x744c\n",
    "sys/class/drm/card1/device/mem_info_vram_total": f"{XTX}\n",
    "sys/class/drm/card1/device/mem_info_vram_used": "27975680\n",
    "sys/class/drm/card1/device/mem_info_gtt_total": f"{16 * GIB}\n",
    "sys/module/amdgpu/version": "6.7.0\n",
}
ROCM = {
    "card0": {
        "Card Series": "Radeon RX 7900 XTX",
        "Card Model": "0x744c",
        "VRAM Total Memory (B)": str(XTX),
        "VRAM Total Used Memory (B)": "27975680",
    },
    "system": {"Driver version": "6.8.5"},
}


def found(root: Path, **tools: Any) -> tuple[list[Gpu], list[str]]:
    said = {
        name.replace("_", "-"): text if isinstance(text, str | Answer) else json.dumps(text)
        for name, text in tools.items()
    }
    return amd.find(machine(root, FILES, said), 32 * GIB)


def test_by_the_kernels_files_alone(tmp_path: Path) -> None:
    ((card,), notes) = found(tmp_path)
    assert (card.vendor, card.memory_bytes, card.driver) == ("amd", XTX, "6.7.0")
    assert card.free_bytes == XTX - 27975680
    assert "744c" in card.name
    assert notes == []


def test_by_rocm_smi(tmp_path: Path) -> None:
    ((card,), _) = found(tmp_path, rocm_smi=ROCM)
    assert (card.name, card.memory_bytes, card.driver) == ("Radeon RX 7900 XTX", XTX, "6.8.5")
    assert (card.bandwidth, card.shared_memory) == (960e9, False)


def test_by_rocm_smi_of_an_older_version(tmp_path: Path) -> None:
    row = {"Card series": "Instinct MI210", "vram total memory (b)": str(68702699520)}
    text = "WARNING: AMD GPU device(s) is/are in a low-power state.\n" + json.dumps({"card0": row})
    ((card,), _) = found(tmp_path, rocm_smi=text)
    assert (card.name, card.free_bytes, card.bandwidth) == ("Instinct MI210", None, 1638e9)


def amd_smi(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"amd_smi": list(rows)}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("size", [{"value": 196592, "unit": "MB"}, 196592, "196592 MB"])
def test_by_amd_smi(tmp_path: Path, size: Any, wrapped: bool) -> None:
    row = {
        "gpu": 0,
        "asic": {"market_name": "AMD Instinct MI300X", "vendor_id": "0x1002"},
        "vram": {"type": "HBM3", "size": size},
        "driver": {"name": "amdgpu", "version": "6.10.5"},
    }
    usage = {"gpu": 0, "mem_usage": {"free_vram": {"value": 196000, "unit": "MB"}}}
    tools = {
        "amd-smi static --asic --vram --driver --json": [row],
        "amd-smi metric --mem-usage --json": [usage],
    }
    said = {k: json.dumps({"gpu_data": v} if wrapped else v) for k, v in tools.items()}
    ((card,), _) = amd.find(machine(tmp_path, FILES, said), 32 * GIB)
    assert card.memory_bytes == 196592 * 2**20
    assert card.free_bytes == 196000 * 2**20
    assert (card.driver, card.bandwidth) == ("6.10.5", 5300e9)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "garbage",
        "[]",
        "{}",
        '{"card0": "N/A"}',
        '[{"gpu": 0, "vram": "N/A"}]',
        "[1, null]",
        "{",
    ],
)
def test_tools_that_say_nonsense_leave_the_kernels_word(tmp_path: Path, said: str) -> None:
    ((card,), notes) = found(tmp_path, amd_smi=said, rocm_smi=said)
    assert card.memory_bytes == XTX
    assert notes and all("\n" not in note for note in notes)


def test_a_gpu_that_is_part_of_the_processor_takes_the_machines_memory(tmp_path: Path) -> None:
    row = {
        "Card Series": "Rembrandt [Radeon 680M]",
        "VRAM Total Memory (B)": str(512 * 2**20),
        "VRAM Total Used Memory (B)": "482263040",
    }
    ((card,), _) = found(tmp_path, rocm_smi={"card0": row})
    assert card.shared_memory
    assert card.memory_bytes == 512 * 2**20 + 16 * GIB


def test_without_a_card_of_its_nothing_is_asked(tmp_path: Path) -> None:
    assert amd.find(machine(tmp_path, {}, {"rocm-smi": json.dumps(ROCM)}), GIB) == ([], [])


def test_a_card_whose_memory_nobody_tells_is_a_line(tmp_path: Path) -> None:
    files = {"sys/class/drm/card0/device/vendor": "0x1002\n"}
    cards, notes = amd.find(machine(tmp_path, files), 32 * GIB)
    assert cards == [] and "could not be read" in notes[0]
