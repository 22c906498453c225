"""Known GPUs: memory, bandwidth, arithmetic. The makers' figures, of which programs reach a part.

Arithmetic is dense, in half precision with sums in single (on GeForce cards that is half of the
number on the box). Memory is in GiB as it is sold (a 12 GB card has 12 GiB), of Apple's chips the
machine's whole memory. Where a card was made with several, each is a `Card` of its own.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

from noibo.hardware.machine import Gpu, Vendor

GIB: Final = 2**30
_Row = tuple[str, tuple[int, ...], float, float | None]


@dataclass(frozen=True, slots=True)
class Card:
    """One card with one memory. `bandwidth` in bytes/s, `flops` in operations/s; `compute` is
    NVIDIA's compute capability, at least."""

    name: str
    vendor: Vendor
    memory_bytes: int
    bandwidth: float
    flops: float | None
    shared_memory: bool = False
    compute: float | None = None

    def gpu(self) -> Gpu:
        """It as part of a machine."""
        return Gpu(
            self.name,
            self.vendor,
            self.memory_bytes,
            shared_memory=self.shared_memory,
            bandwidth=self.bandwidth,
            flops=self.flops,
            compute=self.compute,
        )


# Compute capability of NVIDIA's generations, at least: what engines name what they run on by.
PASCAL: Final = 6.0
VOLTA: Final = 7.0
TURING: Final = 7.5
# name, GiB it was made with, GB/s, Tflop/s
_PASCAL: Final[tuple[_Row, ...]] = (
    ("GTX 1050 Ti", (4,), 112, 2.1),
    ("GTX 1060", (6, 3), 192, 4.4),
    ("GTX 1070", (8,), 256, 6.5),
    ("GTX 1070 Ti", (8,), 256, 8.2),
    ("GTX 1080", (8,), 320, 8.9),
    ("GTX 1080 Ti", (11,), 484, 11.3),
    ("P40", (24,), 347, 11.8),
    ("P100", (16, 12), 732, 18.7),
)
_VOLTA: Final[tuple[_Row, ...]] = (("V100", (16, 32), 900, 125),)
_NVIDIA: Final[tuple[_Row, ...]] = (  # Turing and later
    ("GTX 1650", (4,), 128, 6.0),
    ("GTX 1660", (6,), 192, 10.0),
    ("GTX 1660 Super", (6,), 336, 10.0),
    ("GTX 1660 Ti", (6,), 288, 10.9),
    ("RTX 2060", (6, 12), 336, 25.8),
    ("RTX 2060 Super", (8,), 448, 28.7),
    ("RTX 2070", (8,), 448, 29.9),
    ("RTX 2070 Super", (8,), 448, 36.3),
    ("RTX 2080", (8,), 448, 40.3),
    ("RTX 2080 Super", (8,), 496, 44.6),
    ("RTX 2080 Ti", (11,), 616, 53.8),
    ("TITAN RTX", (24,), 672, 130.5),
    ("RTX 3050", (8,), 224, 18.2),
    ("RTX 3050", (6,), 168, 13.5),
    ("RTX 3060", (12,), 360, 25.5),
    ("RTX 3060", (8,), 240, 25.5),
    ("RTX 3060 Ti", (8,), 448, 32.4),
    ("RTX 3070", (8,), 448, 40.6),
    ("RTX 3070 Ti", (8,), 608, 43.5),
    ("RTX 3080", (10,), 760, 59.5),
    ("RTX 3080", (12,), 912, 61.3),
    ("RTX 3080 Ti", (12,), 912, 68.2),
    ("RTX 3090", (24,), 936, 71.2),
    ("RTX 3090 Ti", (24,), 1008, 80.0),
    ("RTX 4060", (8,), 272, 30.2),
    ("RTX 4060 Ti", (8, 16), 288, 44.1),
    ("RTX 4070", (12,), 504, 58.3),
    ("RTX 4070 Super", (12,), 504, 71.0),
    ("RTX 4070 Ti", (12,), 504, 80.2),
    ("RTX 4070 Ti Super", (16,), 672, 88.2),
    ("RTX 4080", (16,), 717, 97.5),
    ("RTX 4080 Super", (16,), 736, 104.4),
    ("RTX 4090", (24,), 1008, 165.2),
    ("RTX 5050", (8,), 320, 26.3),
    ("RTX 5060", (8,), 448, 38.4),
    ("RTX 5060 Ti", (8, 16), 448, 47.4),
    ("RTX 5070", (12,), 672, 61.7),
    ("RTX 5070 Ti", (16,), 896, 87.9),
    ("RTX 5080", (16,), 960, 112.6),
    ("RTX 5090", (32,), 1792, 209.5),
    ("RTX 3060 Laptop", (6,), 336, 21.8),
    ("RTX 3070 Laptop", (8,), 448, 31.8),
    ("RTX 3080 Laptop", (8, 16), 448, 38.0),
    ("RTX 4050 Laptop", (6,), 192, 18.0),
    ("RTX 4060 Laptop", (8,), 256, 29.1),
    ("RTX 4070 Laptop", (8,), 256, 36.0),
    ("RTX 4080 Laptop", (12,), 432, 54.0),
    ("RTX 4090 Laptop", (16,), 576, 72.0),
    ("T4", (16,), 320, 65),
    ("A2", (16,), 200, 18),
    ("A10", (24,), 600, 125),
    ("A10G", (24,), 600, 70),
    ("A30", (24,), 933, 165),
    ("A40", (48,), 696, 149.7),
    ("A100", (40,), 1555, 312),
    ("A100", (80,), 2039, 312),
    ("L4", (24,), 300, 121),
    ("L40", (48,), 864, 181),
    ("L40S", (48,), 864, 362),
    ("H100", (80,), 3350, 989),
    ("H100 PCIe", (80,), 2039, 756),
    ("H100 NVL", (94,), 3900, 835),
    ("H200", (141,), 4800, 989),
    ("B200", (180,), 8000, 2250),
    ("GB10", (128,), 273, 125),
    ("RTX A2000", (6, 12), 288, 32),
    ("RTX A4000", (16,), 448, 76.7),
    ("RTX A4500", (20,), 640, 94.6),
    ("RTX A5000", (24,), 768, 111),
    ("RTX A6000", (48,), 768, 154.8),
    ("RTX 2000 Ada", (16,), 224, 48),
    ("RTX 4000 Ada", (20,), 360, 107),
    ("RTX 4500 Ada", (24,), 432, 158),
    ("RTX 5000 Ada", (32,), 576, 261),
    ("RTX 6000 Ada", (48,), 960, 364),
    ("RTX PRO 6000", (96,), 1792, 503),
    ("Quadro RTX 5000", (16,), 448, 89),
    ("Quadro RTX 6000", (24,), 672, 130.5),
    ("Quadro RTX 8000", (48,), 672, 130.5),
)
_AMD: Final[tuple[_Row, ...]] = (
    ("RX 580", (8, 4), 256, 6.2),
    ("RX 5700 XT", (8,), 448, 19.5),
    ("RX 6600", (8,), 224, 17.9),
    ("RX 6600 XT", (8,), 256, 21.2),
    ("RX 6700 XT", (12,), 384, 26.4),
    ("RX 6750 XT", (12,), 432, 26.6),
    ("RX 6800", (16,), 512, 32.3),
    ("RX 6800 XT", (16,), 512, 41.5),
    ("RX 6900 XT", (16,), 512, 46.1),
    ("RX 6950 XT", (16,), 576, 47.3),
    ("RX 7600", (8,), 288, 43.5),
    ("RX 7600 XT", (16,), 288, 45.1),
    ("RX 7700 XT", (12,), 432, 70.3),
    ("RX 7800 XT", (16,), 624, 74.7),
    ("RX 7900 GRE", (16,), 576, 92.0),
    ("RX 7900 XT", (20,), 800, 103.0),
    ("RX 7900 XTX", (24,), 960, 122.8),
    ("RX 9060 XT", (8, 16), 320, 103),
    ("RX 9070", (16,), 640, 145),
    ("RX 9070 XT", (16,), 640, 195),
    ("AI PRO R9700", (32,), 640, 191),
    ("PRO W6800", (32,), 512, 35.7),
    ("PRO W7800", (32,), 576, 90.5),
    ("PRO W7900", (48,), 864, 122.6),
    ("MI50", (16, 32), 1024, 26.5),
    ("MI100", (32,), 1229, 184.6),
    ("MI210", (64,), 1638, 181),
    ("MI300X", (192,), 5300, 1307),
    ("MI325X", (256,), 6000, 1307),
    ("8060S", (32, 64, 96, 128), 256, 59),
)
_INTEL: Final[tuple[_Row, ...]] = (
    ("Arc A310", (4,), 124, None),
    ("Arc A380", (6,), 186, 33),
    ("Arc A580", (8,), 512, 98),
    ("Arc A750", (8,), 512, 115),
    ("Arc A770", (16,), 560, 138),
    ("Arc A770", (8,), 512, 138),
    ("Arc B570", (10,), 380, 102),
    ("Arc B580", (12,), 456, 117),
    ("Arc Pro B50", (16,), 224, 85),
    ("Arc Pro B60", (24,), 456, 98),
    ("Data Center GPU Flex 170", (16,), 576, 125),
    ("Data Center GPU Max 1100", (48,), 1229, 352),
    ("Data Center GPU Max 1550", (128,), 3277, 839),
)
_APPLE: Final[tuple[_Row, ...]] = (
    ("M1", (8, 16), 68, 2.6),
    ("M1 Pro", (16, 32), 200, 5.2),
    ("M1 Max", (32, 64), 400, 10.4),
    ("M1 Ultra", (64, 128), 800, 20.8),
    ("M2", (8, 16, 24), 100, 3.6),
    ("M2 Pro", (16, 32), 200, 6.8),
    ("M2 Max", (32, 64, 96), 400, 13.6),
    ("M2 Ultra", (64, 128, 192), 800, 27.2),
    ("M3", (8, 16, 24), 100, 3.6),
    ("M3 Pro", (18, 36), 150, 6.4),
    ("M3 Max", (36, 96), 300, 10.6),
    ("M3 Max", (48, 64, 128), 400, 14.2),
    ("M3 Ultra", (96, 256, 512), 819, 28.4),
    ("M4", (16, 24, 32), 120, 4.3),
    ("M4 Pro", (24, 48, 64), 273, 8.6),
    ("M4 Max", (36,), 410, 14.7),
    ("M4 Max", (48, 64, 128), 546, 18.4),
    ("M5", (16, 24, 32), 153, None),
)
_SHARED: Final = frozenset({"GB10", "8060S"})
# Words around a card's name that do not tell which it is. `pcie` does, of the H100 alone.
_NOISE: Final = re.compile(
    r"nvidia|geforce|amd|ati|radeon|intel|arc|apple|quadro|tesla|instinct|graphics|gpu|card|series|"
    r"generation|blackwell|workstation|server|edition|data|center|chip|oam|vf|hbm\d\w?|sxm\d|r|tm|"
    r"with|advanced|micro|devices|inc"
)
_AMOUNT: Final = re.compile(r"\b\d+\s*gi?b\b", re.IGNORECASE)
_FAMILIES: Final = ("", "rtx", "rx", "gtx", "pro", "quadrortx")


