"""A request of Anthropic's API, read and said as the engines are asked: in OpenAI's fields.

Every parameter has a verdict here. What has no effect on the answer of a local model is recorded;
what would have one that cannot be had is refused, by name. Nothing is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from noibo.engines.engine import Model
from noibo.engines.thinking import Thinking
from noibo.errors import InvalidRequest
from noibo.gateway.anthropic_thinking import Effort, Wanted
from noibo.wire import anthropic_messages, anthropic_tools, body
from noibo.wire.anthropic_blocks import Shape
from noibo.wire.body import Fields, Json

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
NonEmpty = Annotated[str, Meta(min_length=1)]
Content = anthropic_messages.Content

PARAMETERS: Final[Mapping[str, str]] = {
    "model": "a model of the store, or an alias; empty: the default model",
    "messages": "text, images where the model sees them, text documents, search results, tools",
    "system": "a text, or blocks of text",
    "max_tokens": "required, 1 or more; what the context has no room for ends the answer earlier",
    "stream": "events, or one document",
    "temperature": "0 to 1; without it: what came with the model",
    "top_p": "0 to 1",
    "top_k": "0 (all tokens) or more",
    "stop_sequences": "the one that ended the answer is said",
    "tools": "tools of your own; those that only Anthropic's models or servers know are refused",
    "tool_choice": "auto, any, tool, none; `disable_parallel_tool_use`",
    "thinking": "enabled, disabled, adaptive; `budget_tokens`; enabled is refused for models that"
    " do not think; without it a model that has a switch does not think",
    "output_config": "`format` with a JSON schema; `effort` for models that think, else only high",
    "output_format": "the old name of `output_config.format`",
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
_NOTED: Final[Mapping[str, Any]] = {
    "billing_policy": dict[str, Any],
    "fallback_credit_token": str | dict[str, Any],
    "fallbacks": Literal["default"] | list[dict[str, Any]],
    "diagnostics": dict[str, Any],
}
_KEEP_ALIVE: Final = "keep_alive"


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


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, and what the teller of the answer needs to know of it."""

    fields: Fields
    streamed: bool
    limit: int
    stops: tuple[str, ...]
    shows_thinking: bool
    recorded: Json


def read(fields: Fields, model: Model, *, counts: bool = False) -> Asked:
    """Read a body. `counts`: only the tokens of its prompt are asked for. Raises `InvalidRequest`
    with the name of what cannot be served."""
    _require_known(fields)
    _refuse(fields)
    limit = _limit(fields, counts=counts)
    stops = body.field(fields, "stop_sequences", list[NonEmpty], [])
    config = body.field(fields, "output_config", OutputConfig, OutputConfig())
    wanted = Wanted.read(fields, config.effort, limit)
    out: Json = {"max_tokens": limit, **_conversation(fields, model), **_tools(fields)}
    out |= _sampling(fields) | _form(fields, config) | wanted.fields(Thinking.of(model))
    if stops:  # the engine says which one ended the answer only when it says everything
        out |= {"stop": stops, "verbose": True, "response_fields": ["stop_type", "stopping_word"]}
    streamed = body.field(fields, "stream", bool, False)
    out |= {"stream_options": {"include_usage": True}, "timings_per_token": streamed}
    own = {name: raw for name, raw in fields.items() if name in ENGINES_OWN}
    return Asked(
        fields={name: body.raw(value) for name, value in out.items()} | own,
        streamed=streamed,
        limit=limit,
        stops=tuple(stops),
        shows_thinking=wanted.shown,
        recorded=_recorded(fields),
    )


def model_name(fields: Fields) -> str:
    """Which model is asked. Raises `InvalidRequest`."""
    if (name := body.field(fields, "model", str)) is None:
        raise InvalidRequest("model: it is required.", param="model")
    return str(name)


def _require_known(fields: Fields) -> None:
    for name in fields:
        if name not in PARAMETERS and name not in ENGINES_OWN and name != _KEEP_ALIVE:
            raise InvalidRequest(
                f"{name[:60]}: no such parameter is served.",
                param=name[:60],
                next_step="Leave it out; docs/api.md lists what is served.",
            )


def _refuse(fields: Fields) -> None:
    """Raise for what cannot be had here."""
    for name in ("compaction", "container", "inference_geo", "mcp_servers", "thread"):
        if body.field(fields, name, Any) not in (None, []):
            why = PARAMETERS[name].partition(": ")[2]
            raise InvalidRequest(f"{name}: {why}.", param=name, next_step="Leave it out.")
    body.field(fields, "context_management", ContextManagement)
    body.field(fields, "speed", Literal["standard"])
    body.field(fields, "cache_control", dict[str, Any])


def _limit(fields: Fields, *, counts: bool) -> int:
    limit = body.field(fields, "max_tokens", Count)
    if limit is None and not counts:
        raise InvalidRequest("max_tokens: it is required.", param="max_tokens")
    return int(limit or 2**31 - 1)


def _conversation(fields: Fields, model: Model) -> Json:
    messages = body.field(fields, "messages", list[msgspec.Raw])
    if messages is None:
        raise InvalidRequest("messages: they are required.", param="messages")
    system = anthropic_messages.read_system(body.field(fields, "system", Content, []))
    sees = model.projector is not None
    return {"messages": system + anthropic_messages.read_messages(messages, sees_images=sees)}


def _tools(fields: Fields) -> Json:
    tools = anthropic_tools.read_tools(body.field(fields, "tools", list[msgspec.Raw], []))
    choice = body.field(fields, "tool_choice", anthropic_tools.Choice)
    chosen = {} if choice is None else anthropic_tools.choose(choice, tools)
    return {**({"tools": tools} if tools else {}), **chosen}


def _sampling(fields: Fields) -> Json:
    kinds = {
        "temperature": Share,
        "top_p": Share,
        "top_k": Annotated[int, Meta(ge=0, le=2**31 - 1)],
    }
    values = {name: body.field(fields, name, kind) for name, kind in kinds.items()}
    return {name: value for name, value in values.items() if value is not None}


def _form(fields: Fields, config: OutputConfig) -> Json:
    form = config.format or body.field(fields, "output_format", Schema)
    if form is None:
        return {}
    schema = {"name": "answer", "schema": form.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _recorded(fields: Fields) -> Json:
    """What has no effect on an answer, checked; of what may say much, only that it was there."""
    metadata = body.field(fields, "metadata", Metadata, Metadata())
    values = {
        "user_id": metadata.user_id,
        "service_tier": body.field(fields, "service_tier", Literal["auto", "standard_only"]),
        "user_profile_id": body.field(fields, "user_profile_id", str),
        "workspace_id": body.field(fields, "workspace_id", str),
    }
    for name, kind in _NOTED.items():
        values[name] = None if body.field(fields, name, kind) is None else "given"
    return {name: value for name, value in values.items() if value is not None}
