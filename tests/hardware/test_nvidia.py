"""NVIDIA's cards, from what nvidia-smi prints, also when all is not well."""

from __future__ import annotations

from pathlib import Path

import pytest

from noibo.hardware.gpus import nvidia
from noibo.hardware.machine import Gpu
from noibo.hardware.system import Answer, System
from tests.hardware.machines import machine

GIB, MIB = 2**30, 2**20
WITH_MIG = (
    "nvidia-smi --query-gpu=name,memory.total,memory.free,driver_version,mig.mode.current "
    "--format=csv,nounits"
)
WITHOUT_MIG = (
    "nvidia-smi --query-gpu=name,memory.total,memory.free,driver_version --format=csv,nounits"
)
HEADING = "name, memory.total [MiB], memory.free [MiB], driver_version, mig.mode.current\n"


def saying(root: Path, *rows: str, heading: str = HEADING) -> System:
    return machine(root, tools={WITH_MIG: heading + "\n".join(rows) + "\n"})


def found(system: System, memory: int = 64 * GIB) -> tuple[list[Gpu], list[str]]:
    return nvidia.find(system, memory)


def test_a_card_with_memory_driver_and_the_makers_figures(tmp_path: Path) -> None:
    row = "NVIDIA GeForce RTX 3060, 12288, 11907, 550.54.14, [N/A]"
    ((card,), notes) = found(saying(tmp_path, row))
    assert (card.name, card.vendor, card.driver) == (
        "NVIDIA GeForce RTX 3060",
        "nvidia",
        "550.54.14",
    )
    assert (card.memory_bytes, card.free_bytes) == (12 * GIB, 11907 * MIB)
    assert card.bandwidth == 360e9
    assert notes == []


def test_two_cards_of_different_kinds(tmp_path: Path) -> None:
    rows = (
        "NVIDIA GeForce RTX 4090, 24564, 23028, 570.86.10, [N/A]",
        "NVIDIA GeForce RTX 3060, 12288, 12000, 570.86.10, [N/A]",
    )
    cards, _ = found(saying(tmp_path, *rows))
    assert [round(card.memory_bytes / GIB) for card in cards] == [24, 12]
    assert cards[0].bandwidth == 1008e9


def test_a_laptops_card_is_not_taken_for_the_desktops(tmp_path: Path) -> None:
    row = "NVIDIA GeForce RTX 3060 Laptop GPU, 6144, 5996, 535.183.01, [N/A]"
    ((card,), _) = found(saying(tmp_path, row))
    assert card.bandwidth == 336e9


def test_a_card_that_is_not_known_has_no_made_up_figures(tmp_path: Path) -> None:
    ((card,), _) = found(saying(tmp_path, "NVIDIA RTX 9999, 24576, 24000, 600.1, [N/A]"))
    assert (card.bandwidth, card.flops) == (None, None)


@pytest.mark.parametrize("free", ["[N/A]", "[Insufficient Permissions]", "ERR!", "", "99999999"])
def test_free_memory_that_cannot_be_read_is_not_known(tmp_path: Path, free: str) -> None:
    row = f"NVIDIA GeForce RTX 3060, 12288, {free}, [Insufficient Permissions], [N/A]"
    ((card,), notes) = found(saying(tmp_path, row))
    assert (card.free_bytes, card.driver) == (None, "")
    assert card.usable_bytes == 12 * GIB
    assert notes == []


@pytest.mark.parametrize("total", ["[N/A]", "[Unknown Error]", "[Insufficient Permissions]", ""])
def test_a_card_without_memory_is_left_out_with_a_line(tmp_path: Path, total: str) -> None:
    good = "NVIDIA GeForce RTX 3090, 24576, 24000, 550.1, [N/A]"
    cards, notes = found(saying(tmp_path, f"NVIDIA X, {total}, [N/A], 550.1, [N/A]", good))
    assert [card.name for card in cards] == ["NVIDIA GeForce RTX 3090"]
    assert len(notes) == 1 and "NVIDIA X was left out" in notes[0] and "\n" not in notes[0]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("12288", 12288),
        ("12288 MiB", 12288),
        ("24.576", 24576),
        ("24\u202f576", 24576),
        ("24 576", 24576),
        ("12288.0", 12288),
    ],
)
def test_numbers_as_other_languages_write_them(text: str, size: int) -> None:
    assert nvidia.mebibytes(text) == size * MIB


