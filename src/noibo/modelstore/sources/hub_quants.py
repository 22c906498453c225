"""Names of quantisations: read out of file names, understood as people ask for them, ranked.

mistral-7b-instruct.Q4_K_M.gguf   Q4_K_M        asked as q4_k_m, q4
Phi-3-mini-4k-instruct-fp16.gguf  F16           fp16, f16
UD-Q4_K_XL/x-00001-of-00002.gguf  UD-Q4_K_XL    ud-q4_k_xl, q4_k_xl, q4 if there is no plainer
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from noibo.modelstore.catalog import quantisation
from noibo.modelstore.parts import Part

# What is taken when nothing is asked: small, and close to the original. First the best.
FIRST_CHOICES: Final = (
    "Q4_K_M", "Q4_K_S", "Q4_0", "Q4_K_L", "Q4_K", "Q4", "MXFP4", "MXFP4_MOE", "UD-Q4_K_XL",
    "IQ4_XS", "IQ4_NL", "Q4_1", "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "Q8", "NVFP4",
    "F16", "BF16", "F32",
)  # fmt: skip

_LABEL: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:UD-)?"
    r"(?:I?Q\d(?:_[A-Z0-9]{1,3})*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32|FP32)"
    r"(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
_SAME: Final = {"FP16": "F16", "FP32": "F32"}


def label(path: str) -> str | None:
    """The quantisation that a file's name says, else its folder's; None where neither does."""
    part = Part.of(path)
    *folders, name = (part.stem if part else path.removesuffix(".gguf")).split("/")
    for text in (name, *reversed(folders)):
        found = _LABEL.findall(text)
        if found:
            return plain(found[-1])
    return None


def plain(text: str) -> str:
    """The way noibo writes a quantisation: capitals, F16 for fp16."""
    upper = text.upper()
    return _SAME.get(upper, upper)


def bits(label: str) -> int:
    """About how many bits a weight takes: the first number in the name."""
    return int(re.findall(r"\d+", label)[0]) if label else 0


def best(asked: str, labels: Iterable[str]) -> str | None:
    """The one of `labels` that `asked` means: itself, else the best of its class."""
    there, wanted = set(labels), plain(asked)
    for name in (wanted, *quantisation.parse(asked)):
        if name in there:
            return name
    near = [one for one in there if _is_of_class(one, wanted)]
    return min(near, key=lambda one: (_is_far(one, wanted), one), default=None)


def first_choice(sizes: dict[str, int]) -> str:
    """What to take when nothing is asked, of labels and their sizes.

    Where none is a known choice: the smallest of at least four bits, else the largest."""
    for choice in FIRST_CHOICES:
        if choice in sizes:
            return choice
    sensible = [one for one in sizes if bits(one) >= 4]
    if sensible:
        return min(sensible, key=lambda one: (sizes[one], one))
    return max(sizes, key=lambda one: (sizes[one], one))


def by_size(labels: Iterable[str]) -> list[str]:
    """For people: fewest bits first."""
    return sorted(labels, key=lambda one: (bits(one), one))


def _is_of_class(label: str, wanted: str) -> bool:
    """Q4_K_XL and UD-Q4_K_XL are a Q4 and a Q4_K; IQ4_XS counts as a Q4 too."""
    bare = label.removeprefix("UD-")
    near = (bare, bare.removeprefix("I") if bare.startswith("IQ") else bare)
    return any(one == wanted or one.startswith(f"{wanted}_") for one in near)


def _is_far(label: str, wanted: str) -> tuple[bool, bool]:
    """Another kind of mix than the plain one that was asked for."""
    bare = label.removeprefix("UD-")
    return bare.startswith("IQ") != wanted.startswith("IQ"), bare != label
