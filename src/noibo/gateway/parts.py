"""What a chat's messages are made of is checked once, for every API, when its model is known."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import msgspec

from noibo.engines.engine import Fields, Model
from noibo.engines.thinking import Thinking
from noibo.gateway.off_loop import off_loop
from noibo.wire.body import UNREADABLE, raw
from noibo.wire.content_parts import check_parts, drop_thoughts, refusals_as_text

# Names may be escaped. Parts stand in a list, whatever they are made of.
_SIGNS: Final = (b'"reasoning_content"', b"\\u")
_LIST: Final = b"["


async def require_readable(fields: Fields, model: Model) -> None:
    """Raise `InvalidRequest` for a part of a message that `model` does not read; what is only said
    in other words than an engine's is changed, in place."""
    messages = bytes(fields.get("messages", b""))
    if messages.find(_LIST, 1) < 0 and not any(sign in messages for sign in _SIGNS):
        return  # all content is text
    changed = await off_loop(len(messages), _checked, messages, model)
    if changed is not None:
        fields["messages"] = changed


def _checked(messages: bytes, model: Model) -> msgspec.Raw | None:
    """Other messages to send, if any. Raises `InvalidRequest`.

    Thoughts that a template does not read are taken out: llama.cpp puts them into the content for
    every template of Mistral's, and one that knows no thoughts then shows neither (seen with
    Devstral)."""
    found: Any = None
    with contextlib.suppress(*UNREADABLE):  # the engine says what is wrong with it
        found = msgspec.json.decode(messages)
    check_parts(found, model=model.name, sees_images=model.projector is not None)
    changed = refusals_as_text(found)
    if b"reasoning_content" in messages and not Thinking.of(model).thinks:
        changed = drop_thoughts(found) or changed
    return raw(found) if changed else None
