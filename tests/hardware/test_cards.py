"""The table of known cards, and the many ways their names are written."""

from __future__ import annotations

import pytest

from noibo.hardware import cards, processors

GIB = 2**30


@pytest.mark.parametrize(
    ("name", "memory", "bandwidth"),
    [
        ("NVIDIA GeForce RTX 3060", 12288 * 2**20, 360),
        ("NVIDIA GeForce RTX 3060", 8192 * 2**20, 240),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 16376 * 2**20, 672),
        ("NVIDIA A100-SXM4-40GB", 40536 * 2**20, 1555),
        ("NVIDIA A100-SXM4-80GB", 81920 * 2**20, 2039),
        ("NVIDIA A100 80GB PCIe", 81920 * 2**20, 2039),
        ("NVIDIA H100 80GB HBM3", 81559 * 2**20, 3350),
        ("NVIDIA H100 PCIe", 81559 * 2**20, 2039),
        ("NVIDIA RTX A4000", 16376 * 2**20, 448),
        ("NVIDIA RTX 6000 Ada Generation", 49140 * 2**20, 960),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 97887 * 2**20, 1792),
        ("Quadro RTX 8000", 49152 * 2**20, 672),
        ("Tesla T4", 15360 * 2**20, 320),
        ("Radeon RX 7900 XTX", 25_753_026_560, 960),
        ("AMD Instinct MI300X OAM", 196592 * 2**20, 5300),
        ("Intel(R) Arc(TM) A770 Graphics", 16_225_243_136, 560),
        ("Apple M2 Max", 64 * GIB, 400),
        ("Apple M3 Max", 36 * GIB, 300),
        ("Apple M3 Max", 64 * GIB, 400),
    ],
)
def test_a_card_is_known_by_the_name_its_driver_gives(
    name: str, memory: int, bandwidth: float
) -> None:
    card = cards.known(name, memory)
    assert card is not None and card.bandwidth == bandwidth * 1e9


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("NVIDIA GeForce RTX 3060", 24 * GIB),
        ("NVIDIA GeForce RTX 3060 Mobile", 6 * GIB),
        ("NVIDIA GeForce RTX 3061", 12 * GIB),
        ("Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M", 24 * GIB),
        ("AMD GPU (744c)", 24 * GIB),
        ("Apple M2", 64 * GIB),
        ("", 24 * GIB),
    ],
)
def test_what_is_not_certain_is_not_known(name: str, memory: int) -> None:
    assert cards.known(name, memory) is None


def test_a_number_alone_is_the_one_card_that_has_it() -> None:
    assert cards.by_name("3090")[0].name == "RTX 3090"
    assert cards.by_name("7900 XTX")[0].name == "RX 7900 XTX"
    assert cards.by_name("A4000")[0].name == "RTX A4000"
    assert cards.by_name("m2")[0].name == "M2"


def test_no_two_rows_are_of_one_card_and_one_memory() -> None:
    for made in cards.table().values():
        sizes = [card.memory_bytes for card in made]
        assert len(set(sizes)) == len(sizes), made[0].name
        assert len({card.name for card in made}) == 1


def test_figures_are_those_of_cards_and_not_off_by_a_thousand() -> None:
    for made in cards.table().values():
        for card in made:
            assert 60e9 <= card.bandwidth <= 10e12, card.name
            assert card.flops is None or 2e12 <= card.flops <= 3e15, card.name
            assert 3 * GIB <= card.memory_bytes <= 512 * GIB, card.name


@pytest.mark.parametrize(
    "name", ["AMD Ryzen 9 7950X", "ryzen 7950x", "7950X", "Ryzen 9 7950X 16-Core Processor"]
)
def test_processors_by_what_people_call_them(name: str) -> None:
    found = processors.by_name(name.replace("16-Core ", ""))
    assert found is not None and found.cores == 16


def test_a_processor_is_never_a_card() -> None:
    for one in processors.table().values():
        assert not cards.by_name(one.name), one.name


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("NVIDIA GeForce GTX 1080 Ti", cards.PASCAL),
        ("Tesla P40", cards.PASCAL),
        ("Tesla P100-PCIE-16GB", cards.PASCAL),
        ("Tesla V100-SXM2-32GB", cards.VOLTA),
        ("Tesla T4", cards.TURING),
        ("NVIDIA GeForce GTX 1660 SUPER", cards.TURING),
        ("NVIDIA A100-SXM4-40GB", cards.TURING),
        ("NVIDIA GeForce RTX 2070 with Max-Q Design", cards.TURING),
        ("NVIDIA GeForce GTX 980", None),
        ("Quadro P4000", None),
        ("Radeon RX 7900 XTX", None),
        ("Apple M2 Max", None),
    ],
)
def test_the_generation_of_a_card_goes_by_its_name(name: str, least: float | None) -> None:
    assert cards.compute(name) == least


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("i5-12400F", "Intel Core i5-12400"),
        ("Intel Core i5 12400F", "Intel Core i5-12400"),
        ("i5-13600KF", "Intel Core i5-13600K"),
    ],
)
def test_a_processor_without_graphics_is_the_same(name: str, same: str) -> None:
    found = processors.by_name(name)
    assert found is not None and found.name == same


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Ryzen 5 5600G", "AMD Ryzen 5 5600"),
        ("i7-12700", "Intel Core i7-12700K"),
        ("i7-12700F", "Intel Core i7-12700K"),
        ("Ryzen 7 5800X3D", "AMD Ryzen 7 5800X"),
        ("Ryzen 9 7951X", None),
        ("Radeon 890M", None),
        ("7900", None),
    ],
)
def test_a_processor_of_other_last_letters_is_alike(name: str, near: str | None) -> None:
    assert processors.by_name(name) is None
    found = processors.alike(name)
    assert (found and found.name) == near
