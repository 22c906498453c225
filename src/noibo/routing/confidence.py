"""How sure a model was of what it wrote, and what that says of whether it is right.

The signals are those of its own tokens: the mean of their log-probabilities, the least of them, the
entropy of what could have stood in their places; and, where it was asked more than once, the share
of its answers that agree (self-consistency: Wang et al., 2022). A logistic regression turns them
into a chance. Its weights are measured (docs/routing.md says on what); a model of one's own is
calibrated anew by `fit`, from its own answers and whether they were right.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import msgspec

MOST_EVIDENCE: Final = 3.0
_CERTAIN: Final = 1e-12
_NO_LOGPROB: Final = 1e6
Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Confidence:
    """Of one answer. In nats; `entropy` is None where no other tokens were told, `agreement` (the
    share of answers that say the same, itself among them) where it was asked once."""

    tokens: int
    mean: float
    least: float
    entropy: float | None = None
    agreement: float | None = None

    @classmethod
    def of_tokens(
        cls, logprobs: Sequence[float], likeliest: Sequence[Sequence[float]] = ()
    ) -> Confidence | None:
        """By the log-probability of each token, and those of the likeliest in its place; None
        where there are no tokens."""
        if not logprobs:
            return None
        entropy = None
        if likeliest:
            entropy = sum(map(entropy_of, likeliest)) / len(likeliest)
        mean = math.fsum(logprobs) / len(logprobs)
        return cls(len(logprobs), mean, min(logprobs), entropy)

    @classmethod
    def of_chat(
        cls, choice: Mapping[str, Any], agreement: float | None = None
    ) -> Confidence | None:
        """By a choice of an answer in OpenAI's shape; None where it tells no log-probabilities."""
        told = choice.get("logprobs")
        rows = told.get("content") if isinstance(told, Mapping) else None
        if not isinstance(rows, list):
            return None
        logprobs, likeliest = [], []
        for row in rows:
            if not isinstance(row, Mapping) or not _is_number(row.get("logprob")):
                continue
            logprobs.append(float(row["logprob"]))
            if numbers := _numbers(row.get("top_logprobs")):
                likeliest.append(numbers)
        return cls.of_tokens(logprobs, likeliest)

    def row(self) -> Row:
        """As a regression sees it."""
        entropy = self.entropy if self.entropy is not None else -self.mean
        agreement = self.agreement if self.agreement is not None else 0.0
        return (self.mean, self.least, entropy, math.log(self.tokens), agreement)


NAMES: Final = ("mean", "least", "entropy", "log_tokens", "agreement")
_PULL: Final[Row] = (100.0, 100.0, 100.0, 100.0, 3.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of the signals in `NAMES`, each in deviations from the mean of what they were learnt
    from. `alone` are those for answers that were asked for once. `learnt`: from how many answers;
    0 says nothing of a model, and then no chance is told."""

    means: Row
    scales: Row
    together: Row  # the first is the constant
    alone: Row
    learnt: int
    source: str = ""

    def chance(self, confidence: Confidence | None, prior: float | None = None) -> float | None:
        """That the answer is right; None where nothing is known of it. `prior`: the chance before
        there was an answer, from which its confidence leads up or down; without one, the share of
        right answers that this was learnt from."""
        if confidence is None or not self.learnt:
            return None
        weights = self.together if confidence.agreement is not None else self.alone
        if not any(weights[1:]):
            return None
        start = weights[0] if prior is None else _odds(prior)
        return 1 / (1 + math.exp(-(start + self.evidence(confidence))))

    def evidence(self, confidence: Confidence) -> float:
        """How far it moves the log-odds, at most `MOST_EVIDENCE`."""
        weights = self.together if confidence.agreement is not None else self.alone
        parts = zip(confidence.row(), self.means, self.scales, strict=True)
        row = [(value - mean) / scale for value, mean, scale in parts]
        moved = sum(w * x for w, x in zip(weights[1:], row, strict=False))
        return max(min(moved, MOST_EVIDENCE), -MOST_EVIDENCE)


@functools.cache
def shipped() -> Calibration:
    """Weights that noibo comes with, learnt from a small model (docs/routing.md). Of another they
    say what moves a chance, and neither where it begins nor how sure that model is as a rule:
    `OwnAnswers` makes them fit."""
    text = (resources.files("noibo.routing") / "weights" / "answers.json").read_bytes()
    return msgspec.json.decode(text, type=Calibration)


def fit(answers: Sequence[Confidence], right: Sequence[bool], *, source: str = "") -> Calibration:
    """Learn weights from answers and whether they were right. They are drawn towards nothing, so
    that few answers say little (ridge); those of tokens more, for how likely words are differs from
    one kind of question to another, and whether answers agree hardly does. Raises ValueError for
    answers of one kind only."""
    import numpy as np  # where weights are only used, nothing of it is needed

    if len(set(right)) < 2 or len(answers) != len(right):
        raise ValueError("it takes answers that were right and answers that were wrong")
    rows = np.array([one.row() for one in answers])
    means, scales = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    rows, wanted = (rows - means) / scales, np.array(right, dtype=float)
    several = any(one.agreement is not None for one in answers)
    alone = _regress(rows[:, :-1], wanted, _PULL[:-1])
    together = _regress(rows, wanted, _PULL) if several else (*alone, 0.0)
    return Calibration(
        tuple(map(float, means)), tuple(map(float, scales)), together, alone, len(right), source
    )


def entropy_of(likeliest: Sequence[float]) -> float:
    """In nats, of the likeliest tokens of one place; all others count as one."""
    chances = [math.exp(min(one, 0.0)) for one in likeliest]
    rest = max(0.0, 1 - sum(chances))
    return -sum(p * math.log(p) for p in (*chances, rest) if p > _CERTAIN)


def _regress(rows: Any, wanted: Any, pull: Row, rounds: int = 50) -> Row:
    """Logistic regression by Newton's method, the constant not drawn to nothing."""
    import numpy as np

    rows = np.column_stack([np.ones(len(rows)), rows])
    held = np.diag([1e-9, *pull])
    weights = np.zeros(rows.shape[1])
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (wanted - p) - held @ weights
        bend = (rows * (p * (1 - p))[:, None]).T @ rows + held
        step = np.linalg.solve(bend, slope)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    return tuple(map(float, weights))


def _odds(p: float) -> float:
    kept = min(max(p, 0.01), 0.99)
    return math.log(kept / (1 - kept))


def _numbers(rows: Any) -> list[float]:
    rows = rows if isinstance(rows, list) else []
    tops: list[Any] = [one.get("logprob") for one in rows if isinstance(one, Mapping)]
    return [float(one) for one in tops if _is_number(one)]


def _is_number(value: Any) -> bool:
    """A log-probability: no NaN, nor what no float holds."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _NO_LOGPROB
    )
