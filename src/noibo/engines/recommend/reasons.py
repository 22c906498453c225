"""Why a model is recommended: one line for each thing one asks before a download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from noibo.engines.recommend.candidate import SERVED_BY
from noibo.engines.recommend.quality import loss
from noibo.engines.recommend.ranking import Pick
from noibo.engines.recommend.use import is_vietnamese, speaks_vietnamese
from noibo.engines.recommend.words import WORDS, Language, Words
from noibo.modelstore.catalog.entry import Model

_LITTLE: Final = (0.02, 0.12, 0.35)  # doublings lost, up to which each of the words holds


def reasons(pick: Pick, lang: Language = "en") -> dict[str, str]:
    """What to know of it, by what it is about."""
    return dict(_lines(pick, WORDS[lang]))


def _lines(pick: Pick, words: Words) -> Iterator[tuple[str, str]]:
    model, candidate = pick.candidate.model, pick.candidate
    yield "fits", _fits(pick, words)
    if speed := _speed(pick, words):
        yield "speed", speed
    lost = loss(model, candidate.quantisation)
    yield (
        "quality",
        words.quality.format(
            size=size_of(model, words),
            released=model.released[:7],
            quantisation=candidate.quantisation,
            loss=words.losses[sum(lost > most for most in _LITTLE)],
        ),
    )
    yield "vietnamese", _vietnamese(model, words)
    means = words.licences.get(candidate.licence.kind, words.read_first)
    yield "licence", f"{candidate.licence.name}: {means}"
    if candidate.quantisation in SERVED_BY:
        count = sum(bool(one.bytes) for one in pick.fit.offload.devices)
        said = words.divided if count > 1 else words.engine
        yield "engine", said.format(engine=candidate.engine, count=count)
    if candidate.gated:
        yield "access", words.gated


def _fits(pick: Pick, words: Words) -> str:
    takes, left = _gb(pick.takes), _gb(pick.spare)
    if pick.whole_on_gpu:
        return words.whole.format(takes=takes, left=left)
    if some := sum(one.layers for one in pick.fit.offload.devices):
        info = pick.fit.ask.model.info
        layers = (info and info.layers) or 0
        return words.part.format(takes=takes, left=left, some=some, all=layers)
    tight = f" ({_tight(pick, words)})" if pick.fit.verdict == "tight" else ""
    return words.memory.format(takes=takes, left=left) + tight


def _tight(pick: Pick, words: Words) -> str:
    """Why it is no better, of what runs in the memory alone."""
    most, may = pick.fit.memory.high, pick.fit.ram + pick.spare
    if most > may or pick.decode is None:
        return words.crowded.format(most=_gb(most), may=_gb(may))
    return words.slow.format(rate=pick.decode)


def _speed(pick: Pick, words: Words) -> str:
    said = []
    if pick.decode:
        said.append(words.decode.format(rate=pick.decode))
    if pick.prefill:
        said.append(words.prefill.format(rate=pick.prefill))
    return ", ".join(said)


def _vietnamese(model: Model, words: Words) -> str:
    if is_vietnamese(model):
        return words.made_for
    return words.named if speaks_vietnamese(model) else words.not_named


def size_of(model: Model, words: Words = WORDS["en"]) -> str:
    """`9.7B`, `36B (3B active)`."""
    if model.size is None:
        return "?"
    count, active = _count(model.size.parameters), model.size.active
    return words.active.format(size=count, active=_count(active)) if active else count


def _count(parameters: float) -> str:
    """`870M`, `9.7B`, `671B`."""
    if parameters < 999_500_000:
        return f"{parameters / 1e6:.0f}M"
    billions = parameters / 1e9
    return f"{billions:.2g}B" if billions < 99.5 else f"{billions:.0f}B"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
