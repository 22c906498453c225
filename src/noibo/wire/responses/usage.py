"""What a response took, by what its engine says of that: any nonsense counts as nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from noibo.wire.body import Json

_MOST: Final = 2**53  # beyond it readers of JSON differ


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: read, of these kept from before, written, of these thoughts."""

    read_tokens: int
    cached: int
    written: int
    thought: int

    @classmethod
    def read(cls, said: Any) -> Usage | None:
        """An engine's `usage`; None where it says nothing."""
        if not isinstance(said, dict) or not said:
            return None
        return cls(
            count(said, "prompt_tokens"),
            count(said.get("prompt_tokens_details"), "cached_tokens"),
            count(said, "completion_tokens"),
            count(said.get("completion_tokens_details"), "reasoning_tokens"),
        )

    def told(self, thought: int) -> Json:
        """OpenAI's object. `thought`: counted here, for an engine that does not say it."""
        reasoning = min(self.thought or thought, self.written)
        return {
            "input_tokens": self.read_tokens,
            "input_tokens_details": {"cached_tokens": self.cached, "cache_write_tokens": 0},
            "output_tokens": self.written,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": self.read_tokens + self.written,
        }


def count(said: Any, name: str) -> int:
    """A number of tokens that an engine says, where it says one."""
    value = said.get(name) if isinstance(said, dict) else None
    if not isinstance(value, int | float) or not 0 <= value < _MOST:  # no NaN is within
        return 0
    return int(value)
