"""Quantisations: what the ways to store weights are called, and what people type to mean one.

    q4_K_M, Q4_K_M       exactly that one
    q4, 4bit, int4       any of four bits, the best known compromise first
    q8, fp16, bf16, f32  likewise

Bits per weight are those of a whole file (the mix of types that llama.cpp writes for a name), as
its documentation measures them for Llama 3.1 8B: good for "about so much memory", not for more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Quantisation:
    """One way to store a whole model. `bits` per weight on average, `width` the nominal ones."""

    name: str
    bits: float
    width: int


# Within a width, what one should take first comes first.
_TABLE: Final = (
    Quantisation("F32", 32.0, 32),
    Quantisation("BF16", 16.0, 16),
    Quantisation("F16", 16.0, 16),
    Quantisation("Q8_0", 8.5, 8),
    Quantisation("FP8", 8.0, 8),
    Quantisation("Q6_K", 6.56, 6),
    Quantisation("Q6_K_L", 6.69, 6),
    Quantisation("Q5_K_M", 5.7, 5),
    Quantisation("Q5_K_L", 5.8, 5),
    Quantisation("Q5_K_S", 5.57, 5),
    Quantisation("Q5_1", 6.0, 5),
    Quantisation("Q5_0", 5.5, 5),
    Quantisation("Q4_K_M", 4.89, 4),
    Quantisation("Q4_K_L", 5.0, 4),
    Quantisation("Q4_K_S", 4.67, 4),
    Quantisation("IQ4_XS", 4.46, 4),
    Quantisation("IQ4_NL", 4.68, 4),
    Quantisation("Q4_0", 4.64, 4),
    Quantisation("Q4_1", 5.1, 4),
    Quantisation("MXFP4", 4.63, 4),
    Quantisation("NVFP4", 4.7, 4),
    Quantisation("Q3_K_M", 4.0, 3),
    Quantisation("Q3_K_L", 4.3, 3),
    Quantisation("Q3_K_XL", 4.4, 3),
    Quantisation("IQ3_M", 3.76, 3),
    Quantisation("Q3_K_S", 3.64, 3),
    Quantisation("IQ3_S", 3.66, 3),
    Quantisation("IQ3_XS", 3.5, 3),
    Quantisation("IQ3_XXS", 3.25, 3),
    Quantisation("Q2_K", 3.16, 2),
    Quantisation("Q2_K_L", 3.3, 2),
    Quantisation("IQ2_M", 2.93, 2),
    Quantisation("Q2_K_S", 2.97, 2),
    Quantisation("IQ2_S", 2.74, 2),
    Quantisation("IQ2_XS", 2.59, 2),
    Quantisation("IQ2_XXS", 2.38, 2),
    Quantisation("TQ2_0", 2.1, 2),
    Quantisation("Q2_0", 2.4, 2),
    Quantisation("TQ1_0", 1.7, 1),
    Quantisation("IQ1_M", 2.15, 1),
    Quantisation("IQ1_S", 2.0, 1),
    Quantisation("Q1_0", 1.3, 1),
)

QUANTISATIONS: Final = {one.name: one for one in _TABLE}

# Formats of other engines: understood, so that the answer can say what there is instead.
ELSEWHERE: Final = frozenset({"AWQ", "GPTQ", "EXL2", "EXL3", "NF4", "BNB", "MLX"})

_SAME: Final = {
    "FP16": "F16",
    "FP32": "F32",
    "BFLOAT16": "BF16",
    "FLOAT16": "F16",
    "FLOAT32": "F32",
    "Q4_K": "Q4_K_M",
    "Q5_K": "Q5_K_M",
    "Q3_K": "Q3_K_M",
    "Q4KM": "Q4_K_M",
    "Q5KM": "Q5_K_M",
    "MXFP4_MOE": "MXFP4",
}
# Words for any quantisation of so many bits.
WIDTH_WORDS: Final = ("q2", "q3", "q4", "q5", "q6", "q8", "fp16", "bf16", "fp32")

_WIDTH: Final = re.compile(r"(?:Q|INT)(\d{1,2})|(\d{1,2})_?BITS?")
_LOOKS_LIKE_ONE: Final = re.compile(
    r"(?:I?Q|TQ|INT)\d\w*|B?FP?\d+\w*|\d{1,2}_?BITS?|[MN][XV]FP4\w*"
)
_HALF: Final = {"F16": ("F16", "BF16"), "BF16": ("BF16", "F16")}


def parse(text: str) -> tuple[str, ...]:
    """The quantisations that `text` can mean, the one to take first; empty if it means none."""
    name = _plain(text)
    name = _SAME.get(name, name)
    if name in _HALF:
        return _HALF[name]
    if name in QUANTISATIONS:
        return (name,)
    if found := _WIDTH.fullmatch(name):
        width = int(found.group(1) or found.group(2))
        return tuple(one.name for one in _TABLE if one.width == width)
    return ()


def looks_like_one(text: str) -> bool:
    """True for what can only be meant as a quantisation, known here or not."""
    name = _plain(text)
    return bool(parse(text)) or name in ELSEWHERE or bool(_LOOKS_LIKE_ONE.fullmatch(name))


def words(name: str) -> tuple[str, ...]:
    """What one may type in a tag for exactly this one."""
    return (name.lower(), *(word.lower() for word, same in _SAME.items() if same == name))


def ordered(names: Iterable[str]) -> list[str]:
    """From many bits to few."""
    return sorted(names, key=lambda name: (-QUANTISATIONS[name].bits, name))


def memory(parameters: int, name: str) -> int:
    """About how many bytes that many weights take, stored so."""
    return round(parameters * QUANTISATIONS[name].bits / 8)


def _plain(text: str) -> str:
    return text.strip().upper().replace("-", "_")
