"""What the rounds come to: for each side and number of callers its figures, and their ratios."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from noibo.evaluation.answer import Answer
from noibo.evaluation.cost import Cost, Machine, at_home, bought
from noibo.evaluation.rounds import Cell, Round, Standing
from noibo.evaluation.statistics import Estimate, Quantile, Rate, Sample, estimate, ratio


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that is measured. `more`: more of it is better."""

    key: str
    unit: str
    more: bool
    of: Callable[[Sequence[Round]], Sample]


def _quantile(
    value: Callable[[Answer], float | None], share: float
) -> Callable[[Sequence[Round]], Sample]:
    def sample(rounds: Sequence[Round]) -> Sample:
        groups = [
            [found for answer in one.answers if (found := value(answer)) is not None]
            for one in rounds
        ]
        return Quantile([group for group in groups if group], share)

    return sample


def _per_second(much: Callable[[Round], float]) -> Callable[[Sequence[Round]], Sample]:
    def sample(rounds: Sequence[Round]) -> Sample:
        return Rate([(much(one), one.seconds) for one in rounds if _counts(one)])

    return sample


def _counts(one: Round) -> bool:
    """Whether it says something of rates."""
    return one.whole and bool(one.answers) and one.seconds > 0


def _answered(one: Round) -> float:
    """Answers in that time; of those that were under way at its end the part that had come."""
    return sum(answer.tokens_until(one.busy_until) / answer.tokens for answer in one.answers)


FIGURES: Final = (
    Figure("first_p50", "s", False, _quantile(lambda answer: answer.first_s, 0.5)),
    Figure("first_p99", "s", False, _quantile(lambda answer: answer.first_s, 0.99)),
    Figure("said_p50", "s", False, _quantile(lambda answer: answer.said_s, 0.5)),
    Figure("between_p50", "s", False, _quantile(lambda answer: answer.between_s, 0.5)),
    Figure("between_p99", "s", False, _quantile(lambda answer: answer.between_s, 0.99)),
    Figure("stall_p50", "s", False, _quantile(lambda answer: answer.stall_s, 0.5)),
    Figure("caller_rate", "tok/s", True, _quantile(lambda answer: answer.rate, 0.5)),
    Figure("rate", "tok/s", True, _per_second(lambda one: one.tokens)),
    Figure("answers_rate", "1/s", True, _per_second(_answered)),
    Figure("latency_p50", "s", False, _quantile(lambda answer: answer.latency_s, 0.5)),
    Figure("latency_p99", "s", False, _quantile(lambda answer: answer.latency_s, 0.99)),
)
BY_KEY: Final = {figure.key: figure for figure in FIGURES}


@dataclass(frozen=True, slots=True)
class Measured:
    """One side at one number of callers. `ratios` are to the first side, and empty for that."""

    side: str
    callers: int
    answers: int
    failures: Mapping[str, int]
    figures: Mapping[str, Estimate]
    ratios: Mapping[str, Estimate]
    cost: Cost | None


@dataclass(frozen=True, slots=True)
class Note:
    """Something that whoever reads the figures must know. `kind` is a key of `words.NOTES`."""

    kind: str
    side: str
    values: Mapping[str, str | int | float]


def measured(standings: Sequence[Standing], machine: Machine) -> list[Measured]:
    """Every side at every number of callers, those too that never answered."""
    return [
        _measured(standing, standings[0], callers, machine)
        for callers in standings[0].cells
        for standing in standings
    ]


def _measured(standing: Standing, first: Standing, callers: int, machine: Machine) -> Measured:
    cell = standing.cells[callers]
    figures = {figure.key: estimate(figure.of(cell.rounds)) for figure in FIGURES}
    if not any(answer.thought for answer in cell.answers):
        del figures["said_p50"]  # it is the first token
    keys = {} if standing is first else figures
    ratios = {key: compared(BY_KEY[key], cell, first.cells[callers]) for key in keys}
    return Measured(
        side=standing.side.name,
        callers=callers,
        answers=len(cell.answers),
        failures=dict(Counter(failure.kind.value for failure in cell.failures)),
        figures=figures,
        ratios=ratios,
        cost=_cost(standing, cell, figures["rate"].value, machine),
    )


def compared(figure: Figure, ours: Cell, theirs: Cell) -> Estimate:
    """A figure by the other side's, from the rounds in which both have it."""
    others = {one.number: one for one in theirs.rounds if figure.of([one]).n}
    mine = [one for one in ours.rounds if one.number in others and figure.of([one]).n]
    return ratio(figure.of(mine), figure.of([others[one.number] for one in mine]))


def _cost(standing: Standing, cell: Cell, rate: float | None, machine: Machine) -> Cost | None:
    tariff = standing.side.tariff
    if tariff is None:
        return None if standing.side.elsewhere else at_home(machine, rate)
    read = [answer.prompt_tokens for answer in cell.answers]
    counted = [tokens for tokens in read if tokens is not None]
    if len(counted) < len(read):
        return None  # what was not counted was not free
    billed = sum(answer.billed or answer.tokens for answer in cell.answers)
    return bought(tariff, sum(counted), billed, sum(answer.tokens for answer in cell.answers))
