"""A machine in a line of words: `RTX 3060 12GB, 32GB`, `2x RTX 3090, 64GB`, `M2 Max 64GB`.

Between commas stand its parts: cards, a processor, memory. Nothing is guessed in silence: a word
that is not known is refused with the nearest ones, and what was not said and is taken to be so
stands in the notes. GB are read as the trade writes them: a 12 GB card has 12 GiB, and 32 GB of
memory are 32 GiB.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace
from typing import Final

from noibo.errors import UsageError
from noibo.hardware import cards, processors
from noibo.hardware.cards import Card
from noibo.hardware.gpus.apple import usable
from noibo.hardware.machine import Disk, Gpu, Hardware
from noibo.hardware.processors import ORDINARY, Processor

GIB: Final = 2**30
EXAMPLES: Final = "`RTX 3060 12GB, 32GB`, `2x RTX 3090, 64GB`, `M2 Max 64GB`, `CPU 16GB`"
MOST_CARDS: Final = 16
_ORDINARY_MEMORY: Final = 32 * GIB
_MOST_MEMORY: Final = 64 * 2**40
_UNITS: Final = {"t": 2**40, "g": GIB, "m": 2**20}
# Without its B an amount has few digits, and is none of megabytes: 5600G and 890M are names.
_AMOUNT: Final = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?)(?:\s*([tgm])i?b|(?<!\d{4})\s*([tg]))(?!\w)"
    r"\s*(vram|ram|ddr\d\w*|unified|memory)?",
    re.IGNORECASE,
)
_COUNT: Final = re.compile(r"^\s*(\d{1,3})\s*(?:[x×*]\s*|(?=\s(?:rtx|gtx|rx|a\d|h\d|l\d)))", re.I)
_CORES: Final = re.compile(r"\b(\d{1,3})[\s-]*(?:cores?|nhân)\b", re.IGNORECASE)
_MACS: Final = re.compile(
    r"\b(?:macbook\s+(?:pro|air)|macbook|mac\s+(?:mini|studio|pro)|imac|apple)\b", re.IGNORECASE
)
_DISK: Final = re.compile(r"\b(?:nvme|ssd|hdd|disk|storage)\b", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"[,;+\n]|\b(?:and|with|và|với)\b", re.IGNORECASE)
# Words that name no part: what is left without them must be a card or a processor.
_FILLERS: Final = re.compile(
    r"\b(?:cpu|gpu|only|ram|vram|memory|card|of|unified|ddr\d\w*|máy|bộ|nhớ)\b|[:()/]", re.I
)
# Which card stands for one of which only the memory was said.
_STAND_INS: Final = {
    4: "GTX 1650",
    6: "RTX 2060",
    8: "RTX 3060",
    10: "RTX 3080",
    12: "RTX 3060",
    16: "RTX 4060 Ti",
    20: "RX 7900 XT",
    24: "RTX 3090",
    32: "RTX 5090",
    40: "A100",
    48: "RTX A6000",
    80: "A100",
    96: "RTX PRO 6000",
    141: "H200",
}


@dataclass(slots=True)
class _Named:
    """Cards of a name, of which with how much memory is known when all parts are read."""

    words: str
    found: tuple[Card, ...]
    many: int
    memory: int | None

    @property
    def takes_the_machines(self) -> bool:
        return self.found[0].shared_memory


@dataclass(slots=True)
class _Draft:
    """What was read so far."""

    cards: list[_Named] = field(default_factory=list)
    memory: int | None = None
    processor: Processor | None = None
    cores: int | None = None
    disk: int | None = None
    notes: list[str] = field(default_factory=list)

    def take_memory(self, amount: int) -> None:
        if self.memory is not None and self.memory != amount:
            raise _no(f"The memory is said twice, {_gib(self.memory)} and {_gib(amount)}.")
        self.memory = amount


@dataclass(frozen=True, slots=True)
class _Amount:
    bytes: int
    label: str  # vram, ram, or nothing


def described(text: str) -> Hardware:
    """The machine that `text` describes. Raises `UsageError` for what is not understood."""
    draft = _Draft()
    for part in _BETWEEN.split(text):
        if part.strip():
            _read(part, draft)
    if draft.memory is None and draft.processor is None and not draft.cards:
        raise _no(f"{text.strip()!r} says neither a card nor a memory.")
    return _made(draft)


def _read(part: str, draft: _Draft) -> None:
    """One part between commas."""
    amounts = [_amount(found) for found in _AMOUNT.finditer(part)]
    named = _AMOUNT.sub(" ", part)
    if _DISK.search(part):
        draft.disk = amounts[0].bytes if amounts else None
        return
    if cores := _CORES.search(named):
        draft.cores = int(cores[1])
        named = _CORES.sub(" ", named)
    count = _COUNT.match(named)
    named = named[count.end() :] if count else named
    is_gpu = bool(re.search(r"\b(?:gpu|card)\b", part, re.IGNORECASE))
    named = " ".join(_FILLERS.sub(" ", _MACS.sub(" ", named)).split())
    many = int(count[1]) if count else 1
    if not 1 <= many <= MOST_CARDS:
        raise _no(f"{many} cards in one machine are not reckoned with: at most {MOST_CARDS}.")
    if not named:
        _take_bare(amounts, is_gpu, many, draft)
    elif found := cards.by_name(named):
        _take_card(named, found, amounts, many, draft)
    elif processor := processors.by_name(named):
        if many > 1:
            raise _no(f"A machine with {many} processors is not reckoned with: name one.")
        draft.processor = processor
        _take_bare([one for one in amounts if one.label != "vram"], False, 1, draft)
    else:
        raise _unknown(named)


def _amount(found: re.Match[str]) -> _Amount:
    size = float(found[1]) * _UNITS[(found[2] or found[3]).lower()]
    if not 0 < size <= _MOST_MEMORY:
        raise _no(f"{found[0].strip()} is no memory that a machine has.")
    label = (found[4] or "").lower()
    return _Amount(round(size), "ram" if label not in {"", "vram"} else label)


def _take_bare(amounts: list[_Amount], is_gpu: bool, many: int, draft: _Draft) -> None:
    """Amounts with no name: the machine's memory, in so many modules, or a card of which no more is
    said."""
    for one in amounts:
        if one.label == "vram" or (is_gpu and one.label != "ram"):
            _take_unnamed(one.bytes, many, draft)
        else:
            draft.take_memory(many * one.bytes)


def _take_unnamed(size: int, many: int, draft: _Draft) -> None:
    """Memory of a card that has no name: that of the card before it, or of a stand-in."""
    if draft.cards and many == 1 and draft.cards[-1].memory in {None, size}:
        draft.cards[-1].memory = size  # `RTX 3060, 12GB VRAM`, also where it was said there too
        return
    fits = [gib for gib in _STAND_INS if gib * GIB <= size]
    if not fits:
        raise _no(f"A card with {_gib(size)} is too small for any model.")
    name = _STAND_INS[max(fits)]
    like = next(one for one in cards.by_name(name) if one.memory_bytes == max(fits) * GIB)
    card = Card(f"GPU {_gib(size)}", like.vendor, size, like.bandwidth, like.flops)
    draft.cards.append(_Named(card.name, (card,), many, size))
    draft.notes.append(f"The card was not named: one as fast as the {name} is assumed.")


def _take_card(
    words: str, found: tuple[Card, ...], amounts: list[_Amount], many: int, draft: _Draft
) -> None:
    """A card by name; of the amounts beside it one is its own memory, another the machine's."""
    card = _Named(words, found, many, None)
    own = next((one for one in amounts if one.label == "vram"), None)
    plain = [one for one in amounts if not one.label]
    if own is None and plain and not card.takes_the_machines:
        sizes = {one.memory_bytes for one in found}
        own = next((one for one in plain if one.bytes in sizes), plain[0])
    rest = [one for one in amounts if one is not own]
    if own and any(one.bytes == own.bytes and not one.label for one in rest):
        raise _no(f"The {found[0].name}'s memory is said twice: is one of them the machine's?")
    card.memory = own.bytes if own else None
    draft.cards.append(card)
    for one in rest:
        draft.take_memory(one.bytes)


