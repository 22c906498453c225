"""Whether a model thinks before it answers, by its chat template, and how it is told to.

A template knows the marks between which its model thinks. Most have a switch (`enable_thinking`),
some take an effort (`reasoning_effort`); the rest think always.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from noibo.engines.engine import Model

_MARKS: Final = re.compile(
    r"<think|<seed:think|\[THINK\]|<\|channel\|>|enable_thinking|reasoning_effort"
    r"|reasoning_content|thinking_budget|keep_past_thinking"
)


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model's chat template knows of thinking."""

    thinks: bool = False
    has_switch: bool = False
    takes_effort: bool = False

    @classmethod
    def of(cls, model: Model) -> Thinking:
        """By the template that is used for the model."""
        template = model.chat_template
        return cls(
            thinks=_MARKS.search(template) is not None,
            has_switch="enable_thinking" in template,
            takes_effort="reasoning_effort" in template,
        )
