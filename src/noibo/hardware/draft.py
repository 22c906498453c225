"""What was read so far of a line about a machine; and what those amounts are that nothing names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from noibo.hardware.amounts import GIB, Amount
from noibo.hardware.cards import Card
from noibo.hardware.phrases import refusal
from noibo.hardware.processors import Processor

_LEAST_DISK: Final = 100 * GIB  # what is less and stands beside a memory is a second memory


@dataclass(slots=True)
class Named:
    """Cards of a name, of which with how much memory is known when all parts are read."""

    words: str
    found: tuple[Card, ...]
    many: int = 1
    memory: int | None = None

    @property
    def takes_the_machines(self) -> bool:
        return self.found[0].shared_memory

    @property
    def sizes(self) -> set[int]:
        return {one.memory_bytes for one in self.found}


@dataclass(frozen=True, slots=True)
class Bare:
    """An amount of which nothing says what it is; so many names of cards stand before it."""

    bytes: int
    cards: int


@dataclass(slots=True)
class Draft:
    """The parts. `laptop`: its cards are those made for one."""

    laptop: bool = False
    cards: list[Named] = field(default_factory=list)
    memory: int | None = None
    bare: list[Bare] = field(default_factory=list)
    processor: Processor | None = None
    cores: int | None = None
    threads: int | None = None
    disk: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.cards or self.bare or self.memory or self.processor or self.cores)

    def take_memory(self, amount: int) -> None:
        """The machine's. Raises `UsageError` where another was said."""
        if self.memory is not None and self.memory != amount:
            raise refusal(f"The memory is said twice, {gib(self.memory)} and {gib(amount)}.")
        self.memory = amount

    def take_disk(self, amount: int) -> None:
        """Another disk."""
        self.disk = (self.disk or 0) + amount

    def take(self, amount: Amount) -> None:
        """The machine's memory, or what is not said to be that."""
        if amount.kind == "ram":
            self.take_memory(amount.bytes)
        else:
            self.bare.append(Bare(amount.bytes, len(self.cards)))

    def settle(self) -> None:
        """Say of each bare amount what it is: a card's memory, the machine's, the disk."""
        for place, named in enumerate(self.cards):
            if named.memory is None and not named.takes_the_machines:
                self._settle_card(named, place)
        for one in self.bare:
            memory = self.memory or one.bytes
            if self.disk is None and one.bytes >= _LEAST_DISK and one.bytes > memory:
                self.disk = one.bytes
                self.notes.append(f"{gib(one.bytes)} is taken to be the disk.")
            else:
                self.take_memory(one.bytes)

    def _settle_card(self, named: Named, place: int) -> None:
        """What a card was made with is its own where it stands behind it, or another is there for
        the machine: `RTX 4060 Ti, 16GB`."""
        own = next((one for one in self.bare if one.bytes in named.sizes), None)
        if own is None:
            return
        name, size = named.found[0].name, gib(own.bytes)
        alone = len(self.bare) == 1 and self.memory is None
        if alone and own.cards <= place:
            self.notes.append(
                f"{size} is taken to be the machine's memory: for the card's, write "
                f"`{name} {size}`."
            )
            return
        named.memory = own.bytes
        self.bare.remove(own)
        self.notes.append(
            f"{size} is taken to be the {name}'s own memory: for the machine's, write `{size} RAM`."
        )


def gib(size: int) -> str:
    """`12 GB`."""
    return f"{size / GIB:g} GB"
