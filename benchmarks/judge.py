"""How well a local model's confidence tells its right answers from its wrong ones, and what a
cascade by it is worth against a router that sees the prompt alone.

    NOIBO_SHARED=../shared python -m benchmarks.judge [--learn] [--numbers FILE]

From the numbers that `benchmarks.choices` kept: no model is asked. The gold answer stands in for
the strong model; cost is the share of questions that go to it. The prompt-only router is the
complexity classifier that noibo ships, and, beside it, the length of the prompt. `--learn` writes
the weights that noibo ships, from all questions.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.choices import KEPT, ROOT, Question, arc, hellaswag
from noibo.evaluation.routing.bootstrap import Interval, Outcomes, apgr, apgr_above, interval
from noibo.evaluation.routing.choices import (
    Chosen,
    centred,
    chances,
    fitted_apart,
    read_choices,
    right_of,
    signals,
)
from noibo.evaluation.routing.curves import auc
from noibo.routing.confidence import fit

Floats = np.ndarray[Any, np.dtype[np.float64]]
WEIGHTS = ROOT / "src" / "noibo" / "routing" / "weights" / "answers.json"
NAMES = {"arc_easy": "ARC-Easy", "hellaswag": "HellaSwag"}
Set = tuple[list[Chosen], Floats]


def outcomes(scored: Floats, baseline: Floats, right: Floats) -> Outcomes:
    """The gold answer is always right."""
    return Outcomes(scored, baseline, right, np.ones_like(right))


def discrimination(scored: Floats, right: Floats) -> Interval:
    """AUROC and its interval."""
    return interval([outcomes(scored, scored, right)], lambda one: auc(one.p_local, one.weak))


def prompts() -> dict[str, Question]:
    """The questions' texts, where the shared data is."""
    folder = Path(os.environ.get("NOIBO_SHARED") or ROOT.parent / "shared") / "data" / "eval"
    return {one.name: one for one in [*arc(folder, 10_000), *hellaswag(folder, 10_000)]}


def run(numbers: Path = KEPT) -> dict[str, Any]:
    """Print the tables; the numbers."""
    questions, texts = read_choices(numbers), prompts()
    sets = {
        source: [one for one in questions if one.source == source]
        for source in dict.fromkeys(one.source for one in questions)
    }
    p_local, apart = router(), dict(zip(questions, fitted_apart(questions), strict=True))
    kept: dict[str, Any] = {}
    together: dict[str, list[Outcomes]] = {}
    print("\n| set | n | right | signal | AUROC |\n|---|---|---|---|---|")
    for source, own in sets.items():
        right = right_of(own)
        others = [one for name, some in sets.items() if name != source for one in some]
        foreign = fit([one.confidence for one in others], [one.right for one in others])
        rows = signals(own)
        rows["judge, other questions"] = chances(own, [apart[one] for one in own])
        foreign = centred(foreign, own)
        rows["judge, other sets alone"] = chances(own, [foreign] * len(own))
        rows["prompt-only router"] = np.array([p_local(texts[one.id].text) for one in own])
        rows["prompt length (shorter is surer)"] = np.array([-float(one.length) for one in own])
        for name, scored in rows.items():
            found = discrimination(scored, right)
            kept[f"{source}: {name}"] = [found.value, found.low, found.high]
            print(f"| {NAMES[source]} | {len(own)} | {right.mean():.3f} | {name} | {found} |")
        base = rows["prompt-only router"]
        for name in ("judge, other questions", "judge, other sets alone"):
            together.setdefault(name, []).append(outcomes(rows[name], base, right))
        for name in ("prompt-only router", "prompt length (shorter is surer)"):
            best = rows["judge, other questions"]
            together.setdefault(f"against {name}", []).append(outcomes(best, rows[name], right))
    print("\n| cascade by | APGR | over the prompt-only router, at the same cost |\n|---|---|---|")
    for name in ("judge, other questions", "judge, other sets alone"):
        found = [interval(together[name], measure) for measure in (apgr, apgr_above)]
        kept[f"cascade: {name}"] = [[one.value, one.low, one.high] for one in found]
        print(f"| {name} | {found[0]} | {found[1]} |")
        for source, one in zip(sets, together[name], strict=True):
            alone = [interval([one], measure) for measure in (apgr, apgr_above)]
            kept[f"cascade: {name}, {source}"] = [[x.value, x.low, x.high] for x in alone]
            print(f"| {name}, {NAMES[source]} | {alone[0]} | {alone[1]} |")
    length = interval(together["against prompt length (shorter is surer)"], apgr_above)
    print(f"\nOver prompt length: {length}")
    return kept


def router() -> Callable[[str], float]:
    """The shipped one."""
    from noibo.routing import ComplexityClassifier

    return ComplexityClassifier().p_local


def learn(numbers: Path = KEPT) -> None:
    """Write the weights that noibo ships."""
    questions = read_choices(numbers)
    found = fit(
        [one.confidence for one in questions],
        [one.right for one in questions],
        source="SmolLM2-135M-Instruct Q4_1, ARC (easy) and HellaSwag by continuation likelihood",
    )
    WEIGHTS.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learn", action="store_true", help="Write the weights that noibo ships.")
    parser.add_argument("--numbers", type=Path, default=KEPT, help="Of benchmarks.choices --to.")
    wanted = parser.parse_args()
    if wanted.learn:
        learn(wanted.numbers)
    run(wanted.numbers)


if __name__ == "__main__":
    main()
