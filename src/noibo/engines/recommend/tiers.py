"""Which tier of hardware a machine is of, by the memory of its GPUs: minimum, recommended, optimal.

12, 24 and 40 GB are where local assistants change what they can be: a 7–14B model whole on the
card; up to 32B in four bits; up to 70B, or 20–32B without quantisation to speak of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from noibo.hardware.machine import Gpu, Hardware

GIB: Final = 2**30
_ALMOST: Final = 0.93  # drivers keep some of what is on the box


@dataclass(frozen=True, slots=True)
class Tier:
    """`gpu_bytes` at least. `example` is a machine of it, as it can be described."""

    name: str
    gpu_bytes: int
    example: str
    good_for: str


TIERS: Final = (
    Tier("below minimum", 0, "CPU 16GB", "models of up to 4B, or a mixture with few active"),
    Tier("minimum", 12 * GIB, "RTX 3060 12GB, 32GB", "7–14B in 4 to 8 bits, whole on the card"),
    Tier("recommended", 24 * GIB, "RTX 3090, 64GB", "up to 32B in 4 bits, 14B in 8"),
    Tier("optimal", 40 * GIB, "A100 40GB, 128GB", "32B in 8 bits, 70B in 4, many callers"),
)


def tier_of(hardware: Hardware) -> Tier:
    """The highest tier it reaches."""
    memory = sum(gpu.memory_bytes for gpu in hardware.gpus if _counts(gpu))
    return max(
        (tier for tier in TIERS if memory >= _ALMOST * tier.gpu_bytes),
        key=lambda tier: tier.gpu_bytes,
    )


def next_tier(tier: Tier) -> Tier | None:
    """The one above; None above the highest."""
    above = [one for one in TIERS if one.gpu_bytes > tier.gpu_bytes]
    return min(above, key=lambda one: one.gpu_bytes, default=None)


def _counts(gpu: Gpu) -> bool:
    """Memory that a GPU shares counts where it is fast: Apple's, NVIDIA's."""
    return not gpu.shared_memory or gpu.vendor in {"apple", "nvidia"}
