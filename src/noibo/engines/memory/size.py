"""How large a worker is made, and what that takes. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from noibo.settings import KvType

USUAL_SLOTS = 4  # where neither the settings nor use say how many


@dataclass(frozen=True, slots=True)
class Size:
    """How large a worker is made: tokens for each caller, slots, and how it holds their state.

    `kept_bytes` is the most that the state of idle conversations may take.
    """

    context: int
    parallel: int
    kv_type: KvType = "f16"
    kept_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes a worker takes. `kept` is what it may grow by while it is used."""

    weights: int = 0
    kv: int = 0
    compute: int = 0
    base: int = 0  # the process without a model
    kept: int = 0

    @property
    def at_start(self) -> int:
        """What it holds when it is ready."""
        return self.weights + self.kv + self.compute + self.base

    @property
    def total(self) -> int:
        """The most it may come to hold."""
        return self.at_start + self.kept


@dataclass(frozen=True, slots=True)
class Use:
    """What is known of how a model is used here; a worker is sized by it.

    Noted of a worker, it says what was new since it was noted the last time; asked for, what holds
    now: `prompts` are all there ever were, their tokens those of the last few hundred.
    """

    callers: int = 0  # most that were answered or waited at the same time; 0: not known
    tokens: int = 0  # longest conversation seen
    prompts: int = 0  # prompts that were read
    prompt_tokens: int = 0  # tokens of prompts
    reused_tokens: int = 0  # of these, read from kept state
