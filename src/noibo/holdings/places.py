"""Where something of a person can stand: each table with its texts, and whose its rows are.

A new column of text is put here, or among those that hold nothing of anybody; a test says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from noibo.database import schema

Decode = Callable[[Any], Any]


def _json(value: Any) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeError):
        return value if isinstance(value, str) else ""


def _events(value: bytes) -> Any:
    """The events of a packed stream, each as its JSON."""
    try:
        text = zlib.decompress(value).decode("utf-8", "replace")
    except zlib.error:
        return ""
    lines = (line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:"))
    return [_json(line.strip()) for line in lines]


@dataclass(frozen=True, slots=True)
class Texts:
    """A table whose rows have texts of callers'. `columns`: JSON that can be blanked; `packed`:
    what goes as a whole. `owner`: the column that says whose a row is, or its parent is."""

    kind: str
    table: sa.Table
    columns: tuple[str, ...]
    packed: tuple[str, ...] = ()
    at: str = "created_at"
    decode: Mapping[str, Decode] = field(default_factory=dict)

    @property
    def key(self) -> tuple[sa.Column[Any], ...]:
        """What tells a row from all others."""
        return tuple(self.table.primary_key.columns)

    def read(self, column: str, value: Any) -> Any:
        """What a column holds, as JSON."""
        return self.decode.get(column, _json)(value)


TEXTS: Final = (
    Texts(
        "response",
        schema.responses,
        ("body",),
        packed=("events",),
        decode={"events": _events},
    ),
    Texts("response_item", schema.response_items, ("body",)),
    Texts("file", schema.files, ("name",)),
    Texts("batch", schema.batches, ("body",)),
    Texts("batch_result", schema.batch_results, ("body",)),
)
# Columns of text or bytes that hold nothing that a caller wrote, but who they are, or what is asked
# of a model: of these the rows are a user's, and go or lose their owner with them.
OF_NOBODY: Final[Mapping[str, frozenset[str]]] = {
    "responses": frozenset({"id", "owner", "status", "previous_id"}),
    "response_items": frozenset({"response_id", "id", "owner"}),
    "files": frozenset({"id", "owner", "purpose", "label"}),
    "batches": frozenset({"id", "owner", "asked_by", "status", "input_file_id"}),
    "batch_results": frozenset({"batch_id"}),
    "usage": frozenset(
        {
            *("id", "request", "owner", "key", "asked", "model", "route", "reasons"),
            *("destination", "cost_by", "label", "outcome"),
        }
    ),
    "budget_spending": frozenset({"scope", "period"}),
    "budget_calls": frozenset({"scope", "reservation"}),
    "budget_reservations": frozenset({"id", "holder", "state", "claims", "entry"}),
    "budget_holders": frozenset({"id"}),
    "leases": frozenset({"name", "holder"}),
    "access_version": frozenset(),
    "api_keys": frozenset({"id", "name", "owner", "role", "models", "routes", "digest"}),
    "users": frozenset({"name", "role", "password"}),
    "sessions": frozenset({"digest", "user"}),
}
