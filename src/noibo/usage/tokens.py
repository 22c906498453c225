"""Tokens of one call by kind, as the provider reported them, in whichever shape it did.

Kinds are parts here: `cached` and `cache_write` are parts of `input`, `reasoning` of `output`.
Anthropic reports the first three beside each other, Gemini the last two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from noibo.usage.money import MOST_A_CALL, dollars

MOST: Final = 10**12  # more is no count of tokens
_FAR: Final = 10  # times
_UNSEEN: Final = 100_000  # tokens that are counted, and that the caller neither sends nor sees
_MOST_DOLLARS: Final = dollars(MOST_A_CALL)
_INPUT: Final = ("prompt_tokens", "input_tokens", "prompt_eval_count", "promptTokenCount")
_OUTPUT: Final = ("completion_tokens", "output_tokens", "eval_count", "candidatesTokenCount")
_INPUT_PARTS: Final = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_PARTS: Final = ("completion_tokens_details", "output_tokens_details")


class Tokens(msgspec.Struct, frozen=True):
    """Counts; None: it was not reported."""

    input: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    images: int | None = None

    @property
    def known(self) -> bool:
        """True if a price can be put on it."""
        return self.input is not None and self.output is not None


NOTHING: Final = Tokens()


@dataclass(frozen=True, slots=True)
class Most:
    """The most that a call can take, by what is asked: tokens of its prompt, and of its answers. Of
    one that writes nothing, as an embedding, `written` is 0."""

    prompt: int
    written: int


def believed(found: Tokens, most: Most, *, wrote: bool, received: int) -> Tokens:
    """What was reported, without counts that cannot be of such a call: nothing for an answer in
    which something was written (`wrote`); far more than was asked, and than the bytes of the answer
    can say. Some do count more than that: the system's own words, thoughts, what a search found."""
    read, written = found.input, found.output
    if read is not None and read > _FAR * most.prompt + _UNSEEN:
        read = None
    if not most.written:
        written = written or 0
    elif written is not None and (
        (wrote and not written) or written > max(_FAR * most.written, received) + _UNSEEN
    ):
        written = None
    return replace(found, input=read, output=written)


def reported(usage: Any) -> Tokens:
    """What a `usage` of OpenAI's, Anthropic's, Gemini's or Ollama's form says. What is no count is
    not reported; a part is at most the whole."""
    if not isinstance(usage, Mapping):
        return NOTHING
    read, written = _first(usage, _INPUT), _first(usage, _OUTPUT)
    cached = _part(usage, _INPUT_PARTS, "cached_tokens")
    stored = _part(usage, _INPUT_PARTS, "cache_write_tokens")
    reasoning = _part(usage, _OUTPUT_PARTS, "reasoning_tokens", "thinking_tokens")
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:  # Anthropic
        cached = _count(usage.get("cache_read_input_tokens"))
        stored = _count(usage.get("cache_creation_input_tokens"))
        if read is not None and "prompt_tokens" not in usage:
            read += (cached or 0) + (stored or 0)
    if "candidatesTokenCount" in usage or "promptTokenCount" in usage:  # Gemini
        cached = _count(usage.get("cachedContentTokenCount"))
        reasoning = _count(usage.get("thoughtsTokenCount"))
        written = None if written is None else written + (reasoning or 0)
    read = read or None  # nobody answers nothing: such a count is none
    return Tokens(
        input=read,
        cached=_within(cached, read),
        cache_write=_within(stored, None if read is None else read - (cached or 0)),
        output=written,
        reasoning=_within(reasoning, written),
        images=_count(usage.get("images")),
    )


def reported_cost(usage: Any) -> Decimal | None:
    """Dollars that the provider itself says the call cost, as OpenRouter does; with a key of one's
    own at the provider behind it, what that one takes too."""
    if not isinstance(usage, Mapping):
        return None
    cost = _amount(usage.get("cost"))
    if cost is None:
        return None
    details = usage.get("cost_details")
    if usage.get("is_byok") is True and isinstance(details, Mapping):
        cost += _amount(details.get("upstream_inference_cost")) or Decimal(0)
    return min(cost, _MOST_DOLLARS)


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((_count(usage[name]) for name in names if usage.get(name) is not None), None)


def _part(usage: Mapping[str, Any], tables: tuple[str, ...], *names: str) -> int | None:
    for table in tables:
        parts = usage.get(table)
        if isinstance(parts, Mapping):
            return _first(parts, names)
    return None


def _count(said: Any) -> int | None:
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= MOST:
        return None
    return said


def _within(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else max(min(part, whole), 0)


def _amount(said: Any) -> Decimal | None:
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        found = Decimal(str(said))
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 <= found <= _MOST_DOLLARS else None
