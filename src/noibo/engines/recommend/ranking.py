"""Ranks what could run on a machine: a pure function of the candidates and the machine.

Of each model the best format is kept, of each family the best size: five times the same model in
other bits is no choice. What counts is quality, less what is lost where it fits badly or is slow to
wait for. A model that does not fit is never recommended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from noibo.engines.fit.ask import Ask
from noibo.engines.fit.fit import BUDGET, Fit, usable
from noibo.engines.llama_cpp.offload import DRIVER
from noibo.engines.recommend import served
from noibo.engines.recommend.candidate import SERVED_BY, Candidate, Wanted
from noibo.engines.recommend.quality import quality
from noibo.engines.recommend.use import Use, always_thinks, made_for
from noibo.hardware.machine import Hardware
from noibo.modelstore.catalog.entry import Model

Predict = Callable[[Ask, Hardware], Fit]
COMFORTABLE: Final = 15.0  # tokens/s: faster than one reads
PROMPTS: Final[dict[Use, int]] = {"rag": 3000, "code": 2000, "vision": 1000, "embedding": 40_000}
_USUAL_PROMPT: Final = 300
_PATIENCE_S: Final = 10.0  # for the first word of an answer
_TIGHT: Final = 1.5  # doublings of quality that a tight fit costs
_NOT_FOR_WORK: Final = 1.0  # and a licence that a company may not use
_CROWDED: Final = 0.1  # of what it takes should be left: another program, a longer chat
_CROWDED_COST: Final = 0.2
_THOUGHTS: Final = 3.0  # words written for each of the answer, by one that always thinks
_OF_VECTORS: Final = 0.4  # they gain less by size than answers do
_FOR_CARDS: Final = 0.3  # what a format made for cards is worth, where it fits there whole
_FOR_WORK: Final = frozenset({"permissive", "copyleft", "rail", "llama", "gemma", "community"})


@dataclass(frozen=True, slots=True)
class Pick:
    """One recommendation. `score` orders them; `quality` is of the model alone. `spare` is what is
    left over where it runs, in bytes: of the GPU where it fits there whole, else of the memory."""

    candidate: Candidate
    fit: Fit
    quality: float
    score: float
    spare: int

    @property
    def whole_on_gpu(self) -> bool:
        return self.fit.offload.whole

    @property
    def on_gpus(self) -> int:
        """Bytes on all GPUs."""
        return sum(one.bytes for one in self.fit.offload.devices)

    @property
    def takes(self) -> float:
        """Bytes where it runs, as `spare`."""
        return self.on_gpus if self.whole_on_gpu else self.fit.memory.middle

    @property
    def decode(self) -> float | None:
        return self.fit.decode.middle if self.fit.decode else None

    @property
    def prefill(self) -> float | None:
        return self.fit.prefill.middle if self.fit.prefill else None


def rank(
    candidates: Iterable[Candidate], hardware: Hardware, wanted: Wanted, predict: Predict
) -> list[Pick]:
    """The best first, each of another family."""
    picks = [
        pick for one in candidates if (pick := _weighed(one, hardware, wanted, predict)) is not None
    ]
    picks.sort(key=lambda pick: (-pick.score, pick.candidate.name))
    families: dict[str, Pick] = {}
    for pick in picks:
        families.setdefault(pick.candidate.model.family.name, pick)
    return list(families.values())


def _weighed(
    candidate: Candidate, hardware: Hardware, wanted: Wanted, predict: Predict
) -> Pick | None:
    """None for what does not run there, or not as its format wants it."""
    use = wanted.use
    room = hardware.memory_bytes + sum(gpu.memory_bytes for gpu in hardware.cards)
    if candidate.ask.model.bytes > room:
        return None  # most of a catalogue, on a small machine: not worth a prediction
    fit = predict(candidate.ask, hardware)
    if fit.verdict not in {"runs well", "tight"}:
        return None
    left = spare(fit, hardware, wanted.budget)
    for_cards = candidate.quantisation in SERVED_BY
    if for_cards:
        on_cards = served.on_cards(fit, candidate.quantisation, hardware)
        if not fit.offload.whole or on_cards is None:
            return None
        fit, left = on_cards, served.left(on_cards, hardware)
    own = quality(candidate.model, candidate.quantisation)
    weight = _OF_VECTORS if use == "embedding" else 1.0
    score = weight * own + made_for(candidate.model, use) + _pace(fit, candidate.model, use)
    score -= _TIGHT if fit.verdict == "tight" else 0.0
    score -= 0.0 if candidate.licence.kind in _FOR_WORK else _NOT_FOR_WORK
    score += _FOR_CARDS if for_cards else 0.0
    score -= _CROWDED_COST if left < _CROWDED * fit.memory.middle else 0.0
    return Pick(candidate, fit, own, score, left)


def _pace(fit: Fit, model: Model, use: Use) -> float:
    """Doublings won or lost by the time an answer takes: each halving of a comfortable speed costs
    most of one, each doubling is nice to have."""
    gain = 0.0
    if fit.decode is not None:
        words = fit.decode.middle / (_THOUGHTS if always_thinks(model) else 1)
        faster = math.log2(max(words, 0.01) / COMFORTABLE)
        gain += 0.8 * faster if faster < 0 else min(0.15 * faster, 0.45)
    if fit.prefill is not None:
        seconds = PROMPTS.get(use, _USUAL_PROMPT) / max(fit.prefill.middle, 0.01)
        gain -= 0.5 * max(math.log2(seconds / _PATIENCE_S), 0.0)
    return gain


def spare(fit: Fit, hardware: Hardware, budget: float = BUDGET) -> int:
    """Bytes left over where it runs."""
    if fit.offload.whole:
        room = 0
        for gpu, placed in zip(usable(hardware), fit.offload.devices, strict=False):
            if placed.bytes:
                room += gpu.usable_bytes - placed.bytes - (0 if gpu.shared_memory else DRIVER)
        return max(room, 0)
    return max(round(budget * hardware.memory_bytes) - fit.ram, 0)
