"""What became of answers moves the chance of later ones, and outlives the server."""

from __future__ import annotations

from pathlib import Path

from noibo.gateway.routed.outcomes import LEAST, Outcomes, outcome_of_check
from noibo.routing.calibration import Outcome
from noibo.routing.verdict import Verdict


def test_nothing_is_made_of_a_few(tmp_path: Path) -> None:
    outcomes = Outcomes(tmp_path / "outcomes.jsonl")
    for _ in range(LEAST - 1):
        outcomes.add("small", Outcome(0.6, 0.0))
    assert outcomes.calibration("small") is None
    assert outcomes.calibration("other") is None


def test_a_model_that_is_mostly_wrong_gets_a_smaller_chance(tmp_path: Path) -> None:
    outcomes = Outcomes(tmp_path / "outcomes.jsonl")
    for _ in range(2 * LEAST):
        outcomes.add("weak", Outcome(0.6, 0.0))
        outcomes.add("strong", Outcome(0.6, 1.0))
    weak, strong = outcomes.calibration("weak"), outcomes.calibration("strong")
    assert weak is not None and strong is not None
    assert weak.of(0.6).p < 0.4
    assert strong.of(0.6).p > 0.8


def test_they_are_there_for_the_next_server(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    first = Outcomes(path)
    for _ in range(LEAST):
        first.add("weak", Outcome(0.6, 0.0))
    with path.open("ab") as file:
        file.write(b'{"half a li')
    found, again = first.calibration("weak"), Outcomes(path).calibration("weak")
    assert found is not None and again is not None
    assert again.of(0.6) == found.of(0.6)


def test_a_fault_counts_more_than_that_none_was_found() -> None:
    wrong = outcome_of_check(0.5, Verdict(False, 0.9, 0.5, {"refusal": {}}), None)
    unsure = outcome_of_check(0.5, Verdict(False, 0.3, 0.5, {"unsure": {}}), None)
    right = outcome_of_check(0.5, Verdict(True, 0.9, 0.5), None)
    graded = outcome_of_check(0.5, Verdict(True, 0.9, 0.5), 0.2)
    assert [one.right for one in (wrong, unsure, right, graded)] == [0.0, 0.3, 0.9, 0.2]
    assert wrong.weight > graded.weight > right.weight == unsure.weight
