"""A machine as fit and recommend see it: values only, measured or described.

Memory is in bytes, rates are in bytes a second and in floating-point operations a second. `None`
is said where nothing was measured or known: nothing here stands for a guess.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

Vendor = Literal["nvidia", "amd", "apple", "intel"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card. `free_bytes` is what no other program holds now. `bandwidth` and `flops` (dense,
    half precision) are the maker's figures from the table of known cards, not measured; so is
    `compute`, NVIDIA's compute capability, at least."""

    name: str
    vendor: Vendor
    memory_bytes: int
    free_bytes: int | None = None
    driver: str = ""
    shared_memory: bool = False  # it has none of its own: what it takes, the machine's memory gives
    bandwidth: float | None = None
    flops: float | None = None
    compute: float | None = None

    @property
    def usable_bytes(self) -> int:
        """What a model could take of it now; all of it where nobody says what is free."""
        return self.memory_bytes if self.free_bytes is None else self.free_bytes


@dataclass(frozen=True, slots=True)
class Cpu:
    """`cores` are those that can be used at the same time by this process; `threads` as many as the
    system runs on them. `instructions` are the sets that ran in a child process, `listed` those
    that the system names."""

    name: str
    cores: int
    threads: int
    instructions: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()

    @property
    def broken(self) -> tuple[str, ...]:
        """Sets that the system names and that do not run all the same."""
        return tuple(one for one in self.listed if one not in self.instructions)


@dataclass(frozen=True, slots=True)
class Disk:
    """Where models are kept. `read_rate` is of a file that was not in memory."""

    path: str
    free_bytes: int
    read_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """A whole machine. Memory is the container's where that has a limit. `bandwidth` counts bytes
    read and bytes written, `flops` is of a matrix product in single precision on all cores.

    `notes` says in one line each what could not be read or measured.
    """

    cpu: Cpu
    memory_bytes: int
    available_bytes: int
    bandwidth: float | None = None
    flops: float | None = None
    gpus: tuple[Gpu, ...] = ()
    disk: Disk | None = None
    notes: tuple[str, ...] = ()

    @property
    def gpu_kinds(self) -> list[str]:
        """Its GPUs as people write them: `2x RTX 3090 24 GB`."""
        kinds = Counter(f"{gpu.name} {gpu.memory_bytes / 2**30:.0f} GB" for gpu in self.gpus)
        return [f"{count}x {name}" if count > 1 else name for name, count in kinds.items()]

    @property
    def cards(self) -> tuple[Gpu, ...]:
        """GPUs that have memory of their own."""
        return tuple(gpu for gpu in self.gpus if not gpu.shared_memory)
