"""Whether the state of conversations that have no slot is worth its memory, by what was measured.

A conversation that goes on finds its beginning read already: in a slot, if none has taken it, else
in kept state. Where callers never come back to what they said (a batch of single questions), both
find nothing, and memory spent on keeping is wasted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from noibo.engines.memory.size import Use

ENOUGH_PROMPTS: Final = 50  # before that, nothing is known
TRIED_AGAIN_EVERY: Final = 500  # prompts: callers change
LEAST_SHARE: Final = 0.05  # of the prompt tokens
LEAST_SAVED_S: Final = 0.02  # for 1,000 prompt tokens: a fast reader need not remember


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether state is kept, and why, in words."""

    keep: bool
    why: str


def worth_keeping(use: Use, prefill_rate: float | None = None) -> Verdict:
    """Judge by how a model has been used and how many prompt tokens a second it reads here."""
    if use.prompts < ENOUGH_PROMPTS or not use.prompt_tokens:
        return Verdict(True, f"kept: {use.prompts} prompts are too few to judge by")
    share = use.reused_tokens / use.prompt_tokens
    counted = f"{use.reused_tokens:,} of {use.prompt_tokens:,} prompt tokens were reused"
    if use.prompts % TRIED_AGAIN_EVERY < ENOUGH_PROMPTS:
        return Verdict(True, f"kept: {counted}; tried again now and then")
    if share < LEAST_SHARE:
        return Verdict(False, f"not kept: {counted}")
    if prefill_rate and 1000 * share / prefill_rate < LEAST_SAVED_S:
        return Verdict(False, f"not kept: {counted}, but reading them again takes no time here")
    return Verdict(True, f"kept: {counted}")
