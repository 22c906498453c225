"""A machine in a line of words: `RTX 3060 12GB, 32GB`, `2x RTX 3090, 64GB`, `M2 Max 64GB`.

Between commas stand its parts: cards, a processor, memory. Nothing is guessed in silence: a word
that is not known is refused with the nearest ones, and what was not said and is taken to be so
stands in the notes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from noibo.errors import UsageError
from noibo.hardware import amounts, cards, phrases, processors
from noibo.hardware.amounts import GIB, Amount
from noibo.hardware.built import built
from noibo.hardware.cards import Card
from noibo.hardware.draft import Draft, Named, gib
from noibo.hardware.machine import Hardware
from noibo.hardware.phrases import refusal
from noibo.hardware.processors import Processor

MOST_CARDS: Final = 16
_CORES: Final = re.compile(r"\b(\d{1,3})[\s-]*(cores?|nhan|loi|v?cpus?)\b", re.IGNORECASE)
_THREADS: Final = re.compile(r"\b(\d{1,3})[\s-]*(?:threads?|luong)\b", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"[,;+\n]|\b(?:and|with|va|voi)\b", re.IGNORECASE)
_EITHER: Final = re.compile(r"\b(?:or|hoac|hay)\b", re.IGNORECASE)
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


def described(text: str) -> Hardware:
    """The machine that `text` describes. Raises `UsageError` for what is not understood."""
    line, laptop = phrases.without_laptop(phrases.plain(text))
    draft = Draft(laptop)
    for part in _BETWEEN.split(line):
        if part.strip():
            _read(part, draft)
    if draft.empty:
        raise refusal(f"{text.strip()!r} says neither a card nor a memory.")
    draft.settle()
    return built(draft)


def _read(part: str, draft: Draft) -> None:
    """One part between commas."""
    if _EITHER.search(part):
        raise refusal(f"{part.strip()!r} is one or another: name one machine.")
    found, rest = amounts.read(part)
    rest, may_be_processors = _without_cores(rest, draft)
    many, rest = phrases.counted(rest)
    named = phrases.name_in(rest)
    if not 1 <= many <= MOST_CARDS:
        raise refusal(f"{many} cards in one machine are not reckoned with: at most {MOST_CARDS}.")
    for one in found:
        if one.kind == "disk":
            draft.take_disk(one.bytes if named else many * one.bytes)
    found = [one for one in found if one.kind != "disk"]
    if not named:
        _take_bare(found, phrases.is_of_gpu(part), many, draft)
    elif of_name := _cards(named, draft):
        _take_card(Named(named, of_name, many), found, draft)
    elif processor := _processor(named, draft):
        count = draft.cores if may_be_processors and draft.cores else many
        if count > 1:
            raise refusal(f"A machine with {count} processors is not reckoned with: name one.")
        draft.cores = None if may_be_processors else draft.cores
        draft.processor = processor
        _take_beside(found, draft)
    elif not (amounts.is_of_disk(part) and _is_a_disks_name(named, found, draft)):
        raise _unknown(named)


def _without_cores(rest: str, draft: Draft) -> tuple[str, bool]:
    """The words without how many cores and threads there are; and whether the cores may be
    processors: `2 CPU`."""
    if threads := _THREADS.search(rest):
        draft.threads = int(threads[1])
        rest = _THREADS.sub(" ", rest)
    cores = _CORES.search(rest)
    if not cores:
        return rest, False
    if not int(cores[1]):
        raise refusal(f"{cores[0]!r} is no number of cores.")
    draft.cores = int(cores[1])
    return _CORES.sub(" ", rest), cores[2].lower() in {"cpu", "cpus"}


def _cards(named: str, draft: Draft) -> tuple[Card, ...]:
    """The cards of a name; in a laptop those that are made for one."""
    found = cards.by_name(named)
    if not draft.laptop or not found or found[0].shared_memory:
        return found
    if own := cards.by_name(f"{named} laptop"):
        return own
    raise refusal(
        f"The {found[0].name} of a laptop is not known here.",
        "Without the word laptop the card of that name is taken, which is faster.",
    )


def _processor(named: str, draft: Draft) -> Processor | None:
    found = processors.by_name(named)
    if found is None and (found := processors.alike(named)):
        draft.notes.append(f"The {named} is taken to be as fast as the {found.name}.")
    return found


def _is_a_disks_name(named: str, found: list[Amount], draft: Draft) -> bool:
    """`500GB Samsung 980 SSD`: words that begin with no card, and one amount at most."""
    words = named.split()
    if len(found) > 1 or any(cards.by_name(" ".join(words[: i + 1])) for i in range(len(words))):
        return False
    for one in found:
        draft.take_disk(one.bytes)
    return True


def _take_bare(found: list[Amount], is_gpu: bool, many: int, draft: Draft) -> None:
    """Amounts with no name: the machine's memory, in so many modules, or a card of which no more is
    said."""
    for one in found:
        if one.kind == "vram" or (is_gpu and one.kind != "ram"):
            _take_unnamed(one.bytes, many, draft)
        elif many > 1:
            draft.take_memory(many * one.bytes)
        else:
            draft.take(one)


def _take_beside(found: Iterable[Amount], draft: Draft) -> None:
    """Amounts beside a processor: none of them is a card's."""
    for one in found:
        if one.kind != "vram":
            draft.take(Amount(one.bytes, "ram") if draft.memory is None else one)


