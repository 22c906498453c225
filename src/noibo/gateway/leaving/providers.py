"""What is asked of a server elsewhere besides what the caller asks: to count, and not to keep.

Some of it comes back in the answer; what the caller has not asked for is taken out again there.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from noibo.engines.engine import plain
from noibo.errors import InvalidRequest
from noibo.wire.body import UNREADABLE, raw
from noibo.wire.openrouter import KEEPS_NOTHING

_GENERATES: Final = ("/chat/completions", "/completions")
_EMBEDS: Final = "/embeddings"
_COUNT: Final = "stream_options"
_PROBABILITIES: Final = ("logprobs", "top_logprobs")
_OTHER_MODELS: Final = ("models", "route", "preset")  # by which it asks another than was asked


def asked_of(path: str, fields: dict[str, Any], *, openrouter: bool) -> tuple[dict[str, Any], bool]:
    """The fields for a server, OpenRouter or another, and whether the stream's count is to be taken
    out again. Raises `InvalidRequest` for those that would let it choose the model."""
    generates = path.endswith(_GENERATES)
    if not generates and not path.endswith(_EMBEDS):
        return fields, False
    made = dict(fields)
    counts = generates and _plain(made.get("stream")) is True and _include_usage(made)
    if openrouter:
        _ask_openrouter(made)
        if generates:
            made["usage"] = raw({"include": True})  # what it cost
    return made, counts


def without_probabilities(fields: dict[str, Any]) -> bool:
    """Not asked for what would be of placeholders, and of no word that the caller reads: the
    probabilities of tokens. True where the caller has asked for it."""
    wanted = bool(_plain(fields.get("logprobs")))
    for name in _PROBABILITIES:
        fields.pop(name, None)
    return wanted


def _include_usage(fields: dict[str, Any]) -> bool:
    """Ask for the count of a stream. True where the caller has not."""
    options = _plain(fields.get(_COUNT))
    options = options if isinstance(options, dict) else {}
    if options.get("include_usage") is True:
        return False
    fields[_COUNT] = raw({**options, "include_usage": True})
    return True


def _ask_openrouter(fields: dict[str, Any]) -> None:
    """Only providers that keep nothing, whatever else the caller says of them."""
    if others := [name for name in _OTHER_MODELS if _plain(fields.get(name))]:
        raise InvalidRequest(
            f"{others[0]!r} lets OpenRouter ask another model than the one that was asked, whose "
            "price and limits hold here.",
            param=others[0],
            next_step='Leave it out; a model of several is made in noibo.toml: [virtual."NAME"].',
        )
    provider = _plain(fields.get("provider"))
    provider = provider if isinstance(provider, dict) else {}
    fields["provider"] = raw(provider | KEEPS_NOTHING)


def _plain(value: Any) -> Any:
    try:
        return plain(value)
    except (msgspec.MsgspecError, *UNREADABLE):
        return None
