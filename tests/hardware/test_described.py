"""Machines in words: what is understood, what is assumed and said, and what is refused."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest

from noibo.errors import UsageError
from noibo.hardware import cards
from noibo.hardware.described import described
from noibo.hardware.processors import APPLE_CORES

GIB = 2**30


def said(text: str) -> tuple[list[tuple[str, int]], int]:
    """The GPUs with their GiB, and the machine's GiB."""
    found = described(text)
    return [(gpu.name, gpu.memory_bytes // GIB) for gpu in found.gpus], found.memory_bytes // GIB


@pytest.mark.parametrize(
    ("text", "gpus", "memory"),
    [
        ("RTX 3060 12GB, 32GB", [("RTX 3060", 12)], 32),
        ("rtx3060 12 GB, 32 GB", [("RTX 3060", 12)], 32),
        ("RTX 3060 12Gb, 32Gb", [("RTX 3060", 12)], 32),
        ("RTX 3060 12GiB; 32GiB RAM", [("RTX 3060", 12)], 32),
        ("RTX 3060 12GB 32GB", [("RTX 3060", 12)], 32),
        ("32GB + RTX 3060 12GB", [("RTX 3060", 12)], 32),
        ("RTX 3060, 12GB VRAM, 32GB", [("RTX 3060", 12)], 32),
        ("RTX 3060 12GB, 12GB VRAM, 32GB", [("RTX 3060", 12)], 32),
        ("RTX 3060 8GB, 16GB", [("RTX 3060", 8)], 16),
        ("NVIDIA GeForce RTX 3060 12GB, 32GB DDR4", [("RTX 3060", 12)], 32),
        ("2x RTX 3090, 64GB", [("RTX 3090", 24)] * 2, 64),
        ("2 x RTX 3090 24GB, 64GB", [("RTX 3090", 24)] * 2, 64),
        ("2 RTX 4090 và 128GB", [("RTX 4090", 24)] * 2, 128),
        ("RTX 3090 + RTX 3060 12GB, 64GB", [("RTX 3090", 24), ("RTX 3060", 12)], 64),
        ("A100 40GB, 128GB", [("A100", 40)], 128),
        ("A4000, 64GB", [("RTX A4000", 16)], 64),
        ("RX 7900 XTX, 64GB", [("RX 7900 XTX", 24)], 64),
        ("M2 Max 64GB", [("Apple M2 Max", 48)], 64),
        ("MacBook Pro M2 Max, 64GB", [("Apple M2 Max", 48)], 64),
        ("64GB, M2 Max", [("Apple M2 Max", 48)], 64),
        ("M2 16GB", [("Apple M2", 10)], 16),
        ("Ryzen 9 7950X, 64GB", [], 64),
        ("CPU 16GB", [], 16),
        ("16GB", [], 16),
        ("GPU 24GB, 64GB", [("GPU 24 GB", 24)], 64),
        ("12GB VRAM, 32GB RAM", [("GPU 12 GB", 12)], 32),
        ("2x 16GB", [], 32),
        ("RTX 3060 12GB, 2x 16GB RAM", [("RTX 3060", 12)], 32),
        ("RTX 3060 12G, 32G", [("RTX 3060", 12)], 32),
    ],
)
def test_what_is_understood(text: str, gpus: list[tuple[str, int]], memory: int) -> None:
    assert said(text) == (gpus, memory)


def test_a_card_comes_with_its_makers_figures_and_the_processor_with_its_own() -> None:
    found = described("Ryzen 9 7950X, RTX 4090, 64GB")
    assert found.gpus[0].bandwidth == 1008e9
    assert (found.gpus[0].flops or 0) > 100e12
    assert (found.cpu.name, found.cpu.cores, found.cpu.threads) == ("AMD Ryzen 9 7950X", 16, 32)
    assert found.bandwidth == pytest.approx(83.2e9 * 0.8)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RTX 4090", "No memory was named"),
        ("RTX 4090, 64GB", "No processor was named: 8 cores"),
        ("4060 Ti, 32GB", "comes with 8 GB or 16 GB: 8 GB is assumed"),
        ("M2 Max", "comes with 32 GB or 64 GB or 96 GB: 32 GB is assumed"),
        ("RTX 4070 Ti 16GB, 64GB", "it is the RTX 4070 Ti Super, which is taken"),
        ("GPU 24GB, 64GB", "one as fast as the RTX 3090 is assumed"),
        ("6 cores, 16GB", "6 cores and"),
        ("8 vCPU", "8 cores and"),
        ("Ryzen 5 5600G, 32GB", "Ryzen 5 5600G is taken to be as fast as the AMD Ryzen 5 5600"),
        ("RTX 3060, 12GB", "12 GB is taken to be the RTX 3060's own memory"),
        ("RTX 3060, 12GB", "No memory was named"),
        ("RTX 4060 Ti, 16GB", "for the machine's, write `16 GB RAM`"),
        ("16GB, RTX 4080", "16 GB is taken to be the machine's memory"),
        ("RTX 3060 12GB, 32GB, 500GB", "500 GB is taken to be the disk"),
    ],
)
def test_what_is_assumed_is_said(text: str, words: str) -> None:
    assert words in " ".join(described(text).notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("M2 64GB", "M2 Max 64 GB"),
        ("RTX 3060 24GB", "has 8 GB or 12 GB, not 24 GB"),
        ("RTX 3061, 32GB", "`RTX 3060`"),
        ("Ryzen 9 7951X, 32GB", "`AMD Ryzen 9 7950X`"),
        ("RTX 3060 12GB 12GB", "said twice"),
        ("RTX 3090, 64GB, 32GB", "said twice, 64 GB and 32 GB"),
        ("M2 Max 64GB, 32GB", "said twice, 64 GB and 32 GB"),
        ("2x M2 Max 64GB", "no other GPU"),
        ("2x EPYC 7763, 64GB", "2 processors is not reckoned with"),
        ("2 CPU Xeon Gold 6248, 64GB", "2 processors is not reckoned with"),
        ("GPU: RTX 4070 Ti 16GB hoặc A4000, 64GB", "one or another"),
        ("laptop RTX 3050, 16GB", "The RTX 3050 of a laptop is not known"),
        ("RTX 3060 12GB, 16GB, 64GB", "said twice, 16 GB and 64 GB"),
        ("không có GPU", "neither a card nor a memory"),
        ("0 cores, 16GB", "no number of cores"),
        ("Radeon 890M, 32GB", "'Radeon 890M'"),
        ("banana", "no card or processor"),
        ("RTX 3060 12GB, 32 parsecs", "'32 parsecs'"),
        ("0x RTX 3090, 32GB", "0 cards"),
        ("99x RTX 3090, 32GB", "at most 16"),
        ("999999TB", "no memory that a machine has"),
        ("0GB", "no memory that a machine has"),
        ("", "neither a card nor a memory"),
        (", ,", "neither a card nor a memory"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        described(text)
    assert words in str(caught.value)
    assert "RTX 3060 12GB, 32GB" in caught.value.next_step


def test_lines_of_a_list_of_parts_are_a_machine_too() -> None:
    found = described("RTX 3060 12GB, 32GB RAM, 500GB SSD, 8 nhân")
    assert (found.cpu.cores, found.memory_bytes) == (8, 32 * GIB)
    assert found.disk is not None and found.disk.free_bytes == 500 * GIB


def test_every_chip_of_apples_has_its_own_cores() -> None:
    chips = {one.name for made in cards.table().values() for one in made if one.vendor == "apple"}
    assert chips == set(APPLE_CORES)
    assert [described(f"{chip} 64GB").cpu.cores for chip in ("M2 Max", "M4 Pro")] == [12, 14]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("text", "gpus", "memory"),
    [
        ("RAM 32 GB DDR4 3200", [], 32),
        ("RAM 16GB bus 3200", [], 16),
        ("DDR5-5600 2x16GB", [], 32),
        ("16GB x2", [], 32),
        ("2 thanh 8GB", [], 16),
        ("i5-12400F 2.5GHz, 16GB", [], 16),
        ("2 card RTX 3090, 64GB", [("RTX 3090", 24)] * 2, 64),
        ("RTX 3090 x2, 64GB", [("RTX 3090", 24)] * 2, 64),
        ("RTX 3090x2 24GB, 64GB", [("RTX 3090", 24)] * 2, 64),
        ("GPU: 2x RTX 4090, RAM: 128GB", [("RTX 4090", 24)] * 2, 128),
        ("card đồ họa rời RTX 3060 12GB, 32GB", [("RTX 3060", 12)], 32),
        ("card đồ hoạ rời RTX 3060 12GB, 32GB", [("RTX 3060", 12)], 32),
        ("card do hoa roi RTX 3060 12GB va 32GB", [("RTX 3060", 12)], 32),
        ("VGA RTX 3060 12GB, bộ nhớ 32GB", [("RTX 3060", 12)], 32),
        ("không có GPU, RAM 16GB", [], 16),
        ("khong co card do hoa roi, RAM 16GB", [], 16),
        ("không GPU, 16GB", [], 16),
        ("no GPU, 16GB", [], 16),
        ("GPU: không có, RAM: 16GB", [], 16),
        ("laptop 16GB RAM", [], 16),
        ("máy tính xách tay RTX 4060 8GB, 16GB", [("RTX 4060 Laptop", 8)], 16),
        ("RTX 4060 Laptop 8GB, 16GB", [("RTX 4060 Laptop", 8)], 16),
        ("PC, máy tính RTX 3060 12GB, 32GB", [("RTX 3060", 12)], 32),
        ("8 vCPU, 32GB", [], 32),
        ("12,0GB", [], 12),
        ("RTX 3060 12,0GB, 32,0 GB", [("RTX 3060", 12)], 32),
        ("RX 580,8GB,16GB", [("RX 580", 8)], 16),
        ("MacBook Pro 14 M3 Pro 18GB", [("Apple M3 Pro", 12)], 18),
        ("MacBook Pro 16-inch M1 Max 64GB", [("Apple M1 Max", 48)], 64),
        ("RTX 3060, 12GB, 32GB", [("RTX 3060", 12)], 32),
        ("12GB, RTX 3060, RAM 32GB", [("RTX 3060", 12)], 32),
        ("RTX 4060 Ti, 16GB", [("RTX 4060 Ti", 16)], 32),
        ("16GB, RTX 4080", [("RTX 4080", 16)], 16),
        ("RTX 3060 12GB RAM 32GB", [("RTX 3060", 12)], 32),
        ("RTX 3060 12GB GDDR6, 32GB", [("RTX 3060", 12)], 32),
        ("H100 80GB HBM3, 512GB", [("H100", 80)], 512),
    ],
)
def test_what_people_type(
    text: str, gpus: list[tuple[str, int]], memory: int, form: Literal["NFC", "NFD"]
) -> None:
    assert said(unicodedata.normalize(form, text)) == (gpus, memory)


@pytest.mark.parametrize(
    ("text", "memory", "disk"),
    [
        ("RTX 3060 12GB, 32GB, 500GB", 32, 500),
        ("RTX 3060 12GB 32GB 1TB", 32, 1024),
        ("RTX 3060 12GB, 500GB, RAM 32GB", 32, 500),
        ("MacBook Air M2 16GB 512GB", 16, 512),
        ("i5-12400F 16GB 512GB", 16, 512),
        ("RTX 3060 12GB 32GB RAM 512GB SSD", 32, 512),
        ("RTX 3060 12GB 32GB SSD 512GB", 32, 512),
        ("512GB SSD 16GB RAM", 16, 512),
        ("RAM 16GB SSD 512GB", 16, 512),
        ("RAM 16GB SSD 512GB HDD 1TB", 16, 1536),
        ("16GB DDR4 3200 SSD 512GB", 16, 512),
        ("16GB, ổ cứng 256GB", 16, 256),
        ("16GB, Storage: 1TB NVMe SSD", 16, 1024),
        ("16GB, 500GB Samsung 980 SSD", 16, 500),
        ("16GB, SSD", 16, None),
    ],
)
def test_a_disk_is_no_memory(text: str, memory: int, disk: int | None) -> None:
    found = described(text)
    assert found.memory_bytes == memory * GIB
    assert (found.disk and found.disk.free_bytes) == (disk and disk * GIB)


def test_a_disks_words_hide_no_card() -> None:
    with pytest.raises(UsageError, match="RTX 3060 Samsung"):
        described("RTX 3060 Samsung SSD 512GB")


@pytest.mark.parametrize(
    "text",
    [
        "GPU: RTX 3060 12GB hoặc tương đương\nRAM: 32GB\nStorage: 500GB SSD\nCPU: 8 cores",
        "CPU 8 nhân 16 luồng, VGA RTX 3060 12GB, RAM 32GB bus 3200, SSD 500GB",
    ],
)
def test_a_list_of_parts_as_it_is_written_in_a_shop_or_a_plan(text: str) -> None:
    found = described(text)
    assert [gpu.name for gpu in found.gpus] == ["RTX 3060"]
    assert (found.cpu.cores, found.cpu.threads, found.memory_bytes) == (8, 16, 32 * GIB)
    assert found.disk is not None and found.disk.free_bytes == 500 * GIB


def test_a_card_that_is_described_has_its_generation() -> None:
    assert [gpu.compute for gpu in described("GPU 24GB + V100 16GB, 64GB").gpus] == [7.5, 7.0]
