"""How the tokens of a window are shared between a prompt and its answer. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

# The field that an engine goes by where there are several, first. A limit of 0 still takes a token
# of the window; one below that is none: the answer ends where the window does.
LIMITS: Final = ("n_predict", "max_completion_tokens", "max_tokens")
SPECIAL: Final = 64  # tokens round a chat and its messages, beyond what its JSON takes
MOST_FIXED: Final = 1024
LETTERS: Final = 4  # of a template, at least, make a token


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tokens an answer may have by its caller's word, and the field that says so."""

    tokens: int | None = None
    field: str = "max_tokens"

    @classmethod
    def of(cls, fields: Mapping[str, msgspec.Raw]) -> Limit:
        """What a request says; an engine refuses what is no number."""
        for name in LIMITS:
            if name in fields and isinstance(said := _read(fields[name]), int | float):
                return cls(int(said) if said >= 0 else None, name)
        return cls()


@dataclass(frozen=True, slots=True)
class Room:
    """The window of one answer."""

    window: int
    limit: Limit

    @property
    def wanted(self) -> int:
        """Tokens for the answer: one at least is written."""
        return max(self.limit.tokens or 1, 1)

    def surely_holds(self, size: int, template: str) -> bool:
        """True if a prompt of so many bytes fits, whatever the tokenizer: a token is a byte at
        least. What the template itself says comes to it."""
        fixed = SPECIAL + min(len(template) // LETTERS, MOST_FIXED)
        return size + fixed + self.wanted <= self.window

    def holds(self, prompt: int) -> bool:
        """True if a prompt of so many tokens fits, and all of the answer after it."""
        return prompt + self.wanted <= self.window

    @property
    def for_prompt(self) -> int:
        """Tokens that a prompt may have once it is cut: a limit is no reason to keep more than half
        of the window free."""
        return self.window - min(self.wanted, max(self.window // 2, 1))

    def left(self, prompt: int) -> int:
        """What the answer can have after a prompt, where that is less than was asked for, or 0."""
        return 0 if self.holds(prompt) else self.window - prompt


def _read(said: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(said)
    except (msgspec.DecodeError, RecursionError):
        return None
