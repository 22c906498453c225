"""What whoever reads the figures must know of how they came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from noibo.evaluation.measures import Note
from noibo.evaluation.rounds import Plan, Standing, first_of
from noibo.evaluation.statistics import percentile
from noibo.modelstore.printable import shown

_NEARLY: Final = 0.9  # of what was asked for
_BUSY: Final = 0.5  # of a core: from there on the bench may be what is slow
_LATE_S: Final = 0.05


def notes(standings: Sequence[Standing], plan: Plan) -> list[Note]:
    """All there is to say, side by side, and last of the bench itself."""
    said = [note for standing in standings for note in _of(standing, plan)]
    return [*said, *_own(standings)]


def _of(standing: Standing, plan: Plan) -> Iterator[Note]:
    name, answers = standing.side.name, standing.answers
    if standing.out is not None:
        yield Note("out", name, {"kind": standing.out.kind.value, "said": standing.out.said})
    for callers, cell in standing.cells.items():
        if cell.given_up is not None and cell.given_up is not standing.out:
            said = cell.given_up.said
            yield Note("given_up", name, {"callers": callers, "said": said})
    yield from _failures(standing)
    if not answers:
        return
    if standing.warm_up_s is not None:
        yield Note("warm_up", name, {"seconds": round(standing.warm_up_s, 1)})
    if standing.others:
        by = first_of(standing.others, ", ")
        yield Note("answered_as", name, {"asked": shown(standing.side.model), "by": by})
    if any(not answer.by_usage for answer in answers):
        yield Note("by_pieces", name, {})
    yield from _lengths(standing, plan)


def _failures(standing: Standing) -> Iterator[Note]:
    """Each kind once, with what the first of it said."""
    failures = [failure for cell in standing.cells.values() for failure in cell.failures]
    said = {failure.kind: failure.said for failure in reversed(failures)}
    for kind, many in Counter(failure.kind for failure in failures).most_common():
        values = {"many": many, "kind": kind.value, "said": said[kind]}
        yield Note("failed", standing.side.name, values)


def _lengths(standing: Standing, plan: Plan) -> Iterator[Note]:
    """Where prompts and answers were not as long as was asked, or came out of a cache."""
    name, answers = standing.side.name, standing.answers
    tokens = percentile([answer.tokens for answer in answers], 0.5)
    if tokens < plan.tokens * _NEARLY:
        kind = "short" if standing.dialect.ignore_eos else "short_own_end"
        yield Note(kind, name, {"tokens": round(tokens), "asked": plan.tokens})
    elif not standing.dialect.ignore_eos:
        yield Note("no_ignore_eos", name, {})
    read = [answer.prompt_tokens for answer in answers if answer.prompt_tokens is not None]
    if not read:
        yield Note("prompt_unknown", name, {"words": standing.words})
        return
    prompt = percentile(read, 0.5)
    if abs(prompt / plan.prompt_tokens - 1) > 1 - _NEARLY:
        yield Note("prompt", name, {"tokens": round(prompt), "asked": plan.prompt_tokens})
    cached = sum(answer.cached_tokens or 0 for answer in answers) / max(sum(read), 1)
    if cached > 1 - _NEARLY:
        yield Note("cached", name, {"percent": round(100 * cached)})


def _own(standings: Sequence[Standing]) -> Iterator[Note]:
    """What the bench itself took, at the worst."""
    rounds = [
        one for standing in standings for cell in standing.cells.values() for one in cell.rounds
    ]
    if not rounds:
        return
    share, late = max(one.cpu_share for one in rounds), max(one.late_s for one in rounds)
    kind = "own_slow" if share > _BUSY else "own_late" if late > _LATE_S else "own"
    yield Note(kind, "", {"percent": round(100 * share), "late_ms": round(1000 * late, 1)})
