"""The fields of OpenAI's request bodies, each with what becomes of it. Nothing is silently dropped.

A field that is in no table is not OpenAI's: it passes to the engine as it came. `null` counts as
not given. Fields and ranges after OpenAI's published OpenAPI description.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from noibo.errors import InvalidRequest
from noibo.wire.body import UNREADABLE, Fields
from noibo.wire.metadata import KEPT, Metadata
from noibo.wire.openai.messages import Messages
from noibo.wire.openai.tools import FunctionCall, Functions, ToolChoice, Tools


class Verdict(Enum):
    """What becomes of a field."""

    PASSES = "passes"  # the engine does it
    NOIBO = "noibo"  # noibo does it
    TRANSLATED = "translated"  # the engine does it under other names
    RECORDED = "recorded"  # it changes no answer: noted, and not passed on
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Known:
    """One field: what becomes of it, of which type it is, and a note for people to read.

    `harmless`: values of a refused field that ask for nothing, and are taken."""

    verdict: Verdict
    kind: Any
    note: str = ""
    harmless: tuple[Any, ...] = ()
    decoder: msgspec.json.Decoder[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decoder", msgspec.json.Decoder(self.kind | None))

    def read(self, name: str, raw: msgspec.Raw) -> Any:
        """The value, checked. Raises `InvalidRequest`, which names the field."""
        try:
            value = self.decoder.decode(raw)
        except UNREADABLE as exc:
            raise InvalidRequest(f"{name}: {exc}.", param=name) from exc
        if self.verdict is Verdict.REFUSED and value is not None and value not in self.harmless:
            raise InvalidRequest(f"{name}: {self.note}", param=name)
        return value


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """`include_obfuscation` would pad events, so that nobody learns from their lengths."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class Prediction(msgspec.Struct):
    """What the answer may look like."""

    type: Literal["content"]
    content: str | list[dict[str, Any]]


