"""What `/infill` takes, checked: llama.cpp's own check goes on after it has found a fault."""

from __future__ import annotations

from typing import Any

from noibo.errors import InvalidRequest
from noibo.wire.body import Fields, field


def check(fields: Fields) -> None:
    """Raises `InvalidRequest`."""
    for name in ("input_prefix", "input_suffix"):
        if field(fields, name, str) is None:
            raise InvalidRequest(
                f"{name} is missing.",
                param=name,
                next_step="Send the text before the gap as input_prefix, that behind it as "
                "input_suffix; either may be empty.",
            )
    field(fields, "prompt", str)
    for number, chunk in enumerate(field(fields, "input_extra", list[dict[str, Any]], [])):
        names = [name for name in ("text", "filename") if not isinstance(chunk.get(name, ""), str)]
        if names or "text" not in chunk:
            raise InvalidRequest(
                f"input_extra[{number}] is not of a text and perhaps a filename.",
                param="input_extra",
            )
