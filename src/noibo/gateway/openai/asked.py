"""What a caller of OpenAI's generating routes asks for, read once, checked, and made ready.

What engines do as it is asked passes through; for all else the answer is told in the caller's
shape, from one request of the engine's or from several.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from noibo.errors import InvalidRequest
from noibo.gateway import recorded
from noibo.gateway.callers import Caller
from noibo.gateway.pipeline import Request
from noibo.wire import body
from noibo.wire.body import Fields
from noibo.wire.openai import fields as openai_fields
from noibo.wire.openai import tools
from noibo.wire.openai.fields import StreamOptions
from noibo.wire.openai.format import check_format
from noibo.wire.openai.shape import Shape

MOST_PROMPTS = 2048
TokenIds = Annotated[list[Annotated[int, Meta(ge=0, le=2**31 - 1)]], Meta(min_length=1)]
SEEDS: Final = 2**32 - 1  # as many seeds as engines tell apart
RANDOM: Final = -1  # a seed that draws one


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and how its answer is to be told. `prompts` is one for each of a text completion;
    `echo`: they stand in front of the answers. `plain`: engines answer it as it is."""

    request: Request
    shape: Shape
    prompts: Sequence[Any] = ()
    echo: bool = False

    @property
    def plain(self) -> bool:
        usual = Shape(chat=True, streamed=self.shape.streamed)
        return self.shape == usual


def read(path: str, fields: Fields, caller: Caller) -> Asked:
    """The fields of a request. Raises `InvalidRequest`, which names the field."""
    chat = path.endswith("/chat/completions")
    table = openai_fields.CHAT if chat else openai_fields.TEXT
    recorded.note(caller.name, openai_fields.check(fields, table))
    _bound_seed(fields)
    return _chat(path, fields, caller) if chat else _text(path, fields, caller)


def _chat(path: str, fields: Fields, caller: Caller) -> Asked:
    _require(fields, "messages")
    functions = tools.translate(fields)
    recorded.note(caller.name, check_format(fields))
    streamed, usage = _stream(fields)
    choices = _choices(fields)
    top = body.field(fields, "top_logprobs", int)
    asks = body.field(fields, "logprobs", bool, False)
    if top is not None and not asks:
        raise InvalidRequest(
            "top_logprobs: only with logprobs.",
            param="top_logprobs",
            next_step="Add logprobs: true.",
        )
    if asks:
        fields["top_logprobs"] = body.raw(max(top or 0, 1))
    shape = Shape(
        chat=True,
        streamed=streamed,
        choices=choices,
        drawn=choices,
        usage=usage,
        top_logprobs=(top or 0) if asks else None,
        functions=functions,
    )
    return Asked(Request.of(path, fields, caller), shape)


def _text(path: str, fields: Fields, caller: Caller) -> Asked:
    _require(fields, "prompt")
    streamed, usage = _stream(fields)
    choices = _choices(fields)
    drawn = max(body.field(fields, "best_of", int, 1), 1)
    echo = body.field(fields, "echo", bool, False)
    top = body.field(fields, "logprobs", int)
    drawn = _drawn(drawn, choices, streamed=streamed, given="best_of" in fields)
    for name in ("best_of", "echo"):
        fields.pop(name, None)
    if top is not None or drawn > choices:
        fields["logprobs"] = body.raw(max(top or 0, 1))
    shape = Shape(
        chat=False,
        streamed=streamed,
        choices=choices,
        drawn=drawn,
        usage=usage,
        top_logprobs=top,
        silent=body.field(fields, "max_tokens", int) == 0,
    )
    prompts = _prompts(fields)
    if "suffix" in fields and not all(isinstance(prompt, str) for prompt in prompts):
        raise InvalidRequest("suffix: only with prompts that are texts.", param="suffix")
    return Asked(Request.of(path, fields, caller), shape, prompts, echo)


def _bound_seed(fields: Fields) -> None:
    """Engines have 32 bits for a seed."""
    seed = body.field(fields, "seed", int)
    if seed is not None and seed != RANDOM and not 0 <= seed < SEEDS:
        fields["seed"] = body.raw(seed % SEEDS)


def _require(fields: Fields, name: str) -> None:
    if name not in fields:
        raise InvalidRequest(f"{name} is missing.", param=name)


def _stream(fields: Fields) -> tuple[bool, bool]:
    """Whether the answer is streamed, and whether it ends with what it took."""
    streamed = body.field(fields, "stream", bool, False)
    options = body.field(fields, "stream_options", StreamOptions)
    if options is not None and not streamed:
        raise InvalidRequest(
            "stream_options: only with stream.",
            param="stream_options",
            next_step="Add stream: true; an answer that is not streamed always has its usage.",
        )
    fields.pop("stream_options", None)
    return streamed, bool(options and options.include_usage)


def _choices(fields: Fields) -> int:
    """`n`, or `n_cmpl` as llama.cpp calls it."""
    n = body.field(fields, "n", int, 1)
    choices: int = body.field(fields, "n_cmpl", int, n)
    for name in ("n", "n_cmpl"):
        fields.pop(name, None)
    if not 1 <= choices <= 128:
        raise InvalidRequest("n_cmpl: from 1 to 128.", param="n_cmpl")
    return choices


def _drawn(drawn: int, choices: int, *, streamed: bool, given: bool) -> int:
    if not given or drawn == 1 == choices:
        return choices
    if drawn < choices:
        raise InvalidRequest("best_of: at least as many as n.", param="best_of")
    if streamed and drawn > choices:
        raise InvalidRequest(
            "best_of: which is best is known at the end; it cannot be streamed.", param="best_of"
        )
    return drawn


def _prompts(fields: Fields) -> list[Any]:
    """Each prompt: a text, or token ids."""
    found: Any = body.field(fields, "prompt", Any)
    several = isinstance(found, list) and not isinstance(found[0], int)
    prompts = found if several else [found]
    if len(prompts) > MOST_PROMPTS:
        raise InvalidRequest(f"prompt: at most {MOST_PROMPTS} of them.", param="prompt")
    for kind in (list[str], list[TokenIds]):
        with contextlib.suppress(msgspec.ValidationError):
            return list(msgspec.convert(prompts, kind))
    raise InvalidRequest(
        "prompt: a text, a list of texts, token ids, or a list of lists of token ids.",
        param="prompt",
    )
