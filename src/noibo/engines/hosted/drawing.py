"""The next token, out of the scores of all: what is asked for, drawn the same for every engine.

Order, as in the field: bias, the form that must be kept to, penalties, temperature, top_k, top_p,
min_p, one draw. Log-probabilities that are told are of the model's own scores, before all that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from noibo.engines.hosted.python_model import Scores
from noibo.engines.hosted.wanted import Refused, Wanted

LAST: Final = 64  # tokens that `repeat_penalty` looks back over
NEVER: Final = -np.inf
# Where neither the request nor the model's makers say: as llama.cpp does, so that a model answers
# alike by either engine. The whole vocabulary at 1.0 makes small models ramble.
NOBODY_SAYS: Final[Mapping[str, float]] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.95,
    "min_p": 0.05,
    "repetition_penalty": 1.0,
}


@dataclass(frozen=True, slots=True)
class Way:
    """How tokens are drawn."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence: float = 0.0
    frequency: float = 0.0
    repeat: float = 1.0
    repeat_last: int = LAST
    bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None

    @classmethod
    def of(cls, wanted: Wanted, usual: Mapping[str, float], vocabulary: int) -> Way:
        """As asked for, else as the model's makers say, else as is usual. Raises `Refused` for an
        unknown token."""

        def either(asked: float | None, name: str) -> float:
            return usual.get(name, NOBODY_SAYS[name]) if asked is None else asked

        seed = wanted.seed
        return cls(
            temperature=either(wanted.temperature, "temperature"),
            top_p=either(wanted.top_p, "top_p"),
            top_k=max(int(either(wanted.top_k, "top_k")), 0),
            min_p=either(wanted.min_p, "min_p"),
            presence=wanted.presence_penalty or 0.0,
            frequency=wanted.frequency_penalty or 0.0,
            repeat=either(wanted.repeat_penalty, "repetition_penalty"),
            repeat_last=LAST if wanted.repeat_last_n is None else wanted.repeat_last_n,
            bias=_bias(wanted.logit_bias or {}, vocabulary),
            seed=None if seed is None or seed < 0 else seed,
        )


def _bias(said: Mapping[str, float], vocabulary: int) -> dict[int, float]:
    found = {}
    for name, value in said.items():
        if not name.isdecimal() or int(name) >= vocabulary:
            raise Refused(f"logit_bias: there is no token {name[:20]}.", "logit_bias")
        found[int(name)] = float(value)
    return found


class Form(Protocol):
    """What an answer must look like."""

    def allowed(self, size: int) -> NDArray[np.bool_]:
        """Which tokens may come next, of so many."""

    def take(self, token: int) -> bool:
        """A token was written; True if nothing can follow."""


class Drawer:
    """Draws the tokens of one answer. `read`: those of its prompt."""

    def __init__(self, way: Way, read: Sequence[int], form: Form | None = None) -> None:
        self._way = way
        self._form = form
        self._random = np.random.default_rng(way.seed)
        self._read = read
        self._written: list[int] = []
        self._often: Counter[int] = Counter()
        self.complete = False  # the form is: nothing can follow

    def draw(self, scores: Scores) -> int:
        """A token; it counts as written."""
        token = self._choose(scores.astype(np.float64))
        self._written.append(token)
        self._often[token] += 1
        if self._form is not None:
            self.complete = self._form.take(token)
        return token

    def _choose(self, scores: NDArray[np.float64]) -> int:
        way = self._way
        for token, more in way.bias.items():
            scores[token] += more
        if self._form is not None:
            scores[~self._form.allowed(len(scores))] = NEVER
        self._penalise(scores)
        if way.temperature == 0 or way.top_k == 1:
            return int(scores.argmax())
        tokens, chances = self._likely(scores)
        return int(tokens[self._random.choice(len(tokens), p=chances)])

    def _penalise(self, scores: NDArray[np.float64]) -> None:
        way = self._way
        if way.presence or way.frequency:
            for token, times in self._often.items():
                scores[token] -= way.presence + way.frequency * times
        if way.repeat != 1 and way.repeat_last:
            said = [*self._read, *self._written]
            seen = list({*(said if way.repeat_last < 0 else said[-way.repeat_last :])})
            those = scores[seen]
            scores[seen] = np.where(those > 0, those / way.repeat, those * way.repeat)

    def _likely(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The tokens that are drawn from, best first, and their chances."""
        way = self._way
        if 0 < way.top_k < len(scores):
            tokens = np.argpartition(scores, -way.top_k)[-way.top_k :]
        else:
            tokens = np.flatnonzero(scores > NEVER)
        tokens = tokens[np.argsort(-scores[tokens], kind="stable")]
        chances = np.exp((scores[tokens] - scores[tokens[0]]) / way.temperature)
        chances /= chances.sum()
        if way.top_p < 1:
            kept = int(np.searchsorted(chances.cumsum(), way.top_p)) + 1
            tokens, chances = tokens[:kept], chances[:kept]
        if way.min_p > 0:
            kept = int(np.count_nonzero(chances >= way.min_p * chances[0]))
            tokens, chances = tokens[:kept], chances[:kept]
        return tokens, chances / chances.sum()


def likeliest(scores: Scores, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
    """The log-probability of a token and those of the `top` likeliest, best first."""
    wide = scores.astype(np.float64)
    norm = float(wide.max()) + float(np.log(np.exp(wide - wide.max()).sum()))
    best = np.argpartition(wide, -top)[-top:] if 0 < top < len(wide) else np.arange(len(wide))
    ranked = sorted(best.tolist(), key=lambda one: (-wide[one], one))[:top]
    return float(wide[token]) - norm, [(one, float(wide[one]) - norm) for one in ranked]
