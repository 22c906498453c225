"""What a chat's messages are made of is checked once, for every API, when its model is known."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import msgspec

from noibo.engines.engine import Fields, Model
from noibo.wire.body import UNREADABLE, raw
from noibo.wire.content_parts import check_parts, refusals_as_text

_SMALL: Final = 2**16  # bytes that are looked at on the event loop


async def require_readable(fields: Fields, model: Model) -> None:
    """Raise `InvalidRequest` for a part of a message that `model` does not read; what is only said
    in other words than an engine's is changed, in place."""
    messages = bytes(fields.get("messages", b""))
    if b'"type"' not in messages and b"\\u" not in messages:
        return  # no part is without a type: all content is text
    if len(messages) > _SMALL:
        changed = await asyncio.to_thread(_checked, messages, model)
    else:
        changed = _checked(messages, model)
    if changed is not None:
        fields["messages"] = changed


def _checked(messages: bytes, model: Model) -> msgspec.Raw | None:
    """Other messages to send, if any. Raises `InvalidRequest`."""
    found: Any = None
    with contextlib.suppress(*UNREADABLE):  # the engine says what is wrong with it
        found = msgspec.json.decode(messages)
    check_parts(found, model=model.name, sees_images=model.projector is not None)
    return raw(found) if refusals_as_text(found) else None
