"""All that is recommended for one machine and one use: a pure function of catalogue and machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from noibo.engines.fit.fit import BUDGET, judge
from noibo.engines.memory.correction import NONE, Correction
from noibo.engines.recommend.candidate import Wanted, candidates
from noibo.engines.recommend.ranking import Pick, Predict, rank
from noibo.engines.recommend.tiers import Tier, next_tier, tier_of
from noibo.engines.recommend.use import context_for
from noibo.engines.recommend.words import WORDS, Language
from noibo.hardware.described import described
from noibo.hardware.machine import Hardware
from noibo.modelstore.catalog import Catalog

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Here:
    """What is on the machine already: names of models in the store, engines that are installed."""

    models: frozenset[str] = frozenset()
    engines: frozenset[str] = frozenset({"llama_cpp"})


@dataclass(frozen=True, slots=True)
class Recommendation:
    """`picks` are the best first; `beside` an embedding model for documents; `above` the next tier
    of hardware and what would be first there."""

    machine: str
    wanted: Wanted
    tier: Tier
    picks: tuple[Pick, ...]
    beside: Pick | None = None
    above: Tier | None = None
    above_pick: Pick | None = None
    here: Here = Here()

    def is_here(self, pick: Pick) -> bool:
        """True if it need not be fetched."""
        return pick.candidate.name in self.here.models

    def command(self, pick: Pick) -> str:
        """What to type next."""
        if self.is_here(pick):
            return f"noibo run {pick.candidate.name}"
        engine = pick.candidate.engine
        first = "" if engine in self.here.engines else f"noibo engines install {engine} && "
        return first + pick.candidate.command


def recommendation(
    catalog: Catalog,
    machine: Hardware,
    wanted: Wanted,
    here: Here = Here(),
    correction: Correction = NONE,
) -> Recommendation:
    """What suits the machine. `correction` is what was learned of it."""
    own = predictor(correction, wanted.budget)
    variants = list(candidates(catalog, wanted))
    picks = rank(variants, machine, wanted, own)
    tier = tier_of(machine)
    above = next_tier(tier)
    better = None
    if above is not None:
        there = described(above.example)
        found = rank(variants, there, wanted, predictor(budget=wanted.budget))
        better = found[0] if found else None
    beside = None
    if wanted.use == "rag" and picks:
        searching = replace(wanted, use="embedding", context=context_for("embedding"))
        room = left_beside(machine, picks[0], wanted.budget)
        found = rank(candidates(catalog, searching), room, searching, own)
        beside = found[0] if found else None
    return Recommendation(summary(machine), wanted, tier, tuple(picks), beside, above, better, here)


def predictor(correction: Correction = NONE, budget: float = BUDGET) -> Predict:
    """`engines.fit` without advice, which each of hundreds of candidates would pay for."""
    return lambda ask, machine: judge(ask, machine, correction, budget)


def left_beside(machine: Hardware, pick: Pick, budget: float) -> Hardware:
    """The machine with what a pick takes gone: an embedding model runs on the processor."""
    taken = round(pick.fit.ram / budget)
    left = max(machine.memory_bytes - taken, 0)
    available = max(machine.available_bytes - pick.fit.ram, 0)
    return replace(machine, memory_bytes=left, available_bytes=available, gpus=())


def summary(machine: Hardware, lang: Language = "en") -> str:
    """`2x RTX 3090 24 GB, 64 GB of memory, Intel Xeon with 8 cores`."""
    words = WORDS[lang]
    processor = machine.cpu.name
    if processor == WORDS["en"].unnamed:
        processor = words.unnamed
    memory = f"{machine.memory_bytes / GIB:.0f}"
    rest = words.machine.format(memory=memory, processor=processor, cores=machine.cpu.cores)
    return ", ".join((*machine.gpu_kinds, rest))