def _chosen(named: _Named, draft: _Draft) -> Card:
    """The one with so much memory; of the sister cards (Ti, Super, Max) the one that has it."""
    found, name = named.found, named.found[0].name
    size = named.memory
    if size is None and named.takes_the_machines:
        size = draft.memory
    if size is None:
        least = min(found, key=lambda card: card.memory_bytes)
        card = least if named.takes_the_machines else found[0]
        if len(found) > 1:
            usual = _gib(card.memory_bytes)
            draft.notes.append(f"The {name} comes with {_sizes(found)}: {usual} is assumed.")
        return card
    exact = [card for card in found if card.memory_bytes == size]
    return exact[0] if exact else _sister(found, size, draft)


def _sister(found: tuple[Card, ...], size: int, draft: _Draft) -> Card:
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
            f"The {name} has {_sizes(found)}; with {_gib(size)} it is the {sisters[0].name}, "
            "which is taken."
        )
        return sisters[0]
    have = ", ".join(f"`{card.name} {_gib(size)}`" for card in sisters)
    raise _no(
        f"The {name} has {_sizes(found)}, not {_gib(size)}.",
        f"With {_gib(size)} there is: {have}." if have else f"Write `{name}` alone.",
    )


def _made(draft: _Draft) -> Hardware:
    """The machine of all its parts, with what is assumed of those nobody named."""
    made = [_chosen(named, draft) for named in draft.cards for _ in range(named.many)]
    chip = next((card for card in made if card.shared_memory), None)
    if chip is not None:
        return _made_of_chip(chip, len(made), draft)
    notes = [*dict.fromkeys(draft.notes)]
    memory = draft.memory
    if memory is None:
        memory = max(_ORDINARY_MEMORY, *(card.memory_bytes for card in made), 0)
        notes.append(f"No memory was named beside it: {_gib(memory)} is assumed.")
    processor = draft.processor or ORDINARY
    if draft.processor is None:
        cores, rate = draft.cores or ORDINARY.cores, ORDINARY.bandwidth / 1e9
        notes.append(f"No processor was named: {cores} cores and {rate:.0f} GB/s are assumed.")
    return _hardware(processor, memory, tuple(card.gpu() for card in made), draft, notes)


