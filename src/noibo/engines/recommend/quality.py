"""How good a model is to be expected to be, without a test of it.

No list of scores is kept: they are stale within weeks, and makers choose theirs. What holds over
the years is that more parameters know more, that a model of this year does what one of twice the
size did a year before, and that fewer bits lose a little. So quality is counted in doublings:

    log2(parameters / 1e9) + years since 2023 - what its quantisation loses

Of a mixture of experts the parameters are the geometric mean of all and of those used for a token.
It orders what is downloaded next; it is no measurement (`noibo bench` is).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from noibo.modelstore.catalog.entry import Model, Size
from noibo.modelstore.catalog.quantisation import QUANTISATIONS

_BEGINNING: Final = 2023
# Doublings lost by a quantisation of so many bits a weight; between two, in proportion.
_LOSS: Final = (
    (16.0, 0.0),
    (8.0, 0.0),
    (6.5, 0.05),
    (5.5, 0.1),
    (4.8, 0.2),
    (4.4, 0.3),
    (3.9, 0.7),
    (3.3, 1.2),
    (2.5, 2.5),
    (1.0, 4.0),
)
_ELSEWHERE: Final = {"AWQ": 0.15, "GPTQ": 0.2}
_TRAINED_SO: Final = 0.05  # of a model that was trained in its four bits


def quality(model: Model, quantisation: str) -> float:
    """Doublings over a model of 10^9 parameters of 2023. Of what is only an API: 0."""
    if model.size is None:
        return 0.0
    total = model.size.parameters
    effective = math.sqrt(total * (model.size.active or total))
    return math.log2(effective / 1e9) + years(model.released) - loss(model, quantisation)


def years(released: str) -> float:
    """Years since 2023 of a day or a month."""
    year, month = (int(part) for part in released.split("-")[:2])
    return year - _BEGINNING + (month - 1) / 12


def trained_so(size: Size) -> bool:
    """True of a model that was trained in the bits it is given out in."""
    return "qat" in size.tag.split("-") or size.default == "MXFP4"


def loss(model: Model, quantisation: str) -> float:
    """Doublings that a quantisation loses."""
    if model.size and quantisation == model.size.default and trained_so(model.size):
        return _TRAINED_SO
    if quantisation in _ELSEWHERE:
        return _ELSEWHERE[quantisation]
    bits = QUANTISATIONS[quantisation].bits
    for (more, little), (fewer, much) in pairwise(_LOSS):
        if bits >= fewer:
            share = min(max((more - bits) / (more - fewer), 0.0), 1.0)
            return little + share * (much - little)
    return _LOSS[-1][1]
