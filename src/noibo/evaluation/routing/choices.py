"""What a local model's confidence is worth: multiple choices by continuation likelihood.

    python -m benchmarks.choices URL    asks a real model, and keeps one line of numbers a question
    python -m benchmarks.judge          reckons from those lines, without a model

An answer is the choice whose log-probability a character is the greatest (`acc_norm`, as harnesses
have it). How sure its model was of it: by the tokens of the choice, and by how far several readings
of the same numbers agree on it: whole, by the character, by the token, and over what the choice is
worth without the question. That is self-consistency where nothing is drawn. A nat says less of a
long text than of a short one: log-probabilities vary with the root of the length.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from noibo.routing.confidence import Calibration, Confidence, fit
from noibo.routing.own_answers import OwnAnswers

Floats = np.ndarray[Any, np.dtype[np.float64]]
# Of each choice: its length, and of its tokens after the question the sum of log-probabilities, the
# least, and the sum of entropies; and the sum of log-probabilities without the question.
NUMBERS: Final = ("chars", "tokens", "total", "least", "entropy", "alone")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One question: whether what the model chose is right, how sure it was, and how long the
    question is in characters."""

    id: str
    source: str
    right: bool
    confidence: Confidence
    length: int


def read_choices(path: Path) -> list[Chosen]:
    """All questions of a file that `benchmarks.choices` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [chosen(json.loads(line)) for line in lines if line]


def chosen(row: dict[str, Any]) -> Chosen:
    """What the numbers of one question come to."""
    choices = [dict(zip(NUMBERS, one, strict=True)) for one in row["choices"]]
    readings = _readings(choices)
    spread = float(np.sqrt(np.mean([one["tokens"] for one in choices])))
    place = int(readings["character"].argmax())
    own = choices[place]
    tokens = own["tokens"]
    confidence = Confidence(
        tokens=tokens,
        mean=own["total"] / tokens,
        least=own["least"],
        entropy=own["entropy"] / tokens,
        agreement=float(np.mean([_shares(one / spread)[place] for one in readings.values()])),
    )
    return Chosen(row["id"], row["set"], place == row["gold"], confidence, row["length"])


def fitted_apart(
    questions: Sequence[Chosen], folds: int = 10, seed: int = 20_261_123
) -> list[Calibration]:
    """For each question a calibration that has not seen it."""
    fold_of = np.random.default_rng(seed).permutation(len(questions)) % folds
    made = []
    for fold in range(folds):
        seen = [one for one, own in zip(questions, fold_of, strict=True) if own != fold]
        made.append(fit([one.confidence for one in seen], [one.right for one in seen]))
    return [made[fold] for fold in fold_of]


def chances(questions: Sequence[Chosen], calibrations: Sequence[Calibration]) -> Floats:
    """The chance that each answer is right, by the calibration of each."""
    pairs = zip(questions, calibrations, strict=True)
    return np.array([calibration.chance(one.confidence) or 0.0 for one, calibration in pairs])


def signals(questions: Sequence[Chosen]) -> dict[str, Floats]:
    """Each signal by itself, the greater the surer."""
    found = [one.confidence for one in questions]
    return {
        "mean log-probability": np.array([one.mean for one in found]),
        "least log-probability": np.array([one.least for one in found]),
        "entropy (negative)": np.array([-(one.entropy or 0.0) for one in found]),
        "agreement": np.array([one.agreement or 0.0 for one in found]),
    }


def centred(calibration: Calibration, questions: Sequence[Chosen]) -> Calibration:
    """As it is used for another kind of question, of which nobody knows yet what was right."""
    own = OwnAnswers()
    for one in questions:
        own.add(one.confidence)
    return own.calibration(calibration)


def right_of(questions: Sequence[Chosen]) -> Floats:
    """1 for each that is right."""
    return np.array([float(one.right) for one in questions])


def _readings(choices: Sequence[dict[str, Any]]) -> dict[str, Floats]:
    total = np.array([one["total"] for one in choices])
    chars = np.array([float(one["chars"]) for one in choices])
    tokens = np.array([float(one["tokens"]) for one in choices])
    alone = np.array([one["alone"] for one in choices])
    return {
        "whole": total,
        "character": total / chars * chars.mean(),
        "token": total / tokens * tokens.mean(),
        "gain": total - alone,
    }


def _shares(reading: Floats) -> Floats:
    shares: Floats = np.exp(reading - reading.max())
    return np.asarray(shares / shares.sum())
