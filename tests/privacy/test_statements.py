"""Columns of SQL name the values that are put into them."""

from __future__ import annotations

import pytest

from noibo.privacy.detector import Detector

TABLE = "INSERT INTO nv (ten, ma_so_thue, bhxh, ma_don_hang) VALUES "


def found(text: str) -> list[tuple[str, str]]:
    return [
        (span.label, text[span.start : span.end])
        for span in Detector().find(text)
        if span.label != "PERSON"
    ]


def test_a_value_is_named_by_its_column():
    assert found(TABLE + "('Lan', 'x', '4820193347', 'y');") == [("BHXH", "4820193347")]


def test_every_row_has_the_same_columns():
    text = TABLE + "('Lan', 'x', '4820193347', 'y'), ('Hoa, Mai', 'x', '3621457098', 'y')"
    assert found(text) == [("BHXH", "4820193347"), ("BHXH", "3621457098")]


@pytest.mark.parametrize(
    "text",
    [
        TABLE + "('Lan', 'x', 'y', '4820193347');",
        TABLE + "('Lan', 'x', 'y', 'z'); SELECT 4820193347",
        "the values (a, b) of 4820193347",
    ],
)
def test_what_is_in_no_such_column_is_left(text):
    assert found(text) == []
