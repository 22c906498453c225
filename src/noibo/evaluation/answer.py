"""One request as its caller saw it: an answer with its moments, or how it failed.

Moments are seconds since the bench began.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a request failed. The value is what reports say."""

    UNREACHABLE = "unreachable"
    REFUSED = "key refused"
    NOT_FOUND = "not found"
    TOO_MANY = "too many requests"
    BAD_REQUEST = "bad request"
    SERVER = "server error"
    MOVED = "moved elsewhere"
    BROKE_OFF = "broke off"
    SILENT = "took too long"
    GARBAGE = "not understood"
    TOLD = "error in the stream"
    EMPTY = "empty answer"


# What will not be otherwise for the next request.
HOPELESS = frozenset({Kind.UNREACHABLE, Kind.REFUSED, Kind.NOT_FOUND, Kind.MOVED})


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without an answer. It is counted, and in no average."""

    kind: Kind
    said: str
    at: float = 0.0
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `pieces` are the moments of its pieces, thoughts among them; `said` is the
    moment of the first that is no thought, None where all were. `by_usage`: `tokens` are as the
    server counted them; else each piece is taken for one. `billed`: with the thoughts that it
    counts and keeps to itself; 0 where it counts nothing."""

    began: float
    ended: float
    pieces: tuple[float, ...]
    tokens: int
    by_usage: bool
    said: float | None = None
    thought: bool = False
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    billed: int = 0
    finish: str = ""
    model: str = ""

    @property
    def first_s(self) -> float:
        """Seconds to the first piece, be it a thought."""
        return self.pieces[0] - self.began

    @property
    def said_s(self) -> float | None:
        """Seconds to the first piece that is no thought."""
        return None if self.said is None else self.said - self.began

    @property
    def latency_s(self) -> float:
        return self.ended - self.began

    @property
    def between_s(self) -> float | None:
        """Seconds from token to token, at the mean; None for a single one."""
        steps = self.tokens - 1
        return (self.pieces[-1] - self.pieces[0]) / steps if steps > 0 else None

    @property
    def rate(self) -> float | None:
        """Tokens a second once they come; None where they came all at once."""
        between = self.between_s
        return 1 / between if between else None

    @property
    def stall_s(self) -> float | None:
        """The longest pause between two pieces; None for a single one."""
        pauses = [after - before for before, after in zip(self.pieces, self.pieces[1:])]  # noqa: B905
        return max(pauses, default=None)

    def tokens_until(self, moment: float) -> float:
        """How many of its tokens had come by then."""
        return self.tokens * sum(at <= moment for at in self.pieces) / len(self.pieces)
