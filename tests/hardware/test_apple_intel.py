"""Apple's and Intel's GPUs, from what their systems say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noibo.hardware.gpus import apple, gpus, intel, suspected
from noibo.hardware.system import Answer, System
from tests.hardware.machines import machine

GIB = 2**30
M2_MAX = {
    "SPDisplaysDataType": [
        {
            "_name": "Apple M2 Max",
            "spdisplays_mtlgpufamilysupport": "spdisplays_metal3",
            "spdisplays_vendor": "sppci_vendor_Apple",
            "sppci_bus": "spdisplays_builtin",
            "sppci_cores": "38",
            "sppci_model": "Apple M2 Max",
        }
    ]
}


def mac(root: Path, profile: str | Answer, limit: str = "0", kind: str = "arm64") -> System:
    tools = {
        "system_profiler": profile,
        "sysctl -n iogpu.wired_limit_mb": f"{limit}\n",
        "sysctl -n machdep.cpu.brand_string": "Apple M2 Max\n",
        "sw_vers": "15.3\n",
    }
    return machine(root, tools=tools, platform="darwin", kind=kind)


def test_a_chip_may_take_three_quarters_of_the_memory(tmp_path: Path) -> None:
    ((gpu,), notes) = apple.find(mac(tmp_path, json.dumps(M2_MAX)), 64 * GIB)
    assert (gpu.name, gpu.vendor, gpu.shared_memory) == ("Apple M2 Max", "apple", True)
    assert (gpu.memory_bytes, gpu.bandwidth, gpu.driver) == (48 * GIB, 400e9, "macOS 15.3")
    assert notes == []


def test_a_limit_that_was_set_holds(tmp_path: Path) -> None:
    ((gpu,), _) = apple.find(mac(tmp_path, json.dumps(M2_MAX), "57344"), 64 * GIB)
    assert gpu.memory_bytes == 56 * GIB


def test_a_small_machine_gives_two_thirds() -> None:
    assert apple.usable(16 * GIB) == 16 * GIB * 2 // 3


@pytest.mark.parametrize("said", ["", "garbage", "[]", '{"SPDisplaysDataType": null}'])
def test_a_chip_is_known_by_its_name_where_the_profiler_says_nothing(
    tmp_path: Path, said: str
) -> None:
    ((gpu,), _) = apple.find(mac(tmp_path, said), 32 * GIB)
    assert gpu.name == "Apple M2 Max"


def test_an_old_macs_card(tmp_path: Path) -> None:
    row = {
        "sppci_model": "AMD Radeon Pro 5500M",
        "spdisplays_vendor": "sppci_vendor_amd",
        "spdisplays_vram": "8 GB",
    }
    profile = json.dumps({"SPDisplaysDataType": [row]})
    ((gpu,), _) = apple.find(mac(tmp_path, profile, kind="x86_64"), 32 * GIB)
    assert (gpu.vendor, gpu.memory_bytes, gpu.shared_memory) == ("amd", 8 * GIB, False)


def test_a_mac_without_a_gpu_that_can_be_read_is_a_line(tmp_path: Path) -> None:
    _, notes = apple.find(mac(tmp_path, Answer(problem="it hangs"), kind="x86_64"), GIB)
    assert "it hangs" in notes[0]


def card(device: str, driver: str, **more: str) -> dict[str, str]:
    folder = "sys/class/drm/card0/device"
    files = {f"{folder}/vendor": "0x8086\n", f"{folder}/device": f"{device}\n"}
    files[f"{folder}/uevent"] = f"DRIVER={driver}\nPCI_ID=8086:X\n"
    return files | {f"{folder}/{name}": text for name, text in more.items()}


def test_a_card_by_the_driver_xe(tmp_path: Path) -> None:
    files = card("0xe20b", "xe", **{"tile0/physical_vram_size_bytes": f"{12 * GIB}\n"})
    ((gpu,), _) = intel.find(machine(tmp_path, files), 32 * GIB)
    assert (gpu.name, gpu.memory_bytes, gpu.driver) == ("Intel Arc B580", 12 * GIB, "xe")
    assert gpu.bandwidth == 456e9


@pytest.mark.parametrize(
    ("number", "file"),
    [("0x56b0", "device/tile0/physical_vram_size_bytes"), ("0x4905", "lmem_total_bytes")],
)
def test_a_card_whose_number_is_not_known_is_one_by_its_memory(
    tmp_path: Path, number: str, file: str
) -> None:
    files = card(number, "i915") | {f"sys/class/drm/card0/{file}": f"{4 * GIB}\n"}
    ((gpu,), notes) = intel.find(machine(tmp_path, files), 32 * GIB)
    assert (gpu.shared_memory, gpu.memory_bytes, notes) == (False, 4 * GIB, [])
    assert number.removeprefix("0x") in gpu.name


def test_numbers_longer_than_can_be_read_stop_nothing(tmp_path: Path) -> None:
    files = card("0xe20b", "xe", **{"tile0/physical_vram_size_bytes": "9" * 5000})
    cell = '"' + "x" * 200_000 + '"'
    tools = {"nvidia-smi": f"name, memory.total [MiB], memory.free [MiB]\n{cell}, 1, 1\n"}
    found, notes = gpus(machine(tmp_path, files, tools), 32 * GIB)
    assert [gpu.vendor for gpu in found] == ["intel"]  # by its name there is only one
    assert any("by NVIDIA" in note for note in notes)


def test_a_card_made_with_two_memories_is_left_out_where_nobody_tells_which(tmp_path: Path) -> None:
    cards, notes = intel.find(machine(tmp_path, card("0x56a0", "i915")), 32 * GIB)
    assert cards == []
    assert "nothing here tells its memory" in notes[0]


def test_by_xpu_smi(tmp_path: Path) -> None:
    listing = {"device_list": [{"device_id": 0, "device_name": "Intel(R) Arc(TM) A770 Graphics"}]}
    one = {
        "device_name": "Intel(R) Arc(TM) A770 Graphics",
        "driver_version": "I915_24.2.1",
        "memory_physical_size_byte": "16225243136",
        "memory_free_size_byte": "16000000000",
    }
    tools = {
        "xpu-smi discovery -j": json.dumps(listing),
        "xpu-smi discovery -d 0 -j": json.dumps(one),
    }
    ((gpu,), _) = intel.find(machine(tmp_path, card("0x56a0", "i915"), tools), 32 * GIB)
    assert (gpu.memory_bytes, gpu.free_bytes) == (16225243136, 16000000000)
    assert (gpu.driver, gpu.bandwidth) == ("I915_24.2.1", 560e9)


@pytest.mark.parametrize(
    "said", ["", "Error: XPUM Service Status Error", "{}", '{"device_list": 3}']
)
def test_xpu_smi_may_say_what_it_likes(tmp_path: Path, said: str) -> None:
    files = card("0xe20b", "xe", **{"tile0/physical_vram_size_bytes": f"{12 * GIB}\n"})
    ((gpu,), _) = intel.find(machine(tmp_path, files, {"xpu-smi": said}), 32 * GIB)
    assert gpu.memory_bytes == 12 * GIB


def test_what_is_part_of_a_processor_takes_the_machines_memory(tmp_path: Path) -> None:
    ((gpu,), _) = intel.find(machine(tmp_path, card("0xa7a0", "i915")), 32 * GIB)
    assert (gpu.shared_memory, gpu.memory_bytes) == (True, 16 * GIB)


def test_cards_come_before_what_shares_the_memory(tmp_path: Path) -> None:
    files = card("0xa7a0", "i915") | {
        "sys/class/drm/card1/device/vendor": "0x1002\n",
        "sys/class/drm/card1/device/mem_info_vram_total": f"{8 * GIB}\n",
    }
    found, _ = gpus(machine(tmp_path, files), 64 * GIB)
    assert [gpu.vendor for gpu in found] == ["amd", "intel"]


def test_on_windows_it_is_said_what_is_looked_for(tmp_path: Path) -> None:
    _, notes = gpus(machine(tmp_path, platform="win32", kind="AMD64"), 32 * GIB)
    assert notes == ["On Windows only NVIDIA's cards are looked for."]


@pytest.mark.parametrize(
    ("vendor", "may_be"), [("0x8086", True), ("0x1002", True), ("0x1234", False)]
)
def test_a_virtual_screen_is_no_sign_of_a_gpu(tmp_path: Path, vendor: str, may_be: bool) -> None:
    files = {"sys/class/drm/card0/device/vendor": f"{vendor}\n"}
    assert suspected(machine(tmp_path, files)) is may_be
