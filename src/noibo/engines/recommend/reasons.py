"""Why a model is recommended: one line for each thing one asks before a download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from noibo.engines.recommend.candidate import SERVED_BY
from noibo.engines.recommend.quality import loss
from noibo.engines.recommend.ranking import Pick
from noibo.engines.recommend.use import is_vietnamese, speaks_vietnamese
from noibo.modelstore.catalog.entry import Model

_LOSSES: Final = (
    (0.02, "loses nothing to speak of"),
    (0.12, "loses hardly anything"),
    (0.35, "is the usual compromise"),
    (9.0, "loses a good deal: it fits no better"),
)
_LICENCES: Final = {
    "permissive": "free for business",
    "copyleft": "free for business, changes under the same licence",
    "rail": "free for business, harmful uses excepted",
    "llama": "business below 700 million users",
    "gemma": "business under Google's list of uses",
    "community": "business under conditions",
    "non-commercial": "not for business",
    "research": "for research only",
}


def reasons(pick: Pick) -> dict[str, str]:
    """What to know of it, by what it is about."""
    return dict(_lines(pick))


def _lines(pick: Pick) -> Iterator[tuple[str, str]]:
    model, candidate = pick.candidate.model, pick.candidate
    yield "fits", _fits(pick)
    if speed := _speed(pick):
        yield "speed", speed
    how = _how_good(loss(model, candidate.quantisation))
    yield "quality", f"{size_of(model)} of {model.released[:7]}; {candidate.quantisation} {how}"
    yield "vietnamese", vietnamese(model)
    kind = candidate.licence.kind
    yield "licence", f"{candidate.licence.name}: {_LICENCES.get(kind, 'read it first')}"
    if candidate.quantisation in SERVED_BY:
        yield "engine", f"run by {candidate.engine}, the fastest for many callers on this card"
    if candidate.gated:
        yield "access", "its maker wants a sign-in and an accepted licence first"


def _fits(pick: Pick) -> str:
    takes, left = _gb(pick.fit.memory.middle), _gb(pick.spare)
    if pick.whole_on_gpu:
        return f"takes {takes}, whole on the GPU with {left} to spare"
    if pick.fit.gpu_layers:
        layers = (pick.fit.ask.model.info and pick.fit.ask.model.info.layers) or 0
        on_gpu = f"{pick.fit.gpu_layers} of {layers} layers on the GPU"
        return f"takes {takes}, {on_gpu}, the rest in memory with {left} to spare"
    tight = f" ({pick.fit.why})" if pick.fit.verdict == "tight" else ""
    return f"takes {takes} of the memory, {left} to spare{tight}"


def _speed(pick: Pick) -> str:
    said = []
    if pick.decode:
        said.append(f"about {pick.decode:.0f} tokens/s")
    if pick.prefill:
        said.append(f"reads prompts at {pick.prefill:,.0f} tokens/s")
    return ", ".join(said)


def _how_good(lost: float) -> str:
    return next(words for most, words in _LOSSES if lost <= most)


def vietnamese(model: Model) -> str:
    """What its maker says of Vietnamese."""
    if is_vietnamese(model):
        return "made for it"
    return "named by its maker" if speaks_vietnamese(model) else "not named by its maker"


def size_of(model: Model) -> str:
    """`9.7B`, `36B (3B active)`."""
    if model.size is None:
        return "?"
    count, active = model.size.parameters, model.size.active
    text = f"{count / 1e9:.2g}B" if count >= 999_500_000 else f"{count / 1e6:.0f}M"
    return f"{text} ({active / 1e9:.2g}B active)" if active else text


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
