"""The router card: what the router is, on what it was learnt and tested, and what came out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from noibo.evaluation.routing.trials import COSTS, Classed, Row, Trial
from noibo.routing.learnt import SHIPPED

_TRIALS: Final[Mapping[str, tuple[str, str]]] = {
    "within": (
        "Within a source",
        "Five folds; near-duplicates stand in one fold. Each prompt is scored by weights that have "
        "not seen it.",
    ),
    "left out": (
        "With the whole source left out",
        "Each source is scored by weights that were learnt from the others alone.",
    ),
    "shuffled": (
        "Control: shuffled labels",
        "Outcomes are dealt out at random within each source, to learn from and to be judged by. "
        "Everything must be about 0.5.",
    ),
}
_HEAD: Final = """# Router card

Written by `noibo route eval`; not by hand. How the sets are read and what the numbers mean is in
[routing.md](routing.md).

`p_local` is the chance that the local model's answer is right. simple from 0.70, complex under
0.40. Linear over features of the prompt and hashed words; no model is asked.
"""


@dataclass(frozen=True, slots=True)
class Card:
    """All that was measured."""

    trials: Sequence[Trial]
    classed: Sequence[Classed]
    latency: tuple[float, float]

    def markdown(self) -> str:
        """The page."""
        digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest() if SHIPPED.is_file() else "none"
        parts = [
            _HEAD,
            f"Weights: sha256 `{digest}`.\n",
            "## Time\n",
            f"At 512 tokens, one core: p50 {self.latency[0]:.1f} ms, p95 {self.latency[1]:.1f} ms "
            "of processor time.\n",
            "## Prompts that people classed\n",
            _classes(self.classed),
        ]
        for trial in self.trials:
            parts += _section(trial)
        return "\n".join(parts)


def _section(trial: Trial) -> list[str]:
    title, about = _TRIALS[trial.name]
    lines = [f"## {title}\n", about + "\n", _table(trial.rows)]
    if trial.together is not None:
        lines.append(
            f"GSM8K and MMLU together (mean of both), APGR above length: {trial.together}.\n"
        )
    if trial.name == "within":
        lines += ["Quality by the share of prompts that go to the strong model:\n", _curves(trial)]
    return lines


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| set | prompts | APGR | of length | above length | CPT(50 %) | CPT(80 %) | by gain "
        "| AUC | ECE |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.source} | {row.n} | {row.apgr} | {row.length} | {row.above} | {row.cpt_50} | "
        f"{row.cpt_80} | {row.gain:.3f} | {row.auc:.3f} | {row.off:.3f} |"
        for row in rows
    ]
    note = (
        "\nA random router has APGR 0.5, CPT(50 %) 0.5 and CPT(80 %) 0.8. Intervals: 95 %, 1000 "
        "draws, paired. *By gain*: APGR where prompts are ordered by how much a large model helps. "
        "*AUC*: of right against wrong local answers. *ECE*: calibration error.\n"
    )
    return "\n".join(lines) + "\n" + note


def _curves(trial: Trial) -> str:
    lines = [
        "| set | " + " | ".join(f"{cost:.0%}" for cost in COSTS) + " |",
        "|---|" + "---|" * len(COSTS),
    ]
    lines += [
        f"| {row.source} | " + " | ".join(f"{one:.3f}" for one in row.curve) + " |"
        for row in trial.rows
    ]
    return "\n".join(lines) + "\n"


def _classes(classed: Sequence[Classed]) -> str:
    if not classed:
        return "None were there.\n"
    lines = [
        "By the shipped weights; medium where people said simple or complex counts as wrong.\n",
        "| set | prompts | right | simple taken for complex, or the reverse |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one.name} | {one.n} | {one.right} ({one.right / one.n:.1%}) | {one.confused} |"
        for one in classed
        if one.n
    ]
    return "\n".join(lines) + "\n"
