"""What the routes take that read their bodies themselves, for the OpenAPI document.

FastAPI knows only of bodies that it decodes. Those of the routes that pass bytes through are
described here, by the same types that they are checked with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from noibo.gateway.anthropic import parameters
from noibo.wire.body import Json
from noibo.wire.openai import fields

_NULL: Final = {"type": "null"}
_REF: Final = "#/components/schemas/"


def describe(app: FastAPI) -> None:
    """Let the document of `app` say what these routes take."""
    plain = app.openapi

    def whole() -> Json:
        document = plain()
        for path, (said, types, required) in _bodies().items():
            body = _object(document, types, required)
            operation = document["paths"].setdefault(path, {}).setdefault("post", {})
            operation.setdefault("description", said)
            operation.setdefault("responses", {"200": {"description": "The answer."}})
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": body}},
            }
        return document

    app.openapi = whole  # type: ignore[method-assign] # as FastAPI's documentation has it


def _bodies() -> Mapping[str, tuple[str, Mapping[str, Any], tuple[str, ...]]]:
    """For each route: what it does, its fields with their types, and which must be there."""
    chat = {name: known.kind for name, known in fields.CHAT.items()}
    text = {name: known.kind for name, known in fields.TEXT.items()}
    told = parameters.TYPES
    return {
        "/v1/chat/completions": ("Answer a chat.", chat, ("messages",)),
        "/v1/completions": ("Continue a text.", text, ("prompt",)),
        "/v1/messages": ("Answer a conversation.", told, parameters.REQUIRED),
        "/v1/messages/count_tokens": (
            "How many tokens the prompt of such a message has.",
            told,
            parameters.REQUIRED[:2],
        ),
    }


def _object(document: Json, types: Mapping[str, Any], required: tuple[str, ...]) -> Json:
    """The schema of a body; the shapes in it go to the document's components."""
    api = "anthropic" if types is parameters.TYPES else "openai"
    schemas, shapes = msgspec.json.schema_components(
        list(types.values()), ref_template=f"{_REF}{api}.{{name}}"
    )
    known = document.setdefault("components", {}).setdefault("schemas", {})
    known |= {f"{api}.{name}": shape for name, shape in shapes.items()}
    properties = {
        name: schema if name in required else {"anyOf": [schema, _NULL]}
        for name, schema in zip(types, schemas, strict=True)
    }
    return {"type": "object", "properties": properties, "required": list(required)}
