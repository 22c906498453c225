"""No column of text is forgotten."""

from __future__ import annotations

import sqlalchemy as sa

from noibo.database.schema import metadata
from noibo.holdings.places import OF_NOBODY, TEXTS


def test_every_column_of_text_is_known_to_hold_something_or_nothing() -> None:
    for table in metadata.sorted_tables:
        held = {c for one in TEXTS if one.table is table for c in (*one.columns, *one.packed)}
        columns = {
            column.name
            for column in table.columns
            if isinstance(column.type, sa.String | sa.LargeBinary)
        }
        assert columns == held | OF_NOBODY[table.name], table.name
        assert not held & OF_NOBODY[table.name]
