"""How a virtual model chooses: its strategy, its thresholds, and what each side is asked with.

    local_only            only models of this machine
    api_only              only models elsewhere
    hybrid                simple: local; medium: local, checked, then API; complex: API
    cascade               local first, and further while the answers are not good
    cheapest_that_meets   the cheapest that is right with a chance of `quality` or more

Thresholds and names are the seed's: `simple_threshold`, `api_fallback`, `max_api_calls_per_hour`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal["local_only", "api_only", "hybrid", "cascade", "cheapest_that_meets"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Class = Literal["simple", "medium", "complex"]
_ONE_SIDE: Final = frozenset({"local_only", "api_only"})


@dataclass(frozen=True, slots=True)
class Side:
    """What one side is asked with where the request says nothing."""

    max_tokens: int | None = None
    temperature: float | None = None

    def fields(self) -> dict[str, int | float]:
        """As fields of a request."""
        said = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds every answer of a virtual model; None: nothing does."""

    max_api_calls_per_hour: int | None = None
    max_cost: float | None = None
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Strategy:
    """`confidence`: a checked answer that is right with less than that chance is not good.
    `margin`: by how much a threshold must be passed before a conversation changes its model."""

    kind: Kind = "hybrid"
    simple_threshold: float = 0.7
    complex_threshold: float = 0.4
    confidence: float = 0.5
    quality: float = 0.8
    local: Side = Side()
    api: Side = Side()
    api_fallback: bool = True
    limits: Limits = Limits()
    sticky: bool = True
    margin: float = 0.1

    @property
    def weighs(self) -> bool:
        """Whether it matters how hard a request is; else nobody looks."""
        return self.kind not in _ONE_SIDE

    def plainly_simple(self, p: float | None) -> bool:
        """Simple by more than the margin."""
        return p is not None and p >= min(self.simple_threshold + self.margin, 1.0)

    def classify(self, p: float | None) -> Class:
        """The seed's three classes; medium where nobody knows."""
        if p is None:
            return "medium"
        if p >= self.simple_threshold:
            return "simple"
        return "complex" if p < self.complex_threshold else "medium"
