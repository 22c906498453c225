"""Known processors, for machines that are described in words. A short list: what people have.

The bandwidth is of all its memory channels as the maker says it; a copy reaches about four fifths.
Arithmetic is cores × clock × 32 operations in single precision (16 on ARM), of which as much is
reached.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

from noibo.hardware.machine import Cpu

REACHED: Final = 0.8


@dataclass(frozen=True, slots=True)
class Processor:
    """One processor. `bandwidth` and `flops` are what a program reaches, a second."""

    name: str
    cores: int
    threads: int
    bandwidth: float
    flops: float

    def cpu(self, cores: int | None = None) -> Cpu:
        """It as part of a machine, with `cores` of its own where that was said."""
        cores = cores or self.cores
        return Cpu(self.name, cores, round(self.threads * cores / self.cores))


# name, cores, threads, GB/s, GHz on all cores
_ROWS: Final = (
    ("AMD Ryzen 5 3600", 6, 12, 51.2, 4.0),
    ("AMD Ryzen 7 3700X", 8, 16, 51.2, 4.0),
    ("AMD Ryzen 5 5600", 6, 12, 51.2, 4.2),
    ("AMD Ryzen 5 5600X", 6, 12, 51.2, 4.3),
    ("AMD Ryzen 7 5700X", 8, 16, 51.2, 4.2),
    ("AMD Ryzen 7 5800X", 8, 16, 51.2, 4.4),
    ("AMD Ryzen 9 5900X", 12, 24, 51.2, 4.2),
    ("AMD Ryzen 9 5950X", 16, 32, 51.2, 4.0),
    ("AMD Ryzen 5 7600", 6, 12, 83.2, 4.6),
    ("AMD Ryzen 5 7600X", 6, 12, 83.2, 4.9),
    ("AMD Ryzen 7 7700X", 8, 16, 83.2, 4.9),
    ("AMD Ryzen 7 7800X3D", 8, 16, 83.2, 4.5),
    ("AMD Ryzen 9 7900X", 12, 24, 83.2, 4.8),
    ("AMD Ryzen 9 7950X", 16, 32, 83.2, 4.8),
    ("AMD Ryzen 7 7840HS", 8, 16, 89.6, 4.2),
    ("AMD Ryzen 5 9600X", 6, 12, 89.6, 4.9),
    ("AMD Ryzen 7 9700X", 8, 16, 89.6, 4.6),
    ("AMD Ryzen 9 9900X", 12, 24, 89.6, 4.8),
    ("AMD Ryzen 9 9950X", 16, 32, 89.6, 4.7),
    ("AMD Ryzen Threadripper 7970X", 32, 64, 166.4, 4.4),
    ("AMD EPYC 7302", 16, 32, 204.8, 3.1),
    ("AMD EPYC 7763", 64, 128, 204.8, 2.8),
    ("AMD EPYC 9654", 96, 192, 460.8, 3.2),
    ("Intel Core i5-8250U", 4, 8, 38.4, 2.6),
    ("Intel Core i7-8700", 6, 12, 42.7, 4.0),
    ("Intel Core i5-10400", 6, 12, 42.7, 3.9),
    ("Intel Core i7-10700", 8, 16, 46.9, 4.2),
    ("Intel Core i5-1135G7", 4, 8, 51.2, 3.2),
    ("Intel Core i7-1165G7", 4, 8, 51.2, 3.4),
    ("Intel Core i5-12400", 6, 12, 76.8, 4.0),
    ("Intel Core i7-12700K", 12, 20, 76.8, 4.0),
    ("Intel Core i9-12900K", 16, 24, 76.8, 4.1),
    ("Intel Core i5-1240P", 12, 16, 76.8, 2.4),
    ("Intel Core i7-1260P", 12, 16, 76.8, 2.6),
    ("Intel Core i5-13400", 10, 16, 76.8, 3.8),
    ("Intel Core i5-13600K", 14, 20, 89.6, 4.2),
    ("Intel Core i7-13700K", 16, 24, 89.6, 4.3),
    ("Intel Core i9-13900K", 24, 32, 89.6, 4.4),
    ("Intel Core i5-14600K", 14, 20, 89.6, 4.3),
    ("Intel Core i7-14700K", 20, 28, 89.6, 4.3),
    ("Intel Core i9-14900K", 24, 32, 89.6, 4.4),
    ("Intel Core Ultra 7 155H", 16, 22, 89.6, 3.2),
    ("Intel Core Ultra 9 285K", 24, 24, 102.4, 4.6),
    ("Intel Xeon E5-2680 v4", 14, 28, 76.8, 2.8),
    ("Intel Xeon Gold 6248", 20, 40, 140.8, 2.6),
    ("Intel Xeon Platinum 8480+", 56, 112, 307.2, 2.8),
    ("Raspberry Pi 5", 4, 4, 17.1, 2.4),
)
# Of chips that are sold with more and with fewer, the most.
APPLE_CORES: Final = {
    "M1": 8,
    "M1 Pro": 10,
    "M1 Max": 10,
    "M1 Ultra": 20,
    "M2": 8,
    "M2 Pro": 12,
    "M2 Max": 12,
    "M2 Ultra": 24,
    "M3": 8,
    "M3 Pro": 12,
    "M3 Max": 16,
    "M3 Ultra": 32,
    "M4": 10,
    "M4 Pro": 14,
    "M4 Max": 16,
    "M5": 10,
}
# What is meant where no processor is named; said whenever it is used.
ORDINARY: Final = Processor("ordinary processor", 8, 16, 51.2e9 * REACHED, 8 * 3.5 * 32e9 * REACHED)
_NOISE: Final = re.compile(
    r"\((?:r|tm)\)|\b(?:amd|intel|core|ryzen|threadripper|epyc|xeon|gold|silver|platinum|cpu|"
    r"processor|raspberry)\b",
    re.IGNORECASE,
)
# Endings: of what is the same without graphics, and of what differs in its clock or its cache.
_NO_GRAPHICS: Final = re.compile(r"i[3579]\d{4,5}k?f$")
_VARIANT: Final = re.compile(r"(?<=\d)(?:kf|ks|k|f|ge|gt|g|t|x3d|x)$")


def key(name: str) -> str:
    """What tells a processor from the others, without what stands around it."""
    name = re.sub(r"\bryzen\s+[3579]\b", " ", name, flags=re.IGNORECASE)
    return "".join(re.findall(r"[a-z0-9+]+", _NOISE.sub(" ", name).casefold()))


@functools.cache
def table() -> dict[str, Processor]:
    """Every known processor by its key."""
    made = {}
    for name, cores, threads, rate, clock in _ROWS:
        lanes = 16e9 if name.startswith("Raspberry") else 32e9
        flops = cores * clock * lanes * REACHED
        made[key(name)] = Processor(name, cores, threads, rate * 1e9 * REACHED, flops)
    return made


def by_name(name: str) -> Processor | None:
    """The processor of that name; of Intel's without graphics (F), the same with them."""
    known, wanted = table(), key(name)
    return known.get(wanted) or (known.get(wanted[:-1]) if _NO_GRAPHICS.search(wanted) else None)


def alike(name: str) -> Processor | None:
    """One that differs from the named in its last letters alone (5600G: 5600; i7-12700: i7-12700K)
    and is about as fast."""
    if not re.search(r"[a-z]", name, re.IGNORECASE):
        return None  # a bare number may be anything's
    known, bare = table(), _VARIANT.sub("", key(name))
    return next((known[bare + tail] for tail in ("", "k", "x") if bare + tail in known), None)


def of_chip(chip: str, bandwidth: float, *, apple: bool) -> Processor:
    """The processor of a chip whose memory is its GPU's too."""
    cores = APPLE_CORES[chip] if apple else 16
    name = f"Apple {chip}" if apple else f"processor of the {chip}"
    return Processor(name, cores, cores, bandwidth * REACHED, cores * 1e11)
