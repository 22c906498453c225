"""What the fields of a response's request may be, and which of their values are not served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from noibo.errors import InvalidRequest
from noibo.wire.body import Fields, field
from noibo.wire.metadata import KEPT, Metadata
from noibo.wire.responses.tools import Function

REFUSED: Final = {
    "access_programs": "there are no such programs here",
    "conversation": "conversations are not kept by name here; use previous_response_id",
    "moderation": "no moderation model runs here",
    "personality": "models here have one; say it in instructions",
    "prompt": "prompt templates are not kept here; send their text as instructions and input",
    # The chat API's own names for what is built from others here.
    "messages": "send input",
    "response_format": "send text.format",
    "n": "a response is one answer",
}
MOST_LOGPROBS: Final = 20
MOST_TOKENS: Final = 2**31 - 1


class Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    """`reasoning`."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class Format(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`text.format`."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """`text`."""

    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_obfuscation: bool | None = None


class _CacheOptions(msgspec.Struct, forbid_unknown_fields=True):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None
    prewarm: bool | None = None
    comparison_response_id: str | None = None


class _BackgroundOptions(msgspec.Struct, forbid_unknown_fields=True):
    completion_window: Literal["soonest", "2h", "8h"] | None = None
    continuation_id: str | None = None


class _Image(msgspec.Struct, forbid_unknown_fields=True):
    context_compression: Literal["auto", "enabled", "disabled"] | None = None


_RANGES: Final[Mapping[str, tuple[Any, int, int]]] = {
    "temperature": (float, 0, 2),
    "top_p": (float, 0, 1),
    "top_logprobs": (int, 0, MOST_LOGPROBS),
    "max_output_tokens": (int, 1, MOST_TOKENS),
    "max_tool_calls": (int, 1, MOST_TOKENS),
}
# What each field may be. Items, tools and the choice among them are read one by one, so that
# errors can name them.
TYPES: Final[Mapping[str, Any]] = {
    "background": bool,
    "background_options": _BackgroundOptions,
    "context_management": Annotated[list[Any], Meta(max_length=0)],
    "image": _Image,
    "include": list[str],
    "input": str | list[dict[str, Any]],
    "instructions": str,
    "metadata": Metadata,
    "model": str,
    "parallel_tool_calls": bool,
    "previous_response_id": str,
    "prompt_cache_options": _CacheOptions,
    "reasoning": Reasoning,
    "store": bool,
    "stream": bool,
    "stream_options": StreamOptions,
    "text": Text,
    "tool_choice": Literal["none", "auto", "required"] | dict[str, Any],
    "tools": list[Function],
    "truncation": Literal["auto", "disabled"],
    **{name: Annotated[kind, Meta(ge=low, le=high)] for name, (kind, low, high) in _RANGES.items()},
    **KEPT,
}


def refuse(fields: Fields) -> None:
    """Raise for fields that are not served, and for values of those that else are."""
    for name, why in REFUSED.items():
        if field(fields, name, Any) is not None:
            raise InvalidRequest(f"{name} is not served: {why}.", param=name)
    options = field(fields, "background_options", _BackgroundOptions, _BackgroundOptions())
    _only(options.completion_window, {"soonest"}, "background_options.completion_window")
    _only(options.continuation_id, set(), "background_options.continuation_id")
    image = field(fields, "image", _Image, _Image())
    _only(image.context_compression, {"auto", "disabled"}, "image.context_compression")
    cache = field(fields, "prompt_cache_options", _CacheOptions, _CacheOptions())
    _only(cache.prewarm, {False}, "prompt_cache_options.prewarm")
    _only(cache.comparison_response_id, set(), "prompt_cache_options.comparison_response_id")
    if field(fields, "context_management", list[Any]):
        raise InvalidRequest(
            "context_management is not served: nothing is compacted here.",
            param="context_management",
        )
    field(fields, "truncation", Literal["auto", "disabled"])
    reasoning = field(fields, "reasoning", Reasoning, Reasoning())
    _only(reasoning.context, {"auto"}, "reasoning.context", "the model's chat template decides")
    _only(reasoning.mode, {"standard"}, "reasoning.mode")
    for name in ("summary", "generate_summary"):
        said = getattr(reasoning, name)
        _only(said, {"auto", "detailed"}, f"reasoning.{name}", "nobody shortens it here")
    text = field(fields, "text", Text, Text())
    _only(text.verbosity, {"medium"}, "text.verbosity", "say it in instructions")
    for name, (kind, low, high) in _RANGES.items():
        _within(field(fields, name, kind), low, high, name)


def _only(value: Any, served: set[Any], name: str, why: str = "") -> None:
    if value is None or value in served:
        return
    can = ", ".join(map(_as_json, sorted(served))) or "nothing"
    because = f" ({why})" if why else ""
    raise InvalidRequest(
        f"{name} = {_as_json(value)} is not served{because}; {can} is.", param=name
    )


def _as_json(value: Any) -> str:
    """A value as JSON has it."""
    return msgspec.json.encode(value).decode()


def _within(value: float | None, low: int, high: int, name: str) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidRequest(f"{name} must be from {low} to {high}; it is {value}.", param=name)
