"""An answer: a plain text that also says what it took."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Taken:
    """What an answer took. `finish_reason` is `stop`, or `length` where the answer reached its
    limit or the end of the window. `cut`: what of the prompt the model did not read; empty where it
    read all. `first_token_s` and `seconds` count from when it was asked."""

    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    first_token_s: float = 0.0
    seconds: float = 0.0
    thoughts: str = ""
    cut: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tokens_per_second(self) -> float:
        """Of writing, after the first token; 0 where there are too few to tell."""
        spent = self.seconds - self.first_token_s
        return (self.tokens - 1) / spent if self.tokens > 1 and spent > 0 else 0.0


class Answer(str):
    """The text of an answer. It may be awaited too, which gives itself: `generate_answer` is
    written with `await` and without."""

    __slots__ = ("taken",)
    taken: Taken

    def __new__(cls, text: str = "", taken: Taken | None = None) -> Answer:
        made = super().__new__(cls, text)
        made.taken = taken or Taken()
        return made

    def __await__(self) -> Generator[None, None, Answer]:
        yield from ()
        return self
