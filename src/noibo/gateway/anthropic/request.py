"""A request of Anthropic's API, read and said as the engines are asked: in OpenAI's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.engines.engine import Model
from noibo.engines.thinking import Thinking
from noibo.engines.tool_template import tells_tools
from noibo.errors import InvalidRequest
from noibo.gateway.anthropic.parameters import (
    ENGINES_OWN,
    LONG,
    PARAMETERS,
    TYPES,
    Metadata,
    OutputConfig,
    Schema,
)
from noibo.gateway.anthropic.thinking import Wanted
from noibo.wire import body
from noibo.wire.anthropic import messages as anthropic_messages
from noibo.wire.anthropic import tools as anthropic_tools
from noibo.wire.body import Fields, Json

_KEEP_ALIVE: Final = "keep_alive"
_OLD_FORM: Final = "output_format"
# What an engine may have to say of a field, said of the caller's.
_MADE_OF: Final = {"response_format": "output_config.format", "json_schema": "tools"}
# Read one by one, so that errors can name them.
_RAW: Final = {"messages": list[msgspec.Raw], "tools": list[msgspec.Raw]}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, and what the teller of the answer needs to know of it. `forced`: the engine
    is held to the JSON of a call, which is told as one. `made_of`: fields that the caller's were
    made into, each with the caller's."""

    fields: Fields
    streamed: bool
    limit: int
    stops: tuple[str, ...]
    shows_thinking: bool
    forced: bool
    made_of: Mapping[str, str]
    recorded: Json


def read(fields: Fields, model: Model, *, counts: bool = False) -> Asked:
    """Read a body. `counts`: only the tokens of its prompt are asked for. Raises `InvalidRequest`
    with the name of what cannot be served."""
    _require_known(fields)
    _refuse(fields)
    limit = _limit(fields, counts=counts)
    stops = _field(fields, "stop_sequences", [])
    config = _field(fields, "output_config", OutputConfig())
    wanted = Wanted.read(fields, config.effort, limit)
    out: Json = {"max_tokens": limit, **_conversation(fields, model), **_tools(fields)}
    out |= _sampling(fields) | _form(fields, config)
    thinking = Thinking.of(model)
    forced = anthropic_tools.force(
        out,
        thinks_on=wanted.type == "enabled",
        always_thinks=thinking.thinks and not thinking.has_switch,
    )
    out |= (wanted.off() if forced else wanted).fields(thinking)
    if not tells_tools(model.chat_template):
        anthropic_tools.require_told(out)
    if stops:  # the engine says which one ended the answer only when it says everything
        out |= {"stop": stops, "verbose": True, "response_fields": ["stop_type", "stopping_word"]}
    streamed = _field(fields, "stream", False)
    out |= {"stream_options": {"include_usage": True}, "timings_per_token": streamed}
    own = {name: raw for name, raw in fields.items() if name in ENGINES_OWN}
    return Asked(
        fields={name: body.raw(value) for name, value in out.items()} | own,
        streamed=streamed,
        limit=limit,
        stops=tuple(stops),
        shows_thinking=wanted.shown,
        forced=forced,
        made_of=_MADE_OF | ({} if config.format else {"response_format": _OLD_FORM}),
        recorded=_recorded(fields),
    )


def model_name(fields: Fields) -> str:
    """Which model is asked. Raises `InvalidRequest`."""
    if (name := _field(fields, "model")) is None:
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
    for name in ("context_management", "speed", "cache_control"):
        _field(fields, name)


def _limit(fields: Fields, *, counts: bool) -> int:
    limit = _field(fields, "max_tokens")
    if limit is None and not counts:
        raise InvalidRequest("max_tokens: it is required.", param="max_tokens")
    return int(limit or 2**31 - 1)


def _conversation(fields: Fields, model: Model) -> Json:
    messages = _field(fields, "messages")
    if messages is None:
        raise InvalidRequest("messages: they are required.", param="messages")
    system = anthropic_messages.read_system(_field(fields, "system", []))
    sees = model.projector is not None
    return {"messages": system + anthropic_messages.read_messages(messages, sees_images=sees)}


def _tools(fields: Fields) -> Json:
    tools = anthropic_tools.read_tools(_field(fields, "tools", []))
    choice = _field(fields, "tool_choice")
    chosen = {} if choice is None else anthropic_tools.choose(choice, tools)
    return {**({"tools": tools} if tools else {}), **chosen}


def _sampling(fields: Fields) -> Json:
    values = {name: _field(fields, name) for name in ("temperature", "top_p", "top_k")}
    return {name: value for name, value in values.items() if value is not None}


def _form(fields: Fields, config: OutputConfig) -> Json:
    old: Schema | None = _field(fields, _OLD_FORM)
    if old is not None and config.format is not None:
        raise InvalidRequest(
            f"{_OLD_FORM}: it is the old name of output_config.format, which is there too.",
            param=_OLD_FORM,
            next_step="Send one of them.",
        )
    form = config.format or old
    if form is None:
        return {}
    schema = {"name": "answer", "schema": form.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _recorded(fields: Fields) -> Json:
    """What has no effect on an answer, checked; of what may say much, only that it was there."""
    values = {"user_id": _field(fields, "metadata", Metadata()).user_id}
    for name in ("service_tier", "user_profile_id", "workspace_id"):
        values[name] = _field(fields, name)
    for name in LONG:
        values[name] = None if _field(fields, name) is None else "given"
    return {name: value for name, value in values.items() if value is not None}


def _field(fields: Fields, name: str, default: Any = None) -> Any:
    """One parameter, checked. Raises `InvalidRequest`."""
    return body.field(fields, name, _RAW.get(name, TYPES[name]), default)