def _made_of_chip(chip: Card, count: int, draft: _Draft) -> Hardware:
    """A machine whose memory is its GPU's."""
    if count > 1:
        raise _no(f"A machine with a {chip.name} has no other GPU.")
    if draft.memory is not None and draft.memory != chip.memory_bytes:
        raise _no(f"The {chip.name}'s memory is the machine's: it is said twice, and differs.")
    apple = chip.vendor == "apple"
    name = f"Apple {chip.name}" if apple else chip.name
    may = usable(chip.memory_bytes) if apple else chip.memory_bytes * 3 // 4
    gpu = replace(chip.gpu(), name=name, memory_bytes=may)
    processor = draft.processor or processors.of_chip(chip.name, chip.bandwidth, apple=apple)
    return _hardware(processor, chip.memory_bytes, (gpu,), draft, draft.notes)


def _hardware(
    processor: Processor, memory: int, gpus: tuple[Gpu, ...], draft: _Draft, notes: list[str]
) -> Hardware:
    share = (draft.cores or processor.cores) / processor.cores
    return Hardware(
        processor.cpu(draft.cores),
        memory,
        memory,
        processor.bandwidth,
        processor.flops * share,
        gpus,
        Disk("", draft.disk) if draft.disk else None,
        tuple(notes),
    )


def _sizes(found: tuple[Card, ...]) -> str:
    return " or ".join(_gib(size) for size in sorted({card.memory_bytes for card in found}))


def _gib(size: int) -> str:
    return f"{size / GIB:g} GB"


def _unknown(named: str) -> UsageError:
    """With the nearest names, by what tells them apart."""
    known = {key: made[0].name for key, made in cards.table().items()}
    known |= {key: made.name for key, made in processors.table().items()}
    wanted = (cards.key(named), processors.key(named))
    near = [one for name in wanted for one in difflib.get_close_matches(name, known, n=3)]
    names = ", ".join(f"`{known[one]}`" for one in dict.fromkeys(near))
    return _no(
        f"{named!r} is no card or processor that is known here.",
        f"Did you mean {names}?" if names else "A card without a name: `GPU 24GB, 64GB`.",
    )


def _no(message: str, step: str = "") -> UsageError:
    return UsageError(message, next_step=f"{step} Write it as {EXAMPLES}.".strip())
