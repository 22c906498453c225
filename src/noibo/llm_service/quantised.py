"""Which form of a model a program wants, by bits, and which of those that are here it gets. Pure.

transformers packs weights while it loads them; llama.cpp runs a file as it is. So `load_in_8bit`
means the file in Q8_0, `load_in_4bit` that in Q4_K_M, and no quantisation that in F16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from noibo.errors import InvalidRequest, QuantisationMissing
from noibo.modelstore.catalog.quantisation import QUANTISATIONS, parse
from noibo.modelstore.sources.hub_quants import bits
from noibo.settings import Llm

_NAMES: Final = {16: "F16", 8: "Q8_0", 4: "Q4_K_M"}
_AS_TRAINED: Final = 16
_LARGEST: Final = 32


@dataclass(frozen=True, slots=True)
class Wish:
    """`bits` a weight is to have: 16 (as trained), 8 or 4; 0: whatever is there."""

    bits: int = 0

    @classmethod
    def of(cls, llm: Llm) -> Wish:
        """By the three switches that transformers has. Raises `InvalidRequest` for both 8 and 4."""
        if llm.load_in_8bit and llm.load_in_4bit:
            raise InvalidRequest(
                "load_in_8bit and load_in_4bit are both set: a model has one or the other.",
                param="load_in_8bit",
                next_step="Leave one out: 4 bits take half of the memory, 8 are nearer to the "
                "original.",
            )
        if not llm.use_quantization:
            return cls(_AS_TRAINED)
        return cls(8 if llm.load_in_8bit else 4 if llm.load_in_4bit else 0)

    @property
    def name(self) -> str:
        """The quantisation that is meant."""
        return _NAMES.get(self.bits, "")

    @property
    def names(self) -> tuple[str, ...]:
        """Every quantisation that is one of so many bits, the one to take first."""
        if self.bits == _AS_TRAINED:
            return ("F16", "BF16", "F32")
        return parse(f"{self.bits}bit") if self.bits else ()


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a model that is here: what one types to mean it, and its quantisation."""

    name: str
    quantisation: str

    @property
    def width(self) -> int:
        """Bits of a weight, nominally; 32 where its name says nothing."""
        known = QUANTISATIONS.get(self.quantisation)
        return known.width if known else bits_of(self.quantisation)


def bits_of(label: str) -> int:
    """Bits by a name that is in no table, as UD-Q4_K_XL."""
    return bits(label) if any(letter.isdigit() for letter in label) else _LARGEST


def choose(wish: Wish, variants: Sequence[Variant], fetch: str) -> tuple[Variant, str]:
    """The variant to load, and what is to be said of it where it is not just what was asked for.
    `fetch` says how to get that. Raises `QuantisationMissing` where all that is here is larger."""
    for name in wish.names:
        for variant in variants:
            if variant.quantisation == name:
                return variant, _stands_for(wish, variant)
    smaller = [one for one in variants if one.width <= wish.bits]
    if smaller:
        best = max(smaller, key=lambda one: one.width)
        return best, (
            f"{best.name} has {best.quantisation}: fewer bits than the {wish.bits} asked for, so "
            f"it takes less memory than that. {fetch}"
        )
    here = ", ".join(f"{one.name} ({one.quantisation or 'unknown'})" for one in variants)
    raise QuantisationMissing(
        f"The model is not here in {wish.bits} bits ({wish.name}); here is {here}. llama.cpp runs "
        "a file as it is: weights are not packed while they are loaded.",
        next_step=fetch,
    )


def _stands_for(wish: Wish, variant: Variant) -> str:
    if variant.quantisation == wish.name:
        return ""
    return f"{variant.name} has {variant.quantisation}, which is of {wish.bits} bits too."
