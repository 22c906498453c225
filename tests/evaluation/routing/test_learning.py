"""Folds, samples and the weights learnt from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from noibo.errors import UsageError
from noibo.evaluation.routing.card import Card
from noibo.evaluation.routing.curves import auc
from noibo.evaluation.routing.folds import folds_of, groups_of
from noibo.evaluation.routing.learning import Data, chances, learn
from noibo.evaluation.routing.samples import Probe, Sample, probes, samples
from noibo.evaluation.routing.trials import classed, latency, within
from noibo.routing.complexity import ComplexityClassifier
from noibo.routing.features import Query

PASSAGE = "The committee met in the old town hall to settle the matter of the northern bridge. "


def made(many: int = 240, source: str = "mmlu") -> list[Sample]:
    """Exam questions of which those on torts are failed by the weak model."""
    random = np.random.default_rng(2)
    rows = []
    for number in range(many):
        hard = bool(number % 2)
        word = "torts" if hard else "cooking"
        text = f"Which is true of {word} number{random.integers(10**9)}?\nA. x\nB. y\nC. z\nD. w"
        weak = float(random.random() < (0.25 if hard else 0.85))
        rows.append(Sample(f"{source}-{number}", source, Query(text), weak, 1.0))
    return rows


def test_questions_on_one_passage_stand_in_one_fold() -> None:
    texts = [PASSAGE + "Who met?", "Where is the river?", PASSAGE + "What was settled there?"]
    first, other, again = groups_of(texts)
    assert first == again != other


def test_a_template_that_all_share_makes_no_group() -> None:
    texts = [f"Please read the following question and answer it well: w{n}x q" for n in range(40)]
    assert len(set(groups_of(texts))) == 40


def test_folds_are_the_same_every_time_and_hold_every_source() -> None:
    rows = made(60) + made(60, "gsm8k")
    folds = folds_of(rows)
    assert folds.tolist() == folds_of(rows).tolist()
    assert set(folds[:60].tolist()) == set(folds[60:].tolist()) == {0, 1, 2, 3, 4}


def test_what_the_weak_model_fails_on_is_learnt_and_calibrated() -> None:
    data, fresh = Data.of(made()), Data.of(made(600)[240:])
    found = chances(learn(data), fresh)
    assert auc(found, fresh.right) > 0.7
    assert found.mean() == pytest.approx(fresh.right.mean(), abs=0.08)


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    data = Data.of(made(120))
    for name in ("one", "two"):
        learn(data).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_card_is_written_of_trials() -> None:
    sets = {"gsm8k": made(120, "gsm8k"), "mmlu": made(120)}
    classifier = ComplexityClassifier()
    said = classed("own", [Probe("1", "Ai viết Truyện Kiều?", "simple")], classifier)
    page = Card([within(sets)], [said], latency(sets, classifier, many=5)).markdown()
    assert "| mmlu | 120 |" in page
    assert "GSM8K and MMLU together" in page
    assert "| own | 1 | 1 (100.0%) | 0 |" in page


def test_an_empty_folder_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no labelled prompts") as failed:
        samples(tmp_path)
    assert "routellm_gsm8k_labels.jsonl" in failed.value.next_step


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    good = json.dumps(
        {
            "id": "1",
            "source": "gsm8k",
            "prompt": "2+2?",
            "weak_correct": True,
            "strong_correct": True,
        }
    )
    (tmp_path / "routellm_gsm8k_labels.jsonl").write_text(good + "\n{}\n")
    with pytest.raises(UsageError, match="line 2"):
        samples(tmp_path)


def test_no_probes_are_no_error(tmp_path: Path) -> None:
    assert probes(tmp_path / "none.jsonl") == []


@pytest.mark.shared
@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_the_shipped_weights_are_what_the_shared_data_gives(shared: Path, tmp_path: Path) -> None:
    sets = samples(shared / "routing")
    every = Data.of([one for name in sorted(sets) for one in sets[name]])
    learnt, shipped = learn(every), ComplexityClassifier()
    for sample, p in zip(every.samples[::50], chances(learnt, every)[::50], strict=True):
        assert shipped.weigh(sample.query).p_local == pytest.approx(p, abs=0.02)
