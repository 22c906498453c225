"""What a real local model makes of multiple choices: the log-probability of each, token by token.

    NOIBO_SHARED=../shared python -m benchmarks.choices URL [--arc 400] [--hellaswag 300]

asks a noibo server for ARC (easy) and HellaSwag as evaluation harnesses do, by `echo` and
`logprobs`, and writes one line of numbers for each question to `tests/routing/data`. No text of the
data is in it. What the answers and their confidence are worth is reckoned from that file, without a
model: `python -m benchmarks.judge`, and docs/routing.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from noibo.evaluation.routing.choices import NUMBERS

ROOT: Final = Path(__file__).parent.parent
KEPT: Final = ROOT / "tests" / "routing" / "data" / "smollm2_135m_choices.jsonl"
TOP: Final = 5
ALONE: Final = {"arc_easy": "Answer:", "hellaswag": ""}  # a choice after this says nothing of it


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its text as harnesses put it, its choices, and which of them is right."""

    name: str
    source: str
    text: str
    choices: tuple[str, ...]
    gold: int


def arc(folder: Path, most: int) -> Iterator[Question]:
    """ARC (easy), as lm-eval asks it."""
    lines = (folder / "arc" / "arc_easy_test.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines[:most]):
        text = f"Question: {row['question']}\nAnswer:"
        yield Question(row["id"], "arc_easy", text, tuple(row["choices"]), int(row["answer"]))


def hellaswag(folder: Path, most: int) -> Iterator[Question]:
    """HellaSwag, as lm-eval asks it."""
    (path,) = (folder / "hellaswag").glob("*.jsonl")
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()[:most]):
        gold = int(row.get("label", row.get("answer")))
        yield Question(row["id"], "hellaswag", row["ctx"], tuple(row["endings"]), gold)


def score(client: httpx2.Client, model: str, texts: list[str]) -> list[dict[str, Any]]:
    """The log-probabilities of each text, its choices shared with the beginning of the others."""
    asked = {"model": model, "prompt": texts, "echo": True, "logprobs": TOP, "max_tokens": 0}
    said = client.post("/v1/completions", json=asked)
    said.raise_for_status()
    return [row["logprobs"] for row in said.json()["choices"]]


def entropy(likely: dict[str, float]) -> float:
    """Nats of the likeliest tokens, all others counted as one."""
    chances = [math.exp(one) for one in likely.values()]
    rest = max(0.0, 1 - sum(chances))
    return -sum(one * math.log(one) for one in [*chances, rest] if one > 1e-12)


def numbers(scores: dict[str, Any], start: int) -> dict[str, float]:
    """What is kept of the tokens that begin at `start` or after it."""
    at = [place for place, offset in enumerate(scores["text_offset"]) if offset >= start]
    logprobs = [scores["token_logprobs"][place] for place in at]
    likely = [scores["top_logprobs"][place] for place in at]
    found = [(one, top) for one, top in zip(logprobs, likely, strict=True) if one is not None]
    return {
        "tokens": len(found),
        "total": round(sum(one for one, _ in found), 3),
        "least": round(min(one for one, _ in found), 3),
        "entropy": round(sum(entropy(top) for _, top in found), 3),
    }


def measure(client: httpx2.Client, model: str, question: Question) -> dict[str, Any]:
    """One line: of each choice what it is worth after the question, and without it."""
    start, alone = len(question.text), ALONE[question.source]
    texts = [f"{question.text} {choice}" for choice in question.choices]
    bare = [f"{alone} {choice}" if alone else choice for choice in question.choices]
    after = score(client, model, texts)
    without = score(client, model, bare)
    rows = [
        {"chars": len(choice), "alone": _total(other, len(alone)), **numbers(one, start)}
        for choice, one, other in zip(question.choices, after, without, strict=True)
    ]
    return {
        "id": question.name,
        "set": question.source,
        "gold": question.gold,
        "length": len(question.text),
        "choices": [[row[name] for name in NUMBERS] for row in rows],
    }


def _total(scores: dict[str, Any], start: int) -> float:
    """0 where there is but one token, which follows nothing."""
    return numbers(scores, start)["total"] if start or scores["tokens"][1:] else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--model", default="smollm2:135m")
    parser.add_argument("--arc", type=int, default=400)
    parser.add_argument("--hellaswag", type=int, default=300)
    parser.add_argument("--to", type=Path, default=KEPT)
    wanted = parser.parse_args()
    folder = Path(os.environ.get("NOIBO_SHARED") or ROOT.parent / "shared") / "data" / "eval"
    wanted.to.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if wanted.to.exists():
        done = {json.loads(line)["id"] for line in wanted.to.read_text().splitlines()}
    asked = [*arc(folder, wanted.arc), *hellaswag(folder, wanted.hellaswag)]
    with httpx2.Client(base_url=wanted.url, timeout=600) as client, wanted.to.open("a") as file:
        for place, question in enumerate(asked):
            if question.name in done:
                continue
            file.write(json.dumps(measure(client, wanted.model, question)) + "\n")
            file.flush()
            print(f"\r{place + 1} of {len(asked)}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
