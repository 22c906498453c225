"""Machines that models are fitted to."""

from __future__ import annotations

from noibo.hardware.machine import Cpu, Gpu, Hardware

GB = 10**9
CPU = Cpu("a processor", cores=8, threads=16)


def machine(
    gigabytes: float = 32,
    *gpus: Gpu,
    bandwidth: float | None = 50e9,
    flops: float | None = 800e9,
    free: float | None = None,
) -> Hardware:
    """A processor of eight cores with so much memory."""
    available = int((gigabytes if free is None else free) * GB)
    return Hardware(CPU, int(gigabytes * GB), available, bandwidth, flops, gpus)


def card(gigabytes: float, name: str = "RTX 3060") -> Gpu:
    return Gpu(name, "nvidia", int(gigabytes * GB), bandwidth=360e9, flops=50e12)


def apple(gigabytes: float) -> Gpu:
    size = int(gigabytes * GB)
    return Gpu("Apple M2", "apple", size, shared_memory=True, bandwidth=100e9, flops=7e12)
