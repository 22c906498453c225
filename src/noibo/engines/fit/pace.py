"""Tokens a second, from the work of a token and what the machine can do.

To write a token, a machine reads its bytes and computes with them at the same time, and the slower
of both counts; each layer costs a moment besides, in which the cores wait for each other. Only a
few rows are multiplied at a time, far below what a machine does with large matrices. To read a
prompt takes operations, and for each batch of it all weights are read once. What a machine reaches
of that in practice is learned from what it did; before that, it is the part that was usual.

Layers on a GPU and layers beside it take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from noibo.engines.fit.speeds import Seen
from noibo.engines.fit.work import Work
from noibo.engines.llama_cpp.adapter import GPU_READING
from noibo.engines.memory.correction import Learned, Sample, learn
from noibo.hardware.machine import Gpu, Hardware

# Parts of what was measured of large matrices and long copies that llama.cpp reaches (docs/fit.md).
READING: Final = 0.25  # of operations, with a batch of a prompt
WRITING: Final = 0.2  # of operations, with a row for each caller
COPYING: Final = 0.8  # of bytes
GPU_COPYING: Final = 0.65  # of the maker's figure
A_LAYER: Final = 0.2e-3  # seconds, with a processor
GPU_A_LAYER: Final = 0.03e-3
DOUBT: Final = 0.5
BOUNDS: Final = 0.1, 10.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What one part of a machine does in a second: bytes, and operations when it reads a prompt
    and when it writes; None where that is not known. `a_layer`: seconds that each layer costs
    besides."""

    bytes: float | None
    reading: float | None
    writing: float | None
    a_layer: float = A_LAYER


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the layers, and what runs them."""

    share: float
    rates: Rates


def usable(hardware: Hardware) -> tuple[Gpu, ...]:
    """GPUs that layers are put on: cards, else what shares the memory and is fast all the same."""
    shared = tuple(gpu for gpu in hardware.gpus if gpu.vendor in {"apple", "nvidia"})
    return hardware.cards or shared


def of_processor(hardware: Hardware) -> Rates:
    """The processor with the machine's memory."""
    speed, flops = hardware.bandwidth, hardware.flops
    return Rates(
        speed * COPYING if speed else None,
        flops * READING if flops else None,
        flops * WRITING if flops else None,
    )


def of_gpu(gpu: Gpu) -> Rates:
    """One card: so many rows are multiplied at a time that operations do not bound writing."""
    return Rates(
        gpu.bandwidth * GPU_COPYING if gpu.bandwidth else None,
        gpu.flops * GPU_READING if gpu.flops else None,
        gpu.flops * GPU_READING if gpu.flops else float("inf"),
        GPU_A_LAYER,
    )


def writing(work: Work, parts: Sequence[Part]) -> float | None:
    """Tokens/s that each caller gets when all of the step's callers are answered; None where the
    speed of a part is not known."""
    seconds = 0.0
    for part in parts:
        speed, flops = part.rates.bytes, part.rates.writing
        if not speed or not flops:
            return None
        slower = max(work.bytes / speed, work.flops / flops)
        seconds += part.share * (slower + work.layers * part.rates.a_layer)
    return 1 / seconds if seconds else None


def reading(work: Work, parts: Sequence[Part], batch: int = 0) -> float | None:
    """Prompt tokens/s, so many of them at a time: for those `work` has the weights that are read.
    0: as if weights were read for nothing."""
    seconds = 0.0
    for part in parts:
        if not part.rates.reading:
            return None
        token = work.prompt / part.rates.reading
        if batch and part.rates.bytes:
            token = max(token, work.weights / part.rates.bytes / batch)
        seconds += part.share * token
    return 1 / seconds if seconds else None


def learned(seen: Iterable[Seen], hardware: Hardware) -> tuple[Learned, Learned]:
    """What the speeds of models that ran here teach of reading and of writing. Only of a machine
    without GPUs, and of what ran on its processor alone: how fast a GPU was is not told apart from
    what ran beside it."""
    if usable(hardware):
        return Learned(spread=DOUBT), Learned(spread=DOUBT)
    found = [one for one in seen if not one.gpu_layers]
    return (
        learn(read_samples(found, hardware), DOUBT, BOUNDS),
        learn(written_samples(found, hardware), DOUBT, BOUNDS),
    )


def read_samples(seen: Iterable[Seen], hardware: Hardware) -> list[Sample]:
    """Predicted and measured reading, of models of which both are known."""
    parts = [Part(1.0, of_processor(hardware))]
    pairs = ((one, reading(one.work, parts)) for one in seen if one.prefill)
    return [Sample(one.model, rate, one.prefill) for one, rate in pairs if rate]


def written_samples(seen: Iterable[Seen], hardware: Hardware) -> list[Sample]:
    """Predicted and measured writing."""
    parts = [Part(1.0, of_processor(hardware))]
    pairs = ((one, writing(one.work, parts)) for one in seen if one.decode)
    return [Sample(one.model, rate, one.decode) for one, rate in pairs if rate]
