"""What to change, in words that can be typed, each tried before it is said.

One change alone is sought first, the least harmful before others: the state of conversations held
in half the bytes, fewer callers at once, a shorter context, a smaller quantisation. Where none
suffices, all together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from noibo.engines.fit.ask import Ask, in_quantisation
from noibo.engines.fit.judge import AS_ONE_READS, judge
from noibo.engines.fit.prediction import Fit, gigabytes
from noibo.engines.llama_cpp.adapter import LEAST_CONTEXT
from noibo.engines.memory.correction import Correction
from noibo.hardware.machine import Hardware
from noibo.modelstore.catalog import quantisation as q
from noibo.settings import KvType

RANKS: Final = {"does not": 0, "tight": 1, "runs well": 2, "API only": 3}
LEAST_BITS: Final = 3.0  # a weight: below that answers suffer most
CELLS: Final = 256
Try = Callable[[Ask], Fit]


@dataclass(frozen=True, slots=True)
class _Change:
    """What to type, and what it makes of the ask."""

    words: str
    ask: Ask


def advised(fit: Fit, hardware: Hardware, correction: Correction, budget: float) -> Fit:
    """The same with its advice."""

    def attempt(ask: Ask) -> Fit:
        return judge(ask, hardware, correction, budget)

    lines = [*_stretched(fit.ask)]
    if fit.verdict in {"tight", "does not"}:
        lines = [*_changes(fit, attempt), *lines]
    return replace(fit, advice=tuple(lines))


def _changes(fit: Fit, attempt: Try) -> Iterator[str]:
    found = False
    for change in (
        _rounded(fit),
        _fewer(fit, attempt),
        _shorter(fit, attempt),
        _smaller(fit, attempt),
    ):
        if change is not None and _is_better(after := attempt(change.ask), fit):
            found = True
            yield _line(change, fit, after)
    if found:
        return
    if (change := _all_together(fit, attempt)) is not None:
        yield _line(change, fit, attempt(change.ask))
        return
    if fit.verdict == "does not":
        yield "No setting makes it fit here: take a smaller model, `noibo recommend` names some."
    elif fit.decode is not None and fit.decode.middle < AS_ONE_READS:
        yield "A smaller model is faster: `noibo recommend` names some."


def _is_better(after: Fit, before: Fit) -> bool:
    return RANKS[after.verdict] > RANKS[before.verdict]


def _line(change: _Change, before: Fit, after: Fit) -> str:
    """`--kv q8_0`: 3.1 GB instead of 4.5 GB; it then runs well."""
    then = "it then runs well" if after.verdict == "runs well" else "it then just fits"
    if after.decode and before.decode and before.decode.middle < AS_ONE_READS:
        then += f", at about {after.decode.middle:.1f} tokens/s"
    sizes = f"{gigabytes(after.memory.middle)} instead of {gigabytes(before.memory.middle)}"
    return f"`{change.words}`: {sizes}; {then}."


def _rounded(fit: Fit) -> _Change | None:
    ask = fit.ask
    if ask.kv_type == "q8_0" or not ask.may_round or not ask.writes:
        return None
    return _Change("--kv q8_0", replace(ask, kv_type="q8_0"))


def _fewer(fit: Fit, attempt: Try) -> _Change | None:
    """The most callers with whom it is better."""

    def asked(callers: int) -> Ask:
        return replace(fit.ask, parallel=callers)

    most = _most(1, fit.ask.parallel - 1, lambda callers: _is_better(attempt(asked(callers)), fit))
    return _Change(f"--parallel {most}", asked(most)) if most else None


def _shorter(fit: Fit, attempt: Try) -> _Change | None:
    """The longest context with which it is better."""

    def asked(cells: int) -> Ask:
        return replace(fit.ask, context=cells * CELLS)

    longest = min(fit.ask.context - 1, fit.ask.model.trained_context or fit.ask.context)
    low, high = LEAST_CONTEXT // CELLS, longest // CELLS
    most = _most(low, high, lambda cells: _is_better(attempt(asked(cells)), fit))
    return _Change(f"--context {most * CELLS}", asked(most)) if most else None


def _most(low: int, high: int, holds: Callable[[int], bool]) -> int | None:
    """The largest number of which it holds, found by halving what is between; None where it does
    not hold of the least."""
    if high < low or not holds(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _smaller(fit: Fit, attempt: Try) -> _Change | None:
    """The quantisation with the most bits that is better, of those it can be had in."""
    for name in _otherwise(fit.ask):
        ask = in_quantisation(fit.ask, name)
        if _is_better(attempt(ask), fit):
            return _Change(f"--quant {name}", ask)
    return None


def _otherwise(ask: Ask) -> list[str]:
    """Other quantisations, from many bits to few. More bits can take less memory: what llama.cpp
    copies into another order is there twice."""
    if not ask.model.info or not ask.model.info.parameters:
        return []
    names = {one for one in ask.others if one in q.QUANTISATIONS} - {ask.quantisation}
    return q.ordered(name for name in names if q.QUANTISATIONS[name].bits >= LEAST_BITS)


def _all_together(fit: Fit, attempt: Try) -> _Change | None:
    """One caller, rounded state, and as much context as that leaves; if need be, stored smaller."""
    kind: KvType = "q8_0" if fit.ask.may_round else fit.ask.kv_type
    bare = replace(fit.ask, parallel=1, kv_type=kind)
    for name in (None, *_otherwise(fit.ask)):
        ask = in_quantisation(bare, name) if name else bare
        words = f"--quant {name} " * bool(name)
        words += "--parallel 1" + " --kv q8_0" * (kind == "q8_0")
        if _is_better(attempt(ask), fit):
            return _Change(words, ask)
        short = _shorter(replace(fit, ask=ask), attempt)
        if short is not None:
            return _Change(f"{words} {short.words}", short.ask)
    return None


def _stretched(ask: Ask) -> Iterator[str]:
    """What a context over what the model was trained with means to llama.cpp."""
    if ask.elsewhere:
        return
    info = ask.model.info
    trained = ask.model.trained_context or (info.context_length if info else 0) or 0
    first = (info.unstretched_length if info else 0) or 0
    if first and info and info.rope_scaling == "yarn" and first < ask.context <= trained:
        factor = f" (factor {info.rope_factor:g})" if info.rope_factor else ""
        yield (
            f"It was trained with {first:,} tokens, and its file stretches that by YaRN{factor} to "
            f"{trained:,}: answers over more than {first:,} are less exact."
        )
    elif trained and ask.context > trained:
        yield (
            f"It was trained for {trained:,} tokens, and llama.cpp gives no caller more: "
            f"{ask.context:,} need a file that is stretched by YaRN (factor "
            f"{ask.context / trained:.3g}). The memory and speeds above are for that, on paper; "
            f"`--context {trained}` is all that this file can use."
        )
