"""What a model says of given texts: the log-probability of every token after those before it.

Texts that begin alike are read once. What was read last is kept as the trunk, with what was said
after each of its tokens; a text goes on where it leaves the trunk. Short texts that leave the trunk
at the same place, as the answers of a multiple choice do, are read in one batch, each as a sequence
of its own that shares the trunk's state.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from noibo.engines.llama_cpp.model import DecodeFailed, LlamaModel, Scores, Token

ROWS = 16  # scores that are worked on at a time: what fits a processor's cache

Tokens = Sequence[int]


class Stopped(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Chance:
    """One token's log-probability, and its rank: 1 for the likeliest."""

    logprob: float
    rank: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model says after one token: its likeliest tokens, best first, with their
    log-probabilities, and the chance of each token that was asked for."""

    likeliest: list[tuple[int, float]]
    chances: dict[int, Chance]


@dataclass(frozen=True, slots=True)
class Step:
    """A token to read, and the tokens after it whose chance is asked for."""

    token: Token
    targets: frozenset[int]


@dataclass(frozen=True, slots=True)
class Asked:
    """One text: its tokens, and whether what would come after the last is asked for too."""

    tokens: tuple[int, ...]
    after: bool = False

    @property
    def read(self) -> tuple[int, ...]:
        """The tokens that must be read for it."""
        return self.tokens if self.after else self.tokens[:-1]

    def targets(self, place: int) -> frozenset[int]:
        """The token whose chance is asked for after the token at `place`."""
        return frozenset(self.tokens[place + 1 : place + 2])


@dataclass(frozen=True, slots=True)
class Scored:
    """What was said after each token that was read; `reused` of them had been read before."""

    asked: Asked
    seen: list[Seen]
    reused: int


@dataclass(slots=True)
class _Work:
    """What one call of `score` goes by."""

    top: int
    stop: threading.Event = field(default_factory=threading.Event)


class Scorer:
    """Scores texts on one loaded model. Not for two threads at once."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model
        self._trunk: list[int] = []
        self._seen: list[Seen] = []  # after each token of the trunk

    def score(
        self, texts: Sequence[Asked], top: int, stop: threading.Event
    ) -> Iterator[tuple[int, Scored]]:
        """Each text's number and its scores with at least the `top` likeliest tokens, in an order
        that shares most. Raises `Stopped` within a batch of `stop`, and `DecodeFailed`."""
        work = _Work(max(top, 1), stop)
        order = sorted(range(len(texts)), key=lambda number: texts[number].tokens)
        while order:
            group = self._group([texts[number] for number in order])
            yield from zip(order, self._score_group(group, work), strict=False)
            order = order[len(group) :]

    def _group(self, texts: Sequence[Asked]) -> Sequence[Asked]:
        """As many of the sorted texts as leave a common trunk for one batch of branches."""
        first, shared, count = texts[0].read, len(texts[0].read), 1
        for text in texts[1 : self._model.sequences - 2]:
            fork = min(shared, _alike(first, text.read))
            branches = sum(len(one.read) - fork for one in texts[: count + 1])
            if branches > self._model.batch or fork + branches > self._model.context_length:
                break
            shared, count = fork, count + 1
        return texts[:count]

    def _score_group(self, group: Sequence[Asked], work: _Work) -> list[Scored]:
        fork = min(_alike(group[0].read, text.read) for text in group)
        reused = self._grow_trunk(group, fork, work)
        trunk = self._seen[:fork]
        branches = self._read_branches([text for text in group if len(text.read) > fork], work)
        return [
            Scored(text, trunk + branches.get(text, []), reused if not number else fork)
            for number, text in enumerate(group)
        ]

    def _grow_trunk(self, group: Sequence[Asked], fork: int, work: _Work) -> int:
        """Make the first `fork` tokens of the group the trunk; how many of them were it already."""
        path = group[0].read[:fork]
        steps = [
            Step(Token(token, place), frozenset().union(*(text.targets(place) for text in group)))
            for place, token in enumerate(path)
        ]
        known = takewhile(
            lambda pair: _answers(pair[0], pair[1], work.top),
            zip(self._seen[: _alike(self._trunk, path)], steps, strict=False),
        )
        kept = self._cut_trunk(sum(1 for _ in known))
        self._run(steps[kept:], work)
        return kept

    def _cut_trunk(self, length: int) -> int:
        """Keep so many tokens of the trunk; none where the model cannot go back to there."""
        if length < len(self._trunk) and not self._model.cut(0, length):
            self._forget()
            length = 0
        del self._trunk[length:], self._seen[length:]
        return length

    def _read_branches(self, texts: Sequence[Asked], work: _Work) -> dict[Asked, list[Seen]]:
        """What each of the texts adds to the trunk, read side by side."""
        fork = len(self._trunk)
        distinct = list(dict.fromkeys(texts))
        steps = []
        for sequence, text in enumerate(distinct, start=1):
            self._model.copy(0, sequence)
            steps += [
                Step(Token(token, place, sequence), text.targets(place))
                for place, token in enumerate(text.read)
                if place >= fork
            ]
        try:
            seen = iter(self._run(steps, work))
        finally:
            for sequence in range(1, len(distinct) + 1):
                self._model.cut(sequence, 0)
        return {text: [next(seen) for _ in text.read[fork:]] for text in distinct}

    def _run(self, steps: Sequence[Step], work: _Work) -> list[Seen]:
        """Read the steps, batch by batch; those of the first sequence are the trunk."""
        found: list[Seen] = []
        for start in range(0, len(steps), self._model.batch):
            if work.stop.is_set():
                raise Stopped
            batch = steps[start : start + self._model.batch]
            try:
                scores = self._model.read([step.token for step in batch])
            except DecodeFailed:
                self._forget()
                raise
            seen = _look(scores, batch, work.top)
            found += seen
            if batch[0].token.sequence == 0:
                self._trunk += [step.token.id for step in batch]
                self._seen += seen
        return found

    def _forget(self) -> None:
        self._model.clear()
        self._trunk.clear()
        self._seen.clear()


def _alike(one: Tokens, other: Tokens) -> int:
    """How many tokens two texts have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _answers(seen: Seen, step: Step, top: int) -> bool:
    """True if what was said after a token answers what is asked for now."""
    return len(seen.likeliest) >= top and step.targets <= seen.chances.keys()


def _look(scores: Scores, steps: Sequence[Step], top: int) -> list[Seen]:
    """What is asked for of the scores after each step."""
    found = []
    for start in range(0, len(steps), ROWS):
        rows = scores[start : start + ROWS]
        highest = rows.max(axis=1, keepdims=True)
        sums = np.exp(rows - highest).sum(axis=1, dtype=np.float64)
        norms = highest[:, 0].astype(np.float64) + np.log(sums)
        for row, norm, step in zip(rows, norms.tolist(), steps[start : start + ROWS], strict=True):
            found.append(_seen(row, norm, step.targets, top))
    return found


def _seen(row: Scores, norm: float, targets: frozenset[int], top: int) -> Seen:
    chances = {
        target: Chance(float(row[target]) - norm, 1 + int(np.count_nonzero(row > row[target])))
        for target in targets
    }
    return Seen([(token, float(row[token]) - norm) for token in _highest(row, top)], chances)


def _highest(row: Scores, count: int) -> list[int]:
    """The tokens with the highest scores, best first; of two alike the lower id."""
    if count == 1:
        return [int(row.argmax())]
    best = np.argpartition(row, -count)[-count:] if count < len(row) else np.arange(len(row))
    return sorted(best.tolist(), key=lambda token: (-row[token], token))
