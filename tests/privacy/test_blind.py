"""Texts written before the finders were looked at, and scored before anything was changed for them.

`blind.jsonl` (160 texts, 50 without anything) was written by somebody who had read neither the code
nor earlier sentences; `blind_again.jsonl` (80, 25 without anything) after what the first one taught
was built in, of other professions and regions, and `blind_third.jsonl` (25, 8 without anything)
after the second. `blind_fourth.jsonl` (70, 20 without anything) and `blind_fifth.jsonl` (28, 8
without anything) are by somebody who knew the code, of forms that it was thought to miss.
`blind_sixth.jsonl` (180, 60 without anything) is by another hand, who had read neither code nor
sets, `blind_seventh.jsonl` (90, 30 without anything) and `blind_eighth.jsonl` (40, 10 without
anything) by the same, who had read the code. What they scored when they were first tried stands in
docs/privacy_names.md and docs/privacy_detection.md. All were learnt from since, so the floors here
only say that nothing falls behind what was reached; what new texts bring is told by the first
numbers.
"""

from __future__ import annotations

import json

import pytest

from noibo.privacy.detector import Detector
from tests.privacy.marked import DATA
from tests.privacy.scores import STRUCTURED, Row, Score, row_of, score

# By set and labels, the least recall and the least precision.
FLOORS = [
    ("blind.jsonl", STRUCTURED, 0.98, 0.98),
    ("blind.jsonl", frozenset({"PERSON"}), 0.96, 0.97),
    ("blind.jsonl", frozenset({"ADDRESS"}), 0.94, 0.98),
    ("blind_again.jsonl", STRUCTURED, 0.97, 0.97),
    ("blind_again.jsonl", frozenset({"PERSON"}), 0.89, 0.93),
    ("blind_again.jsonl", frozenset({"ADDRESS"}), 0.89, 0.97),
    ("blind_third.jsonl", STRUCTURED, 1.0, 1.0),
    ("blind_third.jsonl", frozenset({"PERSON"}), 0.95, 1.0),
    ("blind_third.jsonl", frozenset({"ADDRESS"}), 0.9, 1.0),
    ("blind_fourth.jsonl", STRUCTURED, 1.0, 1.0),
    ("blind_fourth.jsonl", frozenset({"PERSON"}), 0.85, 0.97),
    ("blind_fourth.jsonl", frozenset({"ADDRESS"}), 0.87, 1.0),
    ("blind_fifth.jsonl", frozenset({"PERSON"}), 0.62, 1.0),
    ("blind_fifth.jsonl", frozenset({"ADDRESS"}), 0.82, 1.0),
    ("blind_sixth.jsonl", STRUCTURED, 0.99, 0.99),
    ("blind_sixth.jsonl", frozenset({"PERSON"}), 0.95, 0.95),
    ("blind_sixth.jsonl", frozenset({"ADDRESS"}), 0.94, 1.0),
    ("blind_seventh.jsonl", STRUCTURED, 0.99, 0.99),
    ("blind_seventh.jsonl", frozenset({"PERSON"}), 0.93, 0.93),
    ("blind_seventh.jsonl", frozenset({"ADDRESS"}), 0.87, 1.0),
    ("blind_eighth.jsonl", STRUCTURED, 1.0, 1.0),
    ("blind_eighth.jsonl", frozenset({"PERSON"}), 0.91, 0.91),
]
SETS = sorted({name for name, *_ in FLOORS})


def rows(name: str) -> list[Row]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [row_of(json.loads(line)) for line in lines]


def scored(name: str, labels: frozenset[str]) -> Score:
    return score(rows(name), Detector().find, labels)


@pytest.mark.parametrize(("name", "labels", "recall", "precision"), FLOORS)
def test_nothing_falls_behind(
    name: str, labels: frozenset[str], recall: float, precision: float
) -> None:
    found = scored(name, labels)
    assert found.recall >= recall
    assert found.precision >= precision


@pytest.mark.parametrize("name", SETS)
def test_hardly_anything_is_found_where_there_is_nothing(name: str) -> None:
    every = STRUCTURED | {"PERSON", "ADDRESS"}
    assert scored(name, every).hit <= 1


@pytest.mark.parametrize("name", SETS)
def test_the_marks_are_where_they_say(name: str) -> None:
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for one in entry["spans"]:
            assert entry["text"][one["start"] : one["end"]] == one["value"]
