"""The parameters of Anthropic's API: what each may be, and what comes of it.

Every one has a verdict. What has no effect on the answer of a local model is recorded; what would
have one that cannot be had is refused, by name. Nothing is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from noibo.gateway.anthropic.thinking import Config, Effort
from noibo.wire.anthropic import messages, tools
from noibo.wire.anthropic.blocks import Shape

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
NonEmpty = Annotated[str, Meta(min_length=1)]
Content = messages.Content

PARAMETERS: Final[Mapping[str, str]] = {
    "model": "a model of the store, or an alias; empty: the default model",
    "messages": "text, images where the model sees them, text documents, search results, tools",
    "system": "a text, or blocks of text",
    "max_tokens": "required, 1 or more; with the prompt not over the window (docs/context.md)",
    "stream": "events, or one document",
    "temperature": "0 to 1; without it: what came with the model",
    "top_p": "0 to 1",
    "top_k": "0 (all tokens) or more",
    "stop_sequences": "the one that ended the answer is said",
    "tools": "tools of your own, `strict` where the schema can be kept to; those that only"
    " Anthropic's models or servers know are refused",
    "tool_choice": "auto, any, tool, none; `disable_parallel_tool_use`",
    "thinking": "enabled, disabled, adaptive; `budget_tokens`; enabled is refused for models that"
    " do not think; without it a model that has a switch does not think",
    "output_config": "`format` with a JSON schema; `effort` where the model thinks (with"
    " `thinking`, or always), else only high",
    "output_format": "the old name of `output_config.format`, and not beside it",
    "metadata": "recorded",
    "service_tier": "recorded: there is one tier",
    "user_profile_id": "recorded",
    "workspace_id": "recorded",
    "billing_policy": "recorded: nothing is billed",
    "fallback_credit_token": "recorded: nothing is billed",
    "fallbacks": "recorded: no model here refuses by a policy, so none has to stand in",
    "diagnostics": "recorded: `cache_read_input_tokens` says what was kept",
    "cache_control": "changes nothing: kept state is used wherever it fits",
    "compaction": "refused: ask for a summary in a message",
    "container": "refused: there are no containers",
    "context_management": "refused, but for what would leave everything as it is",
    "inference_geo": "refused: where this machine stands is not known",
    "mcp_servers": "refused: nothing is connected to for a caller",
    "speed": "standard; fast is refused",
    "thread": "refused: conversations are not kept; send all of it",
}
# Fields of the engines themselves, as on OpenAI's routes, for who knows what answers.
ENGINES_OWN: Final = frozenset(
    {
        "seed",
        "min_p",
        "typical_p",
        "repeat_penalty",
        "repeat_last_n",
        "presence_penalty",
        "frequency_penalty",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "logit_bias",
        "grammar",
        "cache_prompt",
        "x_echo",
    }
)


class Metadata(Shape, frozen=True, kw_only=True):
    user_id: str | None = None


class Schema(Shape, frozen=True, kw_only=True):
    """The form of an answer."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Shape, frozen=True, kw_only=True):
    format: Schema | None = None
    effort: Effort | None = None
    task_budget: None = None


class Edit(Shape, frozen=True, kw_only=True):
    """The one change of a context that changes nothing."""

    type: Literal["clear_thinking_20251015"]
    keep: Literal["all"]


class ContextManagement(Shape, frozen=True, kw_only=True):
    edits: list[Edit] | None = None


# What each parameter may be. Messages and tools are read one by one, so that errors can name them.
TYPES: Final[Mapping[str, Any]] = {
    "model": str,
    "messages": list[messages.Message],
    "system": Content,
    "max_tokens": Count,
    "stream": bool,
    "temperature": Share,
    "top_p": Share,
    "top_k": Annotated[int, Meta(ge=0, le=2**31 - 1)],
    "stop_sequences": list[NonEmpty],
    "tools": list[tools.Tool],
    "tool_choice": tools.Choice,
    "thinking": Config,
    "output_config": OutputConfig,
    "output_format": Schema,
    "metadata": Metadata,
    "service_tier": Literal["auto", "standard_only"],
    "user_profile_id": str,
    "workspace_id": str,
    "billing_policy": dict[str, Any],
    "fallback_credit_token": str | dict[str, Any],
    "fallbacks": Literal["default"] | list[dict[str, Any]],
    "diagnostics": dict[str, Any],
    "cache_control": dict[str, Any],
    "compaction": None,
    "container": None,
    "context_management": ContextManagement,
    "inference_geo": None,
    "mcp_servers": Annotated[list[Any], Meta(max_length=0)],
    "speed": Literal["standard"],
    "thread": None,
}
REQUIRED: Final = ("model", "messages", "max_tokens")
LONG: Final = ("billing_policy", "fallback_credit_token", "fallbacks", "diagnostics")
