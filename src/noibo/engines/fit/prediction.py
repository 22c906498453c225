"""What is said of a model on a machine, and how far memory speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from noibo.engines.fit.ask import Ask
from noibo.engines.llama_cpp.offload import Offload
from noibo.hardware.machine import Hardware

Verdict = Literal["runs well", "tight", "does not", "API only"]
BUDGET: Final = 0.75  # of the memory, as `memory.budget` has it


@dataclass(frozen=True, slots=True)
class Range:
    """What is expected, and between what it is to be expected."""

    middle: float
    low: float
    high: float

    @classmethod
    def around(cls, middle: float, spread: float) -> Range:
        return cls(middle, middle / (1 + spread), middle * (1 + spread))


@dataclass(frozen=True, slots=True)
class Fit:
    """What is said of an `Ask`. Bytes: `parts` by name as estimated, `memory` all of it corrected,
    of that `ram` in the machine's own memory and the rest on GPUs (`offload`). Speeds in tokens/s:
    `prefill` of a prompt that fills the context; `decode` for one caller with a full context,
    `decode_first` with an empty one, `decode_each` for each of all callers at once. None: not
    known. `kept` is the most that the state of idle conversations may take besides."""

    ask: Ask
    parts: tuple[tuple[str, int], ...]
    memory: Range
    ram: int
    offload: Offload = Offload()
    batch: int = 0
    prefill: Range | None = None
    decode: Range | None = None
    decode_first: Range | None = None
    decode_each: Range | None = None
    verdict: Verdict = "runs well"
    why: str = ""
    advice: tuple[str, ...] = ()
    kept: int = 0

    @property
    def together(self) -> float | None:
        """Tokens/s written for all callers at once."""
        return self.decode_each.middle * self.ask.parallel if self.decode_each else None

    @property
    def gpu_layers(self) -> int:
        """As llama.cpp counts them."""
        return self.offload.layers


def against(
    ram: int, spread: float, hardware: Hardware, budget: float
) -> tuple[Verdict, str] | None:
    """What speaks against so many bytes of the machine's memory, gravest first; None: nothing."""
    may, free = budget * hardware.memory_bytes, hardware.available_bytes
    wanted, highest = f"{gigabytes(ram)} are wanted of the memory", ram * (1 + spread)
    if ram > may:
        return "does not", f"{wanted}, and models may take {gigabytes(may)} of it here"
    if ram > free:
        return "tight", f"{wanted}, and {gigabytes(free)} are free now"
    if highest > may:
        most = f"up to {gigabytes(highest)} may be wanted"
        return "tight", f"{most}, and models may take {gigabytes(may)} here"
    return None


def gigabytes(size: float) -> str:
    """`1.2 GB`."""
    return f"{size / 1e9:.1f} GB"
