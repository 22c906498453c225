"""A request for one of OpenAI's responses, read: every field has its verdict here.

A field is served or kept without an effect (`TYPES`), or refused by its name (`REFUSED`).
What is neither passes on to the engine, as in the chat API. Pure: values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from noibo.errors import InvalidRequest
from noibo.wire import metadata
from noibo.wire.body import Fields, Json, field, raw
from noibo.wire.ids import require_id
from noibo.wire.responses.answer import Telling
from noibo.wire.responses.items import read_input
from noibo.wire.responses.limits import (
    REFUSED,
    TYPES,
    Format,
    Reasoning,
    StreamOptions,
    Text,
    refuse,
)
from noibo.wire.responses.tools import Tools

_CHAT_ALONE: Final = ("max_tokens", "max_completion_tokens")  # max_output_tokens means the same
INCLUDES: Final = frozenset(
    {
        "message.output_text.logprobs",
        "message.input_image.image_url",
        "reasoning.encrypted_content",
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for. `engine` are the fields it gives the engine besides messages and
    tools; `said` is what the response object says back of it."""

    model: str
    items: list[Json]
    instructions: str | None
    previous: str | None
    tools: Tools
    store: bool
    background: bool
    streamed: bool
    telling: Telling
    engine: Fields
    said: Json


def read(fields: Fields) -> Asked:
    """Read a body. Raises `InvalidRequest`, which names the field."""
    refuse(fields)
    text = field(fields, "text", Text, Text())
    reasoning = field(fields, "reasoning", Reasoning, Reasoning())
    tools = Tools.read(fields)
    background = field(fields, "background", bool, False)
    store = field(fields, "store", bool, True)
    if background and not store:
        raise InvalidRequest(
            "background needs store: what runs in the background is fetched later.", param="store"
        )
    previous = field(fields, "previous_response_id", str)
    options = field(fields, "stream_options", StreamOptions, StreamOptions())
    asked = Asked(
        model=field(fields, "model", str, ""),
        items=read_input(field(fields, "input", Any)),
        instructions=field(fields, "instructions", str),
        previous=None if previous is None else require_id(previous, "previous_response_id"),
        tools=tools,
        store=store,
        background=background,
        streamed=field(fields, "stream", bool, False),
        telling=Telling(
            summarised=bool(reasoning.summary or reasoning.generate_summary),
            packed="reasoning.encrypted_content" in _include(fields),
            obfuscated=bool(options.include_obfuscation),
            logprobs=_logprobs(fields),
        ),
        engine=_passed_on(fields),
        said=_said_back(fields, tools, text),
    )
    if not asked.items and asked.previous is None:
        raise InvalidRequest("input is missing.", param="input", next_step='Send "input": "…".')
    _add_engine_fields(asked, text, reasoning)
    return asked


def _include(fields: Fields) -> frozenset[str]:
    return require_includes(field(fields, "include", list[str], []))


def require_includes(names: Iterable[str]) -> frozenset[str]:
    """What is to be told besides. Raises `InvalidRequest` for what is not served."""
    asked = frozenset(names)
    for name in sorted(asked - INCLUDES):
        raise InvalidRequest(
            f"include: {name[:100]!r} is not served; {', '.join(sorted(INCLUDES))} are.",
            param="include",
        )
    return asked


def _passed_on(fields: Fields) -> Fields:
    """What noibo has no word for is for the engine, untouched."""
    ours = TYPES.keys() | REFUSED.keys() | {"keep_alive"}
    for name in _CHAT_ALONE:
        if name in fields and "max_output_tokens" in fields:
            raise InvalidRequest(f"{name} and max_output_tokens mean the same.", param=name)
    return {name: value for name, value in fields.items() if name not in ours}


def _logprobs(fields: Fields) -> int | None:
    """How many likeliest tokens beside each; None: no log-probabilities at all."""
    top: int | None = field(fields, "top_logprobs", int)
    if top or "message.output_text.logprobs" in _include(fields):
        return top or 0
    return None


def _add_engine_fields(asked: Asked, text: Text, reasoning: Reasoning) -> None:
    """The chat API's fields for what was asked in the words of this one."""
    engine, said = asked.engine, asked.said
    for name in ("temperature", "top_p"):
        if said[name] is not None:
            engine[name] = raw(said[name])
    if said["max_output_tokens"] is not None:
        engine["max_completion_tokens"] = raw(said["max_output_tokens"])
    top = asked.telling.logprobs
    if top is not None:
        engine["logprobs"] = raw(True)
        engine["top_logprobs"] = raw(max(top, 1))  # engines give none for 0
    if reasoning.effort is not None:
        engine["reasoning_effort"] = raw(reasoning.effort)
    if text.format is not None and text.format.type != "text":
        engine["response_format"] = raw(_response_format(text.format))
    engine |= asked.tools.engine


def _response_format(form: Format) -> Json:
    if form.type == "json_object":
        return {"type": "json_object"}
    if not form.name or form.schema is None:
        missing = "schema" if form.name else "name"
        raise InvalidRequest(
            f"text.format.{missing} is missing: a JSON schema has a name and a schema.",
            param=f"text.format.{missing}",
        )
    inner = {"name": form.name, "schema": form.schema, "strict": form.strict}
    if form.description is not None:
        inner["description"] = form.description
    return {"type": "json_schema", "json_schema": inner}


def _said_back(fields: Fields, tools: Tools, text: Text) -> Json:
    """The part of the response object that repeats its request."""
    reasoning = field(fields, "reasoning", Reasoning, Reasoning())
    kept = metadata.read_kept(fields)
    form = msgspec.to_builtins(text.format) if text.format else {"type": "text"}
    said = {
        "background": field(fields, "background", bool, False),
        "instructions": field(fields, "instructions", str),
        "max_output_tokens": field(fields, "max_output_tokens", int),
        "max_tool_calls": field(fields, "max_tool_calls", int),
        "metadata": metadata.read_metadata(fields),
        "parallel_tool_calls": field(fields, "parallel_tool_calls", bool, True),
        "previous_response_id": field(fields, "previous_response_id", str),
        "reasoning": {"effort": reasoning.effort, "summary": reasoning.summary},
        "store": field(fields, "store", bool, True),
        "temperature": field(fields, "temperature", float),
        "text": {"format": form, "verbosity": text.verbosity or "medium"},
        "tool_choice": tools.choice,
        "tools": tools.told,
        "top_logprobs": field(fields, "top_logprobs", int, 0),
        "top_p": field(fields, "top_p", float),
        "truncation": field(fields, "truncation", str, "disabled"),
        "prompt_cache_key": None,
        "safety_identifier": None,
        "user": None,
        **kept,
    }
    if options := field(fields, "prompt_cache_options", Any):
        said["prompt_cache_options"] = options
    return said | {"service_tier": "default"}
