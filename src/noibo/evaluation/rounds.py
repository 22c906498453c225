"""What was measured: rounds of answers, each of one side at one number of callers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from noibo.errors import UsageError
from noibo.evaluation.answer import Answer, Failure
from noibo.evaluation.sides import DIALECTS, Dialect, Side
from noibo.modelstore.printable import shown

MOST_CALLERS = 256
MOST_NAMED = 8  # of the names that a server gives itself


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked. Each round asks every side with each number of callers, `requests` times
    or for `seconds`, whichever is given, and at least once by each caller."""

    concurrency: tuple[int, ...] = (1, 4, 16)
    rounds: int = 5
    seconds: float = 6.0
    requests: int | None = None
    prompt_tokens: int = 128
    shared_prefix: int = 0
    tokens: int = 64
    patience_s: float = 600.0
    seed: int = 1

    def __post_init__(self) -> None:
        least = {
            "--concurrency": min(self.concurrency, default=0),
            "--rounds": self.rounds,
            "--requests": 1 if self.requests is None else self.requests,
            "--prompt-tokens": self.prompt_tokens,
            "--tokens": self.tokens,
        }
        for option, value in least.items():
            if value < 1:
                raise UsageError(f"{option} takes numbers from 1 on.")
        if max(self.concurrency) > MOST_CALLERS:
            raise UsageError(f"--concurrency goes up to {MOST_CALLERS} callers.")
        if not self.seconds > 0 or not self.patience_s > 0:
            raise UsageError("--seconds and --timeout are longer than nothing.")
        if not 0 <= self.shared_prefix < self.prompt_tokens:
            raise UsageError("--shared-prefix is a part of --prompt-tokens, less than all of it.")


@dataclass(slots=True)
class Round:
    """One round of one side. From `began` to `busy_until` all callers asked, or waited after a
    failure: rates are of that time, and only what was asked in it is kept. `cpu_share` of one core
    is what the bench took itself, `late_s` how late it was served at the p99. A round that was not
    `whole` tells nothing of rates: what was under way is lost."""

    number: int
    began: float = 0.0
    busy_until: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    cpu_share: float = 0.0
    late_s: float = 0.0
    whole: bool = False

    @property
    def seconds(self) -> float:
        return max(self.busy_until - self.began, 0.0)

    @property
    def tokens(self) -> float:
        """Tokens that came in that time."""
        return sum(answer.tokens_until(self.busy_until) for answer in self.answers)


@dataclass(slots=True)
class Cell:
    """All rounds of one side at one number of callers. `given_up`: why there are no more."""

    callers: int
    rounds: list[Round] = field(default_factory=list)
    given_up: Failure | None = None

    @property
    def answers(self) -> list[Answer]:
        return [answer for one in self.rounds for answer in one.answers]

    @property
    def failures(self) -> list[Failure]:
        return [failure for one in self.rounds for failure in one.failures]


@dataclass(slots=True)
class Standing:
    """What is known of a side. `warm_up_s` is what came before the measuring and is in no number;
    `words`: of its prompts; `out`: why it is asked no more; `memory`: bytes at most."""

    side: Side
    cells: dict[int, Cell]
    dialect: Dialect = DIALECTS[0]
    warm_up_s: float | None = None
    words: int = 0
    shared_words: int = 0
    out: Failure | None = None
    memory: int | None = None

    @property
    def answers(self) -> list[Answer]:
        return [answer for cell in self.cells.values() for answer in cell.answers]

    @property
    def models(self) -> Counter[str]:
        """By which names it answered, and how often."""
        return Counter(answer.model for answer in self.answers if answer.model)

    @property
    def others(self) -> list[str]:
        """Those of them that were not asked for. Where a model of ours was named with an engine, it
        was asked for without."""
        meant = {shown(self.side.model)}
        if self.side.host is not None:
            meant.add(shown(self.side.model.rpartition("@")[0]))
        return [name for name in self.models if name not in meant]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the measuring stands."""

    side: str
    callers: int
    round: int
    rounds: int
    answered: int
    failed: int
    rate: float

    def __str__(self) -> str:
        if not self.callers:
            return f"{self.side}: warming up"
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"round {self.round} of {self.rounds}, {self.callers} at once, {self.side}: "
            f"{self.answered} answered{failed}, {self.rate:.1f} tok/s"
        )


def first_of(names: Iterable[str], between: str) -> str:
    """The first of names of which there may be many."""
    listed = list(names)
    return between.join(listed[:MOST_NAMED]) + " …" * (len(listed) > MOST_NAMED)


def standings(sides: Sequence[Side], plan: Plan) -> list[Standing]:
    """Nothing measured yet."""
    return [Standing(side, {many: Cell(many) for many in plan.concurrency}) for side in sides]