class PromptCacheOptions(msgspec.Struct):
    """How long a prompt is kept."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: str | None = None


_PASSES, _NOIBO, _TRANSLATED = Verdict.PASSES, Verdict.NOIBO, Verdict.TRANSLATED
_RECORDED, _REFUSED = Verdict.RECORDED, Verdict.REFUSED

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
TokenId = Annotated[str, Meta(pattern=r"^[0-9]{1,9}$")]
Stop = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

_BOTH: Final = {
    "model": Known(_NOIBO, str, "a model of the store, or an alias; empty: the default model"),
    "stream": Known(_NOIBO, bool),
    "stream_options": Known(
        _NOIBO, StreamOptions, "`include_usage`; only with `stream`; no obfuscation"
    ),
    "n": Known(_NOIBO, Annotated[int, Meta(ge=1, le=128)], "1 to 128 choices, over the slots"),
    "temperature": Known(_PASSES, Annotated[float, Meta(ge=0, le=2)], "0 to 2"),
    "top_p": Known(_PASSES, Annotated[float, Meta(ge=0, le=1)], "0 to 1"),
    "frequency_penalty": Known(_PASSES, Penalty, "-2 to 2"),
    "presence_penalty": Known(_PASSES, Penalty, "-2 to 2"),
    "stop": Known(_PASSES, Stop | Annotated[list[Stop], Meta(max_length=4)], "up to 4 texts"),
    "seed": Known(
        _TRANSLATED, Seed, "any whole number; choice i of `n` has `seed` + i; -1 draws one"
    ),
    "logit_bias": Known(
        _PASSES,
        Annotated[dict[TokenId, Bias], Meta(max_length=1024)],
        "token ids of this model's vocabulary, -100 to 100",
    ),
    "user": Known(_RECORDED, KEPT["user"]),
}

CHAT: Final[Mapping[str, Known]] = _BOTH | {
    "messages": Known(
        _PASSES,
        Messages,
        "`developer` is `system` where the model's template has no such role; whether it tells a"
        " `name` is the template's matter",
    ),
    "max_tokens": Known(
        _PASSES,
        Count,
        "with the prompt not over the window; without it: until the model ends, or its context is"
        " full",
    ),
    "max_completion_tokens": Known(_PASSES, Count, "wins over `max_tokens`"),
    "logprobs": Known(_TRANSLATED, bool, "of the model's own distribution, before sampling"),
    "top_logprobs": Known(
        _TRANSLATED, Annotated[int, Meta(ge=0, le=20)], "0 to 20; only with `logprobs`"
    ),
    "tools": Known(_TRANSLATED, Tools, "functions; custom tools are refused"),
    "tool_choice": Known(
        _TRANSLATED, ToolChoice, "none, auto, required, one function, or allowed tools"
    ),
    "parallel_tool_calls": Known(_PASSES, bool, "without it: as the model's template can"),
    "functions": Known(_TRANSLATED, Functions, "the old `tools`, answered in the old shape"),
    "function_call": Known(_TRANSLATED, FunctionCall, "the old `tool_choice`"),
    "response_format": Known(
        _PASSES,
        dict[str, Any],
        "text, json_object or json_schema; the `description` of a schema is recorded",
    ),
    "reasoning_effort": Known(
        _TRANSLATED,
        Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"],
        "where the model's chat template has a switch for it; else only `none`",
    ),
    "verbosity": Known(
        _REFUSED,
        Literal["low", "medium", "high"],
        "models here have no switch for it but `medium`: ask for a length in a message.",
        ("medium",),
    ),
    "modalities": Known(
        _REFUSED,
        Annotated[list[Literal["text", "audio"]], Meta(min_length=1)],
        'models here answer in text: send ["text"], or leave it out.',
        (["text"],),
    ),
    "audio": Known(_REFUSED, Any, "models here do not speak: leave it out."),
    "web_search_options": Known(
        _REFUSED, Any, "nothing here searches the web: put what it should know in a message."
    ),
    "moderation": Known(_REFUSED, Any, "there is no moderation model here: leave it out."),
    "prediction": Known(_RECORDED, Prediction, "it would only make the same answer faster"),
    "prompt_cache_key": Known(_RECORDED, KEPT["prompt_cache_key"], "prompts are kept without"),
    "prompt_cache_options": Known(_RECORDED, PromptCacheOptions, "prompts are kept without"),
    "prompt_cache_retention": Known(
        _RECORDED, KEPT["prompt_cache_retention"], "prompts are kept without"
    ),
    "safety_identifier": Known(_RECORDED, KEPT["safety_identifier"]),
    "service_tier": Known(_RECORDED, KEPT["service_tier"]),
    "store": Known(_RECORDED, bool, "chat completions are not kept yet"),
    "metadata": Known(_RECORDED, Metadata, "up to 16 texts"),
}

TEXT: Final[Mapping[str, Known]] = _BOTH | {
    "prompt": Known(
        _NOIBO,
        str | Annotated[list[Any], Meta(min_length=1)],
        "a text, token ids, or a list of either",
    ),
    "suffix": Known(_TRANSLATED, str, "for models that were trained to fill a gap"),
    "max_tokens": Known(
        _PASSES,
        Annotated[int, Meta(ge=0, le=2**31 - 1)],
        "without it: until the model ends (OpenAI ends after 16)",
    ),
    "logprobs": Known(
        _TRANSLATED, Annotated[int, Meta(ge=0, le=5)], "0 to 5, before sampling; the old shape"
    ),
    "echo": Known(_NOIBO, bool, "the prompt in front of the answer"),
    "prompt_logprobs": Known(
        _NOIBO,
        Annotated[int, Meta(ge=0, le=20)],
        "vLLM's; with `max_tokens` 0, or 1 and `temperature` 0; see scoring",
    ),
    "add_special_tokens": Known(
        _REFUSED, bool, "vLLM's: send token ids, which are taken as they are.", (True,)
    ),
    "best_of": Known(
        _NOIBO,
        Annotated[int, Meta(ge=0, le=20)],
        "up to 20, at least `n`; not streamed; by the mean of the log-probabilities",
    ),
}


def check(fields: Fields, table: Mapping[str, Known]) -> dict[str, Any]:
    """Check the fields that are in the table, in place, and give back those that are recorded.

    What is null, recorded, or refused but harmless is taken out."""
    recorded: dict[str, Any] = {}
    for name in [name for name in fields if name in table]:
        known = table[name]
        value = known.read(name, fields[name])
        if known.verdict is Verdict.RECORDED and value is not None:
            recorded[name] = value
        if value is None or known.verdict in {Verdict.RECORDED, Verdict.REFUSED}:
            del fields[name]
    return recorded
