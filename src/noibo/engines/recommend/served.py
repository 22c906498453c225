"""A checkpoint on NVIDIA's cards as vLLM runs it: whether it can, and what it takes of them.

vLLM holds all of a model on its cards, the table of tokens too. It takes no more of a card than
the share its settings name, and wants some of that for itself. Over several cards each layer is
divided. It runs a format on cards from some generation on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from noibo.engines.fit.fit import Fit, Range
from noibo.engines.llama_cpp.offload import Offload, OnDevice
from noibo.engines.vllm.adapter import BUFFERS, PROCESS
from noibo.hardware.cards import TURING, VOLTA
from noibo.hardware.machine import Gpu, Hardware
from noibo.model_settings import VllmSettings

SHARE: Final = VllmSettings().gpu_memory
OWN: Final = 10**9 + BUFFERS  # of each card: libraries, graphs, and what a step computes in
PROCESSES: Final = PROCESS["cuda"]  # of the machine's memory
LEAST: Final = {"AWQ": TURING, "GPTQ": VOLTA}


def on_cards(fit: Fit, form: str, hardware: Hardware) -> Fit | None:
    """The same as vLLM would have it, on as few cards as hold it; None where it does not run."""
    found = list(enumerate(hardware.cards))
    info = fit.ask.model.info
    if info is None or not all(_runs(gpu, form) for _, gpu in found):
        return None
    needed = fit.ask.model.bytes + dict(fit.parts)["KV cache"]
    found.sort(key=lambda one: (-one[1].usable_bytes, one[0]))
    count = 1
    while count <= len(found):
        each = OWN + -(-needed // count)
        divides = not (info.heads or 1) % count
        if divides and each <= SHARE * found[count - 1][1].usable_bytes:
            return _placed(fit, hardware, {place for place, _ in found[:count]}, each)
        count *= 2
    return None


def left(fit: Fit, hardware: Hardware) -> int:
    """Bytes that it may take besides, on the cards that it is on."""
    pairs = zip(hardware.cards, fit.offload.devices, strict=True)
    return sum(round(SHARE * gpu.usable_bytes) - one.bytes for gpu, one in pairs if one.bytes)


def _runs(gpu: Gpu, form: str) -> bool:
    """A card of which the generation is not known may be older."""
    return gpu.vendor == "nvidia" and (gpu.compute or 0.0) >= LEAST[form]


def _placed(fit: Fit, hardware: Hardware, chosen: set[int], each: int) -> Fit:
    layers = (fit.ask.model.info and fit.ask.model.info.layers) or 0
    devices = tuple(
        OnDevice(gpu.name, layers if i in chosen else 0, each if i in chosen else 0)
        for i, gpu in enumerate(hardware.cards)
    )
    spread = fit.memory.high / max(fit.memory.middle, 1) - 1
    return replace(
        fit,
        memory=Range.around(PROCESSES + each * len(chosen), spread),
        ram=PROCESSES,
        offload=Offload(layers + 1, True, min(chosen), devices),
    )
