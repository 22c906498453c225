"""No column of text is forgotten."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from noibo.database.schema import metadata
from noibo.database.seal import SealedBytes, SealedText
from noibo.holdings.places import OF_NOBODY, TEXTS


def is_text(column: sa.Column[Any]) -> bool:
    kind = column.type
    plain = kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind
    return isinstance(plain, sa.String | sa.LargeBinary)


def test_what_callers_wrote_can_be_sealed() -> None:
    for one in TEXTS:
        for name in (*one.columns, *one.packed):
            kind = one.table.c[name].type
            assert isinstance(kind, SealedText | SealedBytes)
            assert kind.place == f"{one.table.name}.{name}"


def test_every_column_of_text_is_known_to_hold_something_or_nothing() -> None:
    for table in metadata.sorted_tables:
        held = {c for one in TEXTS if one.table is table for c in (*one.columns, *one.packed)}
        columns = {column.name for column in table.columns if is_text(column)}
        assert columns == held | OF_NOBODY[table.name], table.name
        assert not held & OF_NOBODY[table.name]
