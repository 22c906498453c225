"""How much a model is to think before it answers, said as llama.cpp is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta

from noibo.engines.thinking import Thinking
from noibo.errors import InvalidRequest
from noibo.wire import body
from noibo.wire.anthropic.blocks import Shape
from noibo.wire.body import Fields, Json

Effort = Literal["low", "medium", "high", "xhigh", "max"]
USUAL: Final = "high"  # what an effort is that nobody has asked for
# Of an answer's tokens, how many may go into thinking; whoever makes more effort may use all.
_SHARES: Final[dict[str, float]] = {"low": 0.25, "medium": 0.5}


class Config(Shape, frozen=True, kw_only=True):
    """The parameter `thinking`."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Meta(ge=1)] | None = None
    display: Literal["summarized", "omitted"] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. `type` is empty where nothing was."""

    type: str
    budget: int | None
    effort: Effort | None
    limit: int
    shown: bool

    @classmethod
    def read(cls, fields: Fields, effort: Effort | None, limit: int) -> Wanted:
        """Raises `InvalidRequest` for what contradicts itself."""
        config = body.field(fields, "thinking", Config)
        if config is None:
            return cls("", None, effort, limit, shown=True)
        given = config.budget_tokens is not None
        if given != (config.type == "enabled"):
            raise InvalidRequest(
                "thinking.budget_tokens: type enabled needs it, and no other has it.",
                param="thinking.budget_tokens",
            )
        if given and (config.budget_tokens or 0) >= limit:
            raise InvalidRequest(
                "thinking.budget_tokens: it must be less than max_tokens, which it is a part of.",
                param="thinking.budget_tokens",
            )
        shown = config.display != "omitted"
        return cls(config.type, config.budget_tokens, effort, limit, shown)

    def off(self) -> Wanted:
        """The same without any thinking."""
        return Wanted("disabled", None, self.effort, self.limit, self.shown)

    def fields(self, model: Thinking) -> Json:
        """The engine's fields. Raises `InvalidRequest` for what the model cannot do."""
        if self.type == "enabled" and not model.thinks:
            raise InvalidRequest(
                "thinking: this model does not think: its chat template knows nothing of it.",
                param="thinking",
                next_step="Leave `thinking` out, or ask a model that does.",
            )
        asked = self.type in {"enabled", "adaptive"}
        thinks = model.thinks and (asked or (not self.type and not model.has_switch))
        if not thinks and self.effort not in {None, USUAL}:
            raise InvalidRequest(
                f"output_config.effort: only {USUAL} where a model does not think.",
                param="output_config.effort",
                next_step="Ask a model that thinks, with `thinking`, or leave it out.",
            )
        return self._on(model) if thinks else self._off(model)

    def _on(self, model: Thinking) -> Json:
        told: Json = {"enable_thinking": True} if model.has_switch else {}
        budget = self.budget
        if self.effort is not None and model.takes_effort:
            told["reasoning_effort"] = {"xhigh": "high", "max": "high"}.get(
                self.effort, self.effort
            )
        elif self.effort in _SHARES and budget is None:
            budget = max(1, int(_SHARES[self.effort] * self.limit))
        limited = {} if budget is None else {"thinking_budget_tokens": budget}
        return limited | ({"chat_template_kwargs": told} if told else {})

    def _off(self, model: Thinking) -> Json:
        """One that has no switch thinks unless it was told not to: then it has no tokens for it."""
        if model.has_switch:
            return {"chat_template_kwargs": {"enable_thinking": False}}
        return {"thinking_budget_tokens": 0} if model.thinks and self.type == "disabled" else {}
