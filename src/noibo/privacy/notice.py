"""A line to a model that gets placeholders: to write them as they are.

It goes where each API has its instructions, behind those that are there already; the same words
each time, so that what is cached of the prompt holds.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from noibo.wire import body

NOTICE: Final = (
    "Names and numbers in this conversation are replaced by placeholders such as <PERSON_1> or "
    "<PHONE_2>. Where you mean one, write its placeholder exactly as it stands, with its brackets; "
    "the same placeholder is always the same value, and <PERSON_1b> is another spelling of "
    "<PERSON_1>. Do not guess what is behind it, and do not speak of placeholders."
)
_SYSTEM: Final = frozenset({"system", "developer"})


def with_notice(fields: dict[str, Any], path: str) -> dict[str, Any]:
    """The body with the line in it; as it is, where its API has no place for instructions."""
    if path.endswith(("/chat/completions", "/api/chat")):
        return _changed(fields, "messages", _in_messages)
    if path.endswith("/responses"):
        return _changed(fields, "instructions", _in_text)
    if path.endswith(("/messages", "/api/generate")):
        return _changed(fields, "system", _in_text)
    return fields


def _changed(fields: dict[str, Any], name: str, change: Any) -> dict[str, Any]:
    value = fields.get(name)
    if isinstance(value, msgspec.Raw):
        value = msgspec.json.decode(value)
    new = change(value)
    undecoded = any(isinstance(one, msgspec.Raw) for one in fields.values())
    return {**fields, name: body.raw(new) if undecoded else new}


def _in_messages(messages: Any) -> Any:
    """In the system's message, where there is one: some models take no second."""
    if not isinstance(messages, list):
        return messages
    first = messages[0] if messages else None
    if isinstance(first, dict) and first.get("role") in _SYSTEM:
        return [{**first, "content": _in_text(first.get("content"))}, *messages[1:]]
    return [{"role": "system", "content": NOTICE}, *messages]


def _in_text(said: Any) -> Any:
    """Behind a text, or behind a list of parts."""
    if isinstance(said, list):
        return [*said, {"type": "text", "text": NOTICE}]
    return f"{said}\n\n{NOTICE}" if said else NOTICE
