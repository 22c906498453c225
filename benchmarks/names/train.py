"""Learns the weights of `noibo.privacy.names`: python -m benchmarks.names.train [--check]

Logistic regression over features of candidates, in numpy. It learns from sentences of a grammar of
our own and from the shared English and Vietnamese sets; `--check` tells how it does on sentences
of templates that it did not see (ten folds by template), and on our own sentences, which it never
learns from.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.names.grammar import Grammar, Row
from noibo.privacy.names import Weights, find_names
from noibo.privacy.names_candidates import candidates
from noibo.privacy.names_features import REFUSED, evidence

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src/noibo/privacy/data/name_weights.txt"
OWN = ROOT / "tests/privacy/data/own_sentences.jsonl"
SAMPLES = 8
FOLDS = 10
RARE = 4

Example = tuple[list[str], bool]


def shared() -> Path:
    """Where the shared data lies."""
    return Path(os.environ.get("NOIBO_SHARED", "../shared")) / "data/pii"


def english() -> list[Row]:
    """The shared English sentences."""
    rows = json.loads((shared() / "presidio_synth.json").read_text(encoding="utf-8"))
    return [
        (
            f"en{row['template_id']}",
            row["full_text"],
            [
                (span["start_position"], span["end_position"])
                for span in row["spans"]
                if span["entity_type"] == "PERSON"
            ],
        )
        for row in rows
    ]


def vietnamese(path: Path | None = None) -> list[Row]:
    """The shared Vietnamese sentences, or others in their form."""
    lines = (path or shared() / "vi_pii_spans.jsonl").read_text(encoding="utf-8").splitlines()
    rows = []
    for row in map(json.loads, lines):
        spans = [(s["start"], s["end"]) for s in row["spans"] if s["label"] == "PERSON"]
        group = f"vi{row['template']}" if "template" in row else row["text"][:14]
        rows.append((group, row["text"], spans))
    return rows


def examples(rows: Sequence[Row]) -> list[Example]:
    """Candidates with whether they are persons; one that is part of a person counts as one."""
    found = []
    for _, text, spans in rows:
        parts = list(candidates(text))
        for part, told in zip(parts, evidence(text, parts), strict=True):
            if told.shape in REFUSED:
                continue
            hit = any(part.start < end and start < part.end for start, end in spans)
            found.append((told.names(), hit))
    return found


def learn(found: Sequence[Example], *, decay: float = 1.0, rounds: int = 400) -> dict[str, float]:
    """Weights by full-batch AdaGrad on the logistic loss with an L2 penalty."""
    counts = Counter(name for names, _ in found for name in set(names))
    index = {name: at for at, name in enumerate(n for n, c in counts.items() if c >= RARE)}
    rows, columns = [], []
    for at, (names, _) in enumerate(found):
        for name in names:
            if name in index:
                rows.append(at)
                columns.append(index[name])
    row, column = np.array(rows), np.array(columns)
    truth = np.array([hit for _, hit in found], float)
    weights, squares = np.zeros(len(index)), np.full(len(index), 1e-6)
    for _ in range(rounds):
        scores = np.bincount(row, weights[column], len(truth))
        wrong = 1 / (1 + np.exp(-scores)) - truth
        slope = np.bincount(column, wrong[row], len(index)) + decay * weights
        squares += slope * slope
        weights -= 0.5 * slope / np.sqrt(squares)
    return {name: round(float(weights[at]), 3) for name, at in index.items()}


def found_in(text: str, learnt: dict[str, float]) -> list[tuple[int, int]]:
    """The names that the finder finds with these weights."""
    return [(span.start, span.end) for span in find_names(text, Weights(learnt))]


def score(rows: Sequence[Row], answers: Sequence[list[tuple[int, int]]]) -> str:
    """Precision, recall and F1, exact spans."""
    right = sum(len(set(spans) & set(a)) for (_, _, spans), a in zip(rows, answers, strict=True))
    said, gold = sum(map(len, answers)), sum(len(spans) for _, _, spans in rows)
    return (
        f"precision {right / said:.3f} recall {right / gold:.3f} F1 {2 * right / (said + gold):.3f}"
    )


def folds(rows: Sequence[Row], other: Sequence[Example]) -> list[list[tuple[int, int]]]:
    """Answers to each row by weights that saw no row of its template."""
    groups = sorted({group for group, _, _ in rows})
    fold = {group: number % FOLDS for number, group in enumerate(groups)}
    answers: list[list[tuple[int, int]]] = [[] for _ in rows]
    for number in range(FOLDS):
        rest = [row for row in rows if fold[row[0]] != number]
        weights = learn([*other, *examples(rest)])
        for at, row in enumerate(rows):
            if fold[row[0]] == number:
                answers[at] = found_in(row[1], weights)
    return answers


def main() -> None:
    """Learn and write the weights, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    grammar = examples(Grammar().rows(SAMPLES))
    sets = {"english": english(), "vietnamese": vietnamese()}
    if check:
        alone = learn(grammar)
        for name, rows in (*sets.items(), ("own", vietnamese(OWN))):
            answers = [found_in(text, alone) for _, text, _ in rows]
            print(f"{name:10} by the grammar alone: {score(rows, answers)}")
        for name, rows in sets.items():
            rest = [e for other, r in sets.items() if other != name for e in examples(r)]
            print(f"{name:10} by template:          {score(rows, folds(rows, [*grammar, *rest]))}")
        return
    weights = learn([*grammar, *(e for rows in sets.values() for e in examples(rows))])
    head = "# Weights of noibo.privacy.names; python -m benchmarks.names.train writes this file.\n"
    body = "".join(f"{name}\t{value}\n" for name, value in sorted(weights.items()) if value)
    WEIGHTS.write_text(head + body, encoding="utf-8")
    own = vietnamese(OWN)
    print(len(weights), score(own, [found_in(text, weights) for _, text, _ in own]))


if __name__ == "__main__":
    main()
