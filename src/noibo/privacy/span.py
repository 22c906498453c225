"""Where something personal stands in a text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The half-open piece `[start, end)` of a text, in characters, and what it is."""

    start: int
    end: int
    label: str
    score: float = 1.0
    finder: str = ""
