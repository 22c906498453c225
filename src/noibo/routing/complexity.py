"""`p_local`: how likely the local model's answer to a prompt is right, and why.

    ComplexityClassifier().predict("Thủ đô của Việt Nam là gì?")     # "simple"
    ComplexityClassifier().weigh(Query("Prove that …", turns=3))     # with the reasons

Linear over what `features` sees, with learnt weights, in about a millisecond on one core. Where the
weights cannot be read the seed's rules decide, and the reasons say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from noibo.routing import learnt, seed_rules
from noibo.routing.calibration import Calibration
from noibo.routing.features import Features, Query, features_of
from noibo.routing.reasons import Language, Told
from noibo.routing.strategy import Class
from noibo.routing.why import why

SIMPLE: Final = 0.7
COMPLEX: Final = 0.4
Method = Literal["learnt", "rules"]
CHARACTERS_A_TOKEN: Final = 3.5


@dataclass(frozen=True, slots=True)
class Complexity:
    """`p_local`; `p_large`, the same of a large model (None: not known); `sure`, 0 to 1: little
    until outcomes of the own model are known; `method`: whether learnt weights said it or the
    seed's rules; the rest is for telling why."""

    p_local: float
    method: Method = "learnt"
    p_large: float | None = None
    sure: float = 1.0
    note: str = ""
    parts: tuple[tuple[str, float], ...] = ()
    features: Features | None = None
    simple: float = SIMPLE
    complex: float = COMPLEX

    @property
    def label(self) -> Class:
        """The seed's class."""
        if self.p_local >= self.simple:
            return "simple"
        return "complex" if self.p_local < self.complex else "medium"

    @property
    def gain(self) -> float | None:
        """How much more often a large model is right."""
        return None if self.p_large is None else self.p_large - self.p_local

    def told(self, most: int = 4) -> tuple[Told, ...]:
        """What weighed most, in words."""
        if self.features is None:
            return ((self.note, self.note),)
        return why(self.features, self.parts, most)

    def reasons(self, language: Language = "en", most: int = 4) -> tuple[str, ...]:
        """The same in one language."""
        return tuple(one[language == "vi"] for one in self.told(most))


class ComplexityClassifier:
    """Says how hard a prompt is. `calibration`: what was seen of the user's own local model."""

    def __init__(
        self,
        weights: Path | None = None,
        *,
        calibration: Calibration | None = None,
        simple_threshold: float = SIMPLE,
        complex_threshold: float = COMPLEX,
    ) -> None:
        self._calibration = calibration or Calibration()
        self._simple, self._complex = simple_threshold, complex_threshold
        self._learnt: learnt.Learnt | None = None
        self.broken = ""  # why the weights are not used
        try:
            self._learnt = learnt.shipped() if weights is None else learnt.load(weights)
        except learnt.BrokenWeights as error:
            self.broken = str(error)

    def predict(self, query: str) -> Class:
        """simple, medium or complex."""
        return self.weigh(Query(query)).label

    def p_local(
        self, query: str, context: str | int = "", *, turns: int = 1, tools: int = 0
    ) -> float:
        """How likely the local model's answer is right. `context`: what stands before the query,
        as text or as its length in tokens."""
        tokens = context if isinstance(context, int) else len(context) / CHARACTERS_A_TOKEN
        return self.weigh(Query(query, round(tokens), turns, tools)).p_local

    def weigh(self, query: Query) -> Complexity:
        """The same with all that is known of it."""
        found = self._by_weights(query) if self._learnt else self._by_rules(query)
        own = self._calibration.of(found.p_local)
        return replace(
            found, p_local=own.p, sure=own.sure, simple=self._simple, complex=self._complex
        )

    def _by_weights(self, query: Query) -> Complexity:
        assert self._learnt is not None  # noqa: S101 - for the type checker
        features = features_of(query)
        parts = self._learnt.parts(features)
        return Complexity(
            p_local=_chance(math.fsum(parts.values())),
            p_large=_chance(self._learnt.large_odds(features)),
            parts=tuple(parts.items()),
            features=features,
        )

    def _by_rules(self, query: Query) -> Complexity:
        label, pattern = seed_rules.classify(query.text)
        odds = math.log(seed_rules.CHANCES[label] / (1 - seed_rules.CHANCES[label]))
        around = math.log2(1 + max(query.context_tokens, 0) / 8000) + math.log2(1 + query.tools / 4)
        return Complexity(
            p_local=_chance(odds - around),
            method="rules",
            note=f"by rules alone ({self.broken}): {pattern}",
        )


def _chance(odds: float) -> float:
    """Never 0 nor 1: nobody is that sure of a prompt."""
    return 1 / (1 + math.exp(-min(max(odds, -6.0), 6.0)))
