"""The OpenAPI document: every route, and what each takes.

FastAPI knows only of routes and bodies that it decodes. The plain routes are listed here, and the
bodies that are read from bytes are described (`bodies.py`).
"""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

from noibo.gateway.bodies import BODIES, Body
from noibo.wire.body import Json

_NULL: Final = {"type": "null"}
_REF: Final = "#/components/schemas/"
_CONVERTOR: Final = re.compile(r":\w+}")


def describe(app: FastAPI) -> None:
    """Let the document of `app` list these routes and say what they take."""
    plain = app.openapi

    @functools.cache  # it takes a while, and stays the same
    def whole() -> Json:
        document = plain()
        for route in iter_route_contexts(app.routes):
            if route.include_in_schema:
                _list(document, route)
        for path, body in BODIES.items():
            operations = document["paths"][path]
            operation = operations.get("post") or operations["delete"]
            schema = _schema(document, body)
            content = {body.media: {"schema": schema}}
            operation["requestBody"] = {"required": True, "content": content}
        return document

    app.openapi = whole  # type: ignore[method-assign] # as FastAPI's documentation has it


def _list(document: Json, route: RouteContext) -> None:
    """A route that FastAPI does not list: one that is not its own."""
    operations = document["paths"].setdefault(_CONVERTOR.sub("}", str(route.path)), {})
    said = inspect.getdoc(route.endpoint) or ""
    for method in sorted(set(route.methods or ()) - {"HEAD"}):
        told = {"description": said, "responses": {"200": {"description": "The answer."}}}
        operations.setdefault(method.lower(), told)


def _schema(document: Json, body: Body) -> Json:
    """The schema of a body; the shapes in it go to the document's components."""
    if not body.types:
        return {"type": "string", "format": "binary"}
    schemas, shapes = msgspec.json.schema_components(
        list(body.types.values()), ref_template=f"{_REF}{body.api}.{{name}}"
    )
    known: Json = document.setdefault("components", {}).setdefault("schemas", {})
    known |= {f"{body.api}.{name}": shape for name, shape in shapes.items()}
    properties = {
        name: schema if name in body.required else _or_null(body, schema)
        for name, schema in zip(body.types, schemas, strict=True)
    }
    return {"type": "object", "properties": properties, "required": list(body.required)}


def _or_null(body: Body, schema: dict[str, Any]) -> Json:
    """What need not be there may be null; a form has no such thing."""
    return schema if body.media.startswith("multipart/") else {"anyOf": [schema, _NULL]}
