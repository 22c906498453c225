"""What a real local model's confidence is worth, from numbers that were measured once and kept
(`benchmarks.choices`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from noibo.evaluation.routing.bootstrap import Outcomes, apgr_above, interval
from noibo.evaluation.routing.choices import (
    Chosen,
    centred,
    chances,
    chosen,
    fitted_apart,
    read_choices,
    right_of,
    signals,
)
from noibo.evaluation.routing.curves import auc
from noibo.routing.confidence import fit, shipped

KEPT = Path(__file__).parent / "data" / "smollm2_135m_choices.jsonl"
SETS = ("arc_easy", "hellaswag")


@pytest.fixture(scope="module")
def questions() -> list[Chosen]:
    return read_choices(KEPT)


def of(questions: list[Chosen], source: str) -> list[Chosen]:
    return [one for one in questions if one.source == source]


@pytest.mark.parametrize(("source", "least"), [("arc_easy", 0.65), ("hellaswag", 0.53)])
def test_the_judge_tells_right_answers_from_wrong_ones(
    questions: list[Chosen], source: str, least: float
) -> None:
    own = of(questions, source)
    other = [one for one in questions if one.source != source]
    learnt = fit([one.confidence for one in other], [one.right for one in other])
    scored = chances(own, [centred(learnt, own)] * len(own))
    assert len(own) >= 300
    assert auc(scored, right_of(own)) > least  # learnt from the other set alone


def test_a_cascade_is_above_prompt_length_at_the_same_cost(questions: list[Chosen]) -> None:
    apart = dict(zip(questions, fitted_apart(questions), strict=True))
    outcomes = []
    for source in SETS:
        own = of(questions, source)
        right = right_of(own)
        length = np.array([-float(one.length) for one in own])
        scored = chances(own, [apart[one] for one in own])
        outcomes.append(Outcomes(scored, length, right, np.ones_like(right)))
    assert interval(outcomes, apgr_above).low > 0


def test_shuffled_labels_teach_nothing(questions: list[Chosen]) -> None:
    own, found = of(questions, "arc_easy"), []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(own))
        shuffled = [replace(one, right=own[at].right) for one, at in zip(own, order, strict=True)]
        seen, other = shuffled[::2], shuffled[1::2]
        learnt = fit([one.confidence for one in seen], [one.right for one in seen])
        found.append(auc(chances(other, [learnt] * len(other)), right_of(other)))
    assert abs(np.mean(found) - 0.5) < 0.03


def test_the_shipped_weights_are_those_of_the_numbers(questions: list[Chosen]) -> None:
    learnt = fit([one.confidence for one in questions], [one.right for one in questions])
    assert learnt.learnt == shipped().learnt
    assert np.allclose(learnt.together, shipped().together, atol=1e-6)
    assert np.allclose(learnt.alone, shipped().alone, atol=1e-6)


def test_agreement_says_the_most(questions: list[Chosen]) -> None:
    for source in SETS:
        own = of(questions, source)
        found = {name: auc(one, right_of(own)) for name, one in signals(own).items()}
        assert max(found, key=lambda name: found[name]) == "agreement"


def test_the_choice_is_the_likeliest_by_the_character() -> None:
    sure, unsure = [10, 2, -4.0, -3.0, 1.0, -9.0], [40, 8, -9.0, -4.0, 4.0, -11.0]
    row = {"id": "q", "set": "s", "gold": 1, "length": 7, "choices": [sure, unsure]}
    found = chosen(row)
    assert found.right  # -9 over 40 characters is more than -4 over 10
    assert (found.confidence.tokens, found.confidence.least) == (8, -4.0)
    assert found.confidence.agreement is not None and found.confidence.agreement < 0.7
