"""A machine of the parts that were read of it, with what is assumed of those nobody named."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from noibo.hardware import cards, processors
from noibo.hardware.amounts import GIB
from noibo.hardware.cards import Card
from noibo.hardware.draft import Draft, Named, gib
from noibo.hardware.gpus.apple import usable
from noibo.hardware.machine import Disk, Gpu, Hardware
from noibo.hardware.phrases import refusal
from noibo.hardware.processors import ORDINARY, Processor

_ORDINARY_MEMORY: Final = 32 * GIB


def built(draft: Draft) -> Hardware:
    """The machine. Raises `UsageError` for a card that was never made so, and for parts that do not
    go together."""
    made = [_chosen(named, draft) for named in draft.cards for _ in range(named.many)]
    chip = next((card for card in made if card.shared_memory), None)
    if chip is not None:
        return _made_of_chip(chip, len(made), draft)
    notes = [*dict.fromkeys(draft.notes)]
    memory = draft.memory
    if memory is None:
        memory = max(_ORDINARY_MEMORY, *(card.memory_bytes for card in made), 0)
        notes.append(f"No memory was named beside it: {gib(memory)} is assumed.")
    processor = draft.processor or ORDINARY
    if draft.processor is None:
        cores, rate = draft.cores or ORDINARY.cores, ORDINARY.bandwidth / 1e9
        notes.append(f"No processor was named: {cores} cores and {rate:.0f} GB/s are assumed.")
    return _hardware(processor, memory, tuple(card.gpu() for card in made), draft, notes)


def _made_of_chip(chip: Card, count: int, draft: Draft) -> Hardware:
    """A machine whose memory is its GPU's."""
    if count > 1:
        raise refusal(f"A machine with a {chip.name} has no other GPU.")
    if draft.memory is not None and draft.memory != chip.memory_bytes:
        raise refusal(f"The {chip.name}'s memory is the machine's: it is said twice, and differs.")
    apple = chip.vendor == "apple"
    name = f"Apple {chip.name}" if apple else chip.name
    may = usable(chip.memory_bytes) if apple else chip.memory_bytes * 3 // 4
    gpu = replace(chip.gpu(), name=name, memory_bytes=may)
    processor = draft.processor or processors.of_chip(chip.name, chip.bandwidth, apple=apple)
    return _hardware(processor, chip.memory_bytes, (gpu,), draft, draft.notes)


def _chosen(named: Named, draft: Draft) -> Card:
    """The one with so much memory; of the sister cards (Ti, Super, Max) the one that has it."""
    found, name = named.found, named.found[0].name
    size = named.memory
    if size is None and named.takes_the_machines:
        size = draft.memory
    if size is None:
        least = min(found, key=lambda card: card.memory_bytes)
        card = least if named.takes_the_machines else found[0]
        if len(found) > 1:
            usual = gib(card.memory_bytes)
            draft.notes.append(f"The {name} comes with {_sizes(found)}: {usual} is assumed.")
        return card
    exact = [card for card in found if card.memory_bytes == size]
    return exact[0] if exact else _sister(found, size, draft)


def _sister(found: tuple[Card, ...], size: int, draft: Draft) -> Card:
    """The card of nearly that name which was made with so much memory, if it is the only one."""
    name = found[0].name
    sisters = [
        card
        for one in cards.table().values()
        for card in one
        if card.name.startswith(f"{name} ") and card.memory_bytes == size
    ]
    if len(sisters) == 1:
        draft.notes.append(
            f"The {name} has {_sizes(found)}; with {gib(size)} it is the {sisters[0].name}, "
            "which is taken."
        )
        return sisters[0]
    have = ", ".join(f"`{card.name} {gib(size)}`" for card in sisters)
    raise refusal(
        f"The {name} has {_sizes(found)}, not {gib(size)}.",
        f"With {gib(size)} there is: {have}." if have else f"Write `{name}` alone.",
    )


def _hardware(
    processor: Processor, memory: int, gpus: tuple[Gpu, ...], draft: Draft, notes: list[str]
) -> Hardware:
    cpu = processor.cpu(draft.cores)
    share = cpu.cores / processor.cores
    return Hardware(
        replace(cpu, threads=max(draft.threads or cpu.threads, cpu.cores)),
        memory,
        memory,
        processor.bandwidth,
        processor.flops * share,
        gpus,
        Disk("", draft.disk) if draft.disk else None,
        tuple(notes),
    )


def _sizes(found: tuple[Card, ...]) -> str:
    return " or ".join(gib(size) for size in sorted({card.memory_bytes for card in found}))
