"""What `/completion` takes, checked where llama.cpp would pass over what it cannot use.

A wrong type of many of its fields is refused by llama.cpp itself; of these it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from noibo.errors import InvalidRequest
from noibo.wire import body
from noibo.wire.body import Fields, field

MOST_PROBS: Final = 100  # likely tokens to name in each place
_Probs = Annotated[int, msgspec.Meta(ge=0, le=MOST_PROBS)]
KINDS: Final[dict[str, Any]] = {
    "grammar": str,
    "id_slot": Annotated[int, msgspec.Meta(ge=-1)],
    "logit_bias": list[list[Any]] | dict[str, Any],
    "logprobs": _Probs,  # what it takes for n_probs, for want of it
    "lora": list[dict[str, Any]],
    "min_p": Annotated[float, msgspec.Meta(ge=0, le=1)],
    "mirostat": Literal[0, 1, 2],
    "samplers": list[str] | str,
    "stop": list[str] | str,
}
# Samplers and their other names.
_SAMPLERS: Final = {
    "adaptive_p": ("adaptive-p",),
    "dry": (),
    "infill": (),
    "min_p": ("min-p",),
    "penalties": (),
    "temperature": ("temp",),
    "top_k": ("top-k",),
    "top_n_sigma": ("top-n-sigma",),
    "top_p": ("top-p", "nucleus"),
    "typ_p": ("typ-p", "typ", "typical", "typical-p"),
    "xtc": (),
}


def check(fields: Fields) -> None:
    """Raises `InvalidRequest`. One stop word alone becomes a list, as llama.cpp reads it."""
    for name, kind in KINDS.items():
        value = field(fields, name, kind)
        if name == "stop" and isinstance(value, str):
            fields[name] = body.raw([value])
        if name == "samplers" and isinstance(value, list):
            _require_known(value)


def bound_probs(fields: Mapping[str, msgspec.Raw]) -> None:
    """Raise `InvalidRequest` for more likely tokens in each place than are named at once. llama.cpp
    takes this field on every route, and has no bound of its own."""
    field(fields, "n_probs", _Probs)


def _require_known(samplers: list[str]) -> None:
    known = {*_SAMPLERS, *(other for others in _SAMPLERS.values() for other in others)}
    for one in samplers:
        if one not in known:
            raise InvalidRequest(
                f"samplers: {one[:40]!r} is none.",
                param="samplers",
                next_step=f"There are {', '.join(_SAMPLERS)}.",
            )
