"""`noibo route eval`: measures the router on labelled prompts and writes the router card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from noibo.cli.note import Note
from noibo.errors import UsageError


def evaluate(
    data: Annotated[
        Path, typer.Option(help="Folder with the labelled prompts (docs/routing.md names them).")
    ] = Path("../shared/data/routing"),
    out: Annotated[Path, typer.Option(help="The card.")] = Path("docs/routing_card.md"),
    prompts: Annotated[
        list[Path] | None,
        typer.Option(
            help="More prompts with a class: JSON lines of id, prompt, class. Repeatable."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only within sources: no control, nothing left out.")
    ] = False,
) -> None:
    """Measure the router and write its card."""
    from noibo.evaluation.routing import trials
    from noibo.evaluation.routing.card import Card
    from noibo.evaluation.routing.samples import PROBES, probes, samples
    from noibo.routing.complexity import ComplexityClassifier

    missing = [one for one in prompts or [] if not one.is_file()]
    if missing:
        raise UsageError(
            f"There is no file {missing[0]}.", next_step="noibo route eval --prompts FILE.jsonl"
        )
    if not out.parent.is_dir():
        raise UsageError(
            f"There is no folder {out.parent} for the card.",
            next_step="noibo route eval --out FILE",
        )
    sets = samples(data)
    classifier = ComplexityClassifier()
    classed = [
        trials.classed(path.stem, probes(path), classifier)
        for path in (data / PROBES, *(prompts or []))
    ]
    wanted = [trials.within] if quick else [trials.within, trials.left_out, trials.shuffled]
    done = [_told(one, sets) for one in wanted]
    card = Card(done, [one for one in classed if one.n], trials.latency(sets, classifier))
    page = card.markdown()
    out.write_text(page, encoding="utf-8")
    print(page)


def _told(trial: Callable[[Any], Any], sets: Any) -> Any:
    note = Note()
    note(f"{trial.__name__.replace('_', ' ')} …")
    try:
        return trial(sets)
    finally:
        note.clear()