def _take_unnamed(size: int, many: int, draft: Draft) -> None:
    """Memory of a card that has no name: that of the card before it, or of a stand-in."""
    if draft.cards and many == 1 and draft.cards[-1].memory in {None, size}:
        draft.cards[-1].memory = size  # `RTX 3060, 12GB VRAM`, also where it was said there too
        return
    fits = [least for least in _STAND_INS if least * GIB <= size]
    if not fits:
        raise refusal(f"A card with {gib(size)} is too small for any model.")
    name = _STAND_INS[max(fits)]
    like = next(one for one in cards.by_name(name) if one.memory_bytes == max(fits) * GIB)
    card = replace(like, name=f"GPU {gib(size)}", memory_bytes=size)
    draft.cards.append(Named(card.name, (card,), many, size))
    draft.notes.append(f"The card was not named: one as fast as the {name} is assumed.")


def _take_card(card: Named, found: list[Amount], draft: Draft) -> None:
    """A card by name; of the amounts beside it one is its own memory, another the machine's."""
    own = next((one for one in found if one.kind == "vram"), None)
    if own is None and not card.takes_the_machines:
        own = _own(card, found)
    rest = [one for one in found if one is not own]
    if own and any(one.bytes == own.bytes and not one.kind for one in rest):
        name = card.found[0].name
        raise refusal(f"The {name}'s memory is said twice: is one of them the machine's?")
    card.memory = own.bytes if own else None
    draft.cards.append(card)
    swapped = own is not None and own.kind == "ram"  # `RTX 3060 12GB RAM 32GB`
    for one in rest:
        draft.take(Amount(one.bytes, "ram") if swapped and not one.kind else one)


def _own(card: Named, found: list[Amount]) -> Amount | None:
    """The amount that is the card's memory: one that it was made with, else the first. A word
    between two amounts may be the second one's."""
    plain = [one for one in found if not one.kind]
    if not plain:
        return None
    if fitting := [one for one in plain if one.bytes in card.sizes]:
        return fitting[0]
    first = found[0]
    return first if first.kind == "ram" and first.bytes in card.sizes else plain[0]


def _unknown(named: str) -> UsageError:
    """With the nearest names, by what tells them apart."""
    known = {key: made[0].name for key, made in cards.table().items()}
    known |= {key: made.name for key, made in processors.table().items()}
    wanted = (cards.key(named), processors.key(named))
    near = [one for name in wanted for one in difflib.get_close_matches(name, known, n=3)]
    names = ", ".join(f"`{known[one]}`" for one in dict.fromkeys(near))
    return refusal(
        f"{named!r} is no card or processor that is known here.",
        f"Did you mean {names}?" if names else "A card without a name: `GPU 24GB, 64GB`.",
    )
