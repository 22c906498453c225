"""`response_format`: a text, any JSON object, or JSON that fits a schema; and that an answer is
held to one form, of all the fields that can ask for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from noibo.errors import InvalidRequest
from noibo.wire.body import UNREADABLE, Fields, field

NAME: Final = "response_format"
_FORMS: Final = (NAME, "json_schema", "grammar")
_NOTHING: Final = (b"null", b'""')


class Schema(msgspec.Struct):
    """A schema with a name. `strict` asks for an answer that fits: it always does. The model is
    held to the schema and told nothing of it, so that a `description` has no reader."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")] | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class Text(msgspec.Struct, tag_field="type", tag="text"):
    """Whatever the model says."""


class JsonObject(msgspec.Struct, tag_field="type", tag="json_object"):
    """Any JSON object; llama.cpp's `schema` narrows it."""

    schema: dict[str, Any] | None = None


class JsonSchema(msgspec.Struct, tag_field="type", tag="json_schema"):
    """JSON that fits a schema."""

    json_schema: Schema


_decode: Final = msgspec.json.Decoder(Text | JsonObject | JsonSchema).decode


def check_format(fields: Fields) -> Mapping[str, str]:
    """Raise `InvalidRequest` for a format that cannot be; take out one that asks for nothing.
    Gives what is to be recorded: what changes no answer."""
    if NAME not in fields:
        return {}
    try:
        found = _decode(fields[NAME])
    except UNREADABLE as exc:
        raise InvalidRequest(f"{NAME}: {exc}.", param=NAME) from exc
    if isinstance(found, Text):
        del fields[NAME]
    if isinstance(found, JsonSchema) and found.json_schema.description is not None:
        return {f"{NAME}.json_schema.description": found.json_schema.description}
    return {}


def require_one(fields: Mapping[str, msgspec.Raw]) -> None:
    """Raise `InvalidRequest` where several fields say which form an answer has: an engine would
    keep to one of them and pass over the others."""
    given = [name for name in _FORMS if name in fields and bytes(fields[name]) not in _NOTHING]
    if len(given) > 1 and field(fields, NAME, dict[str, Any], {}).get("type") == "text":
        given.remove(NAME)
    if len(given) > 1:
        raise InvalidRequest(
            f"{' and '.join(given)}: an answer is held to one form.",
            param=given[-1],
            next_step="Send one of them.",
        )