@pytest.mark.parametrize("text", ["", "[N/A]", "nan", "-5", "1e99", "twelve"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert nvidia.mebibytes(text) is None


def test_a_driver_that_knows_no_mig_is_asked_again_without(tmp_path: Path) -> None:
    refusal = 'Field "mig.mode.current" is not a valid field to query.\n'
    heading = "name, memory.total [MiB], memory.free [MiB], driver_version\n"
    tools = {
        WITH_MIG: Answer(refusal, "nvidia-smi failed with 2: not a valid field"),
        WITHOUT_MIG: heading + "Tesla P40, 22919, 22900, 418.226.00\n",
    }
    ((card,), notes) = found(machine(tmp_path, tools=tools))
    assert (card.driver, notes) == ("418.226.00", [])
    assert (card.bandwidth, card.compute) == (347e9, 6.0)


def test_instances_of_a_card_in_mig_mode_are_listed_instead_of_it(tmp_path: Path) -> None:
    listing = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5f8)
  MIG 3g.20gb     Device  0: (UUID: MIG-1a)
  MIG 1g.5gb      Device  1: (UUID: MIG-1b)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-6a1)
"""
    rows = (
        "NVIDIA A100-SXM4-40GB, 40960, [Insufficient Permissions], 550.1, Enabled",
        "NVIDIA A100-SXM4-40GB, 40960, 40300, 550.1, Disabled",
    )
    tools = {WITH_MIG: HEADING + "\n".join(rows), "nvidia-smi -L": listing}
    cards, _ = found(machine(tmp_path, tools=tools))
    assert sorted(card.memory_bytes // GIB for card in cards) == [5, 20, 40]
    assert {card.compute for card in cards} == {7.5}


def test_a_card_in_mig_mode_without_instances_is_a_line(tmp_path: Path) -> None:
    row = "NVIDIA A100-SXM4-40GB, 40960, [N/A], 550.1, Enabled"
    cards, notes = found(saying(tmp_path, row))
    assert cards == [] and "MIG mode" in notes[0]


def test_where_the_gpu_shares_the_memory_it_is_the_machines(tmp_path: Path) -> None:
    row = "NVIDIA GB10, [N/A], [N/A], 580.95.05, [N/A]"
    ((card,), _) = found(saying(tmp_path, row), memory=128 * GIB)
    assert (card.memory_bytes, card.shared_memory, card.bandwidth) == (128 * GIB, True, 273e9)


def test_missing_columns_and_lines_of_warnings_break_nothing(tmp_path: Path) -> None:
    text = (
        "WARNING: infoROM is corrupted at gpu 0000:01:00.0\nname, memory.total [MiB]\nL4, 23034\n"
    )
    ((card,), _) = found(machine(tmp_path, tools={WITH_MIG: text}))
    assert (card.name, card.free_bytes, card.driver) == ("L4", None, "")


@pytest.mark.parametrize(
    "text", ["", "\x00\xff garbage", "name,", "<html>", "name, memory.total\n"]
)
def test_nonsense_is_a_line(tmp_path: Path, text: str) -> None:
    cards, notes = found(machine(tmp_path, tools={"nvidia-smi": text}))
    assert cards == []
    assert len(notes) == 1


def test_a_tool_that_fails_is_a_line_with_its_last_words(tmp_path: Path) -> None:
    said = "nvidia-smi failed with 9: couldn't communicate with the NVIDIA driver"
    cards, notes = found(machine(tmp_path, tools={"nvidia-smi": Answer("", said)}))
    assert cards == [] and "couldn't communicate" in notes[0]


def test_a_driver_without_a_card_is_no_news(tmp_path: Path) -> None:
    answer = Answer("No devices were found\n", "nvidia-smi failed with 6: No devices were found")
    assert found(machine(tmp_path, tools={"nvidia-smi": answer})) == ([], [])


def test_a_card_without_its_driver_is_told(tmp_path: Path) -> None:
    files = {
        "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
        "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
        "sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",  # its sound
        "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n",
    }
    cards, notes = found(machine(tmp_path, files))
    assert cards == [] and "its driver is not installed" in notes[0]


def test_without_card_and_tool_nothing_is_said(tmp_path: Path) -> None:
    assert found(machine(tmp_path)) == ([], [])
