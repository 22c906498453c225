"""What a model can do, in Ollama's words, by its header and its template.

After ollama/ollama, `server/images.go`: Capabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# What a template names that leaves room for thought, or switches it.
_THINKING: Final = (
    *("enable_thinking", "<think", "[THINK]", "<|channel|>", "reasoning_effort"),
    *("reasoning_content", ".Think", ".IsThinkSet"),
)
_INSERT: Final = (
    ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"),
    ("tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"),
    ("tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"),
)


@dataclass(frozen=True, slots=True)
class Insertion:
    """The tokens round a text that is to be filled in: before it, after it, and where it goes."""

    before: int
    after: int
    middle: int


@dataclass(frozen=True, slots=True)
class Abilities:
    """`pooling` is of an embedding model, else None."""

    template: str = ""
    pooling: str | None = None
    sees: bool = False
    insertion: Insertion | None = None

    @property
    def tools(self) -> bool:
        """Its template tells it of tools."""
        return "tools" in self.template or ".Tools" in self.template

    @property
    def thinks(self) -> bool:
        """Its template leaves room for thought."""
        return any(word in self.template for word in _THINKING)

    def names(self) -> list[str]:
        """In Ollama's words and order."""
        said = {
            "completion": self.pooling is None,
            "embedding": self.pooling is not None,
            "vision": self.sees,
            "tools": self.tools and self.pooling is None,
            "insert": self.insertion is not None,
            "thinking": self.thinks and self.pooling is None,
        }
        return [name for name, holds in said.items() if holds]


def insertion_of(metadata: Mapping[str, Any]) -> Insertion | None:
    """The tokens of a header, if all three are there."""
    found = [
        next((metadata[name] for name in names if name in metadata), None) for names in _INSERT
    ]
    tokens = [token for token in found if type(token) is int and token >= 0]
    return Insertion(*tokens) if len(tokens) == len(_INSERT) else None
