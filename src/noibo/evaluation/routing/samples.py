"""Labelled prompts: what two models made of the same one, or the class that people gave it.

The sets are RouteLLM's GSM8K, MMLU and MT-Bench (Mixtral-8x7B against GPT-4), RouterArena (two
cheap models) and the semantic router's probes, as `docs/routing.md` names them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from noibo.errors import UsageError
from noibo.routing.features import Query

GOOD_SCORE: Final = 8.0  # of 10, from a judge
GOOD_SHARE: Final = 0.5  # of a metric of 0 to 1
FILES: Final[Mapping[str, str]] = {
    "gsm8k": "routellm_gsm8k_labels.jsonl",
    "mmlu": "routellm_mmlu_labels.jsonl",
    "mt_bench": "mt_bench_scores.jsonl",
    "routerarena": "routerarena_haiku_vs_flash.jsonl",
}
PROBES: Final = "semantic_router/probes.jsonl"


@dataclass(frozen=True, slots=True)
class Sample:
    """One prompt. `weak`, `strong`: how good the two models' answers were, 0 to 1."""

    id: str
    source: str
    query: Query
    weak: float
    strong: float

    @property
    def right(self) -> bool:
        """Whether the weak model's answer is right; where both fail it is wrong."""
        return self.weak >= self._enough

    @property
    def strong_right(self) -> bool:
        """Whether the strong model's is."""
        return self.strong >= self._enough

    @property
    def _enough(self) -> float:
        return GOOD_SCORE / 10 if self.source == "mt_bench" else GOOD_SHARE


@dataclass(frozen=True, slots=True)
class Probe:
    """A prompt with the class that people gave it."""

    id: str
    prompt: str
    wanted: str


def samples(folder: Path) -> dict[str, list[Sample]]:
    """Every set that is in the folder, by its name. Raises `UsageError` where there is none, or a
    line cannot be read."""
    found = {
        name: [_READERS[name](row) for row in _rows(folder / file, _READERS[name])]
        for name, file in FILES.items()
        if (folder / file).is_file()
    }
    if not found:
        raise UsageError(
            f"There are no labelled prompts in {folder}.",
            next_step=f"noibo route eval --data FOLDER (with {', '.join(FILES.values())})",
        )
    return found


def probes(path: Path) -> list[Probe]:
    """The probes in a file; none where it is not there."""
    if not path.is_file():
        return []
    return [Probe(row["id"], row["prompt"], row["class"]) for row in _rows(path, _probe)]


def _rows(path: Path, reads: Callable[[dict[str, Any]], object]) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                reads(row)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UsageError(
                    f"{path}, line {number} is not a labelled prompt: {error!r}",
                    next_step="See docs/routing.md for the form of each file.",
                ) from None
            yield row


def _probe(row: dict[str, Any]) -> Probe:
    return Probe(row["id"], row["prompt"], row["class"])


def _routellm(row: dict[str, Any]) -> Sample:
    weak, strong = float(row["weak_correct"]), float(row["strong_correct"])
    return Sample(row["id"], row["source"], Query(row["prompt"]), weak, strong)


def _mt_bench(row: dict[str, Any]) -> Sample:
    scores = {name: float(score) / 10 for name, score in row["scores"].items()}
    weak = next(score for name, score in scores.items() if "mixtral" in name.lower())
    strong = next(score for name, score in scores.items() if "gpt-4" in name.lower())
    before = "\n".join(row["turns"][: row["turn"] - 1])
    query = Query(row["prompt"], context_tokens=len(before) // 4, turns=row["turn"])
    return Sample(row["id"], "mt_bench", query, weak, strong)


def _routerarena(row: dict[str, Any]) -> Sample:
    scores = {name: min(max(float(one["score"]), 0.0), 1.0) for name, one in row["results"].items()}
    weak = next(score for name, score in scores.items() if "haiku" in name)
    strong = next(score for name, score in scores.items() if "flash" in name)
    return Sample(row["id"], "routerarena", Query(row["prompt"]), weak, strong)


_READERS: Final[Mapping[str, Callable[[dict[str, Any]], Sample]]] = {
    "gsm8k": _routellm,
    "mmlu": _routellm,
    "mt_bench": _mt_bench,
    "routerarena": _routerarena,
}
