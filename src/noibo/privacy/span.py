"""A piece of a text that says something about a person, and what it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open, in characters of the text as it was given.

    `score`: how sure the finder is, 0 to 1; where two spans overlap, the surer one stays. `finder`:
    which one found it, so that a wrong hit can be traced.
    """

    start: int
    end: int
    label: str
    score: float = 1.0
    finder: str = ""
