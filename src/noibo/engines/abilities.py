"""What a model can do, by its header and by the chat template that it is used with: the one place
that says so, for every API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from noibo.engines.engine import Model
from noibo.engines.hosted.folder import folder_of
from noibo.engines.llama_cpp.embed import only_embeds
from noibo.engines.thinking import Thinking
from noibo.engines.tool_template import tells_tools
from noibo.errors import NoiboError
from noibo.modelstore.gguf.reader import read_header

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

    @classmethod
    def of(cls, model: Model) -> Insertion | None:
        """By the header of the model's file, which is read; None for one that was not trained to
        fill in."""
        if model.path is None or model.format != "gguf":
            return None
        return insertion_of(read_header(model.path).metadata)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What may be asked of a model."""

    completes: bool
    embeds: bool
    sees: bool
    calls_tools: bool
    inserts: bool
    thinks: bool

    @classmethod
    def of(cls, model: Model) -> Abilities:
        """Reads the header of the model's file."""
        pooling = model.info.pooling if model.info else None
        embeds = pooling is not None or only_embeds(model) or _is_encoder(model)
        writes = not embeds
        return cls(
            completes=writes,
            embeds=embeds and pooling != "rank",
            sees=model.projector is not None,
            calls_tools=writes and tells_tools(model.chat_template),
            inserts=writes and Insertion.of(model) is not None,
            thinks=writes and Thinking.of(model).thinks,
        )

    def in_ollamas_words(self) -> list[str]:
        """In Ollama's words and order. After ollama/ollama, `server/images.go`: Capabilities."""
        said = {
            "completion": self.completes,
            "embedding": self.embeds,
            "vision": self.sees,
            "tools": self.calls_tools,
            "insert": self.inserts,
            "thinking": self.thinks,
        }
        return [name for name, holds in said.items() if holds]


def _is_encoder(model: Model) -> bool:
    """True of a checkpoint that cannot write."""
    if model.path is None or model.format != "safetensors":
        return False
    try:
        return not folder_of(model).writes
    except (OSError, NoiboError):
        return False  # why is for the engine to say


def insertion_of(metadata: Mapping[str, Any]) -> Insertion | None:
    """The tokens of a header, if all three are there."""
    found = [
        next((metadata[name] for name in names if name in metadata), None) for names in _INSERT
    ]
    tokens = [token for token in found if type(token) is int and token >= 0]
    return Insertion(*tokens) if len(tokens) == len(_INSERT) else None