def key(name: str) -> str:
    """What is left of a card's name when all that others write around it is gone."""
    words = re.findall(r"[a-z0-9+]+", _AMOUNT.sub(" ", name.casefold()))
    return "".join(word for word in words if not _NOISE.fullmatch(word))


@functools.cache
def table() -> dict[str, tuple[Card, ...]]:
    """Every known card under its key, one for each memory it was made with."""
    made: dict[str, list[Card]] = {}
    parts: tuple[tuple[Vendor, tuple[_Row, ...], float | None], ...] = (
        ("nvidia", _PASCAL, PASCAL),
        ("nvidia", _VOLTA, VOLTA),
        ("nvidia", _NVIDIA, TURING),
        ("amd", _AMD, None),
        ("intel", _INTEL, None),
        ("apple", _APPLE, None),
    )
    for vendor, rows, generation in parts:
        for name, sizes, bandwidth, tflops in rows:
            shared = vendor == "apple" or name in _SHARED
            flops = tflops * 1e12 if tflops else None
            made.setdefault(key(name), []).extend(
                Card(name, vendor, size * GIB, bandwidth * 1e9, flops, shared, generation)
                for size in sizes
            )
    return {name: tuple(cards) for name, cards in made.items()}


def by_name(name: str) -> tuple[Card, ...]:
    """The cards of a name, whatever stands around it; of a bare number, where it is one card's."""
    wanted = key(name)
    for plain in (wanted, wanted.replace("pcie", "")):
        found = [cards for family in _FAMILIES if (cards := table().get(family + plain))]
        if plain and found:
            return found[0]
    return ()


def known(name: str, memory_bytes: int) -> Card | None:
    """The card of that name with about so much memory: drivers keep up to a tenth for themselves.
    None for one that is not known, or not with that memory."""
    near = [card for card in by_name(name) if _about(card.memory_bytes, memory_bytes)]
    return min(near, key=lambda card: abs(card.memory_bytes - memory_bytes), default=None)


def _about(one: int, other: int) -> bool:
    return 0.88 * one <= other <= 1.07 * one


def compute(name: str) -> float | None:
    """NVIDIA's compute capability of a card, at least, by its name; None where that does not tell
    it. An RTX that is not known is of a generation that is."""
    if found := by_name(name):
        return found[0].compute
    return TURING if re.search(r"\brtx\b", name, re.IGNORECASE) else None
