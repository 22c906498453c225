"""`noibo bench`: how fast models answer, under load, and what that costs."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from noibo.cli.context import settings
from noibo.errors import UsageError
from noibo.evaluation.cost import Machine
from noibo.evaluation.rounds import Plan
from noibo.evaluation.sides import Side
from noibo.evaluation.wanted import Wanted, tariff
from noibo.settings import Settings, full_environment


class Language(StrEnum):
    """The language in which a page opens."""

    en = "en"
    vi = "vi"


_PLAN, _MACHINE = Plan(), Machine()


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models; none: the default one, or only --vs where that is given."),
    ] = None,
    vs: Annotated[
        list[str] | None,
        typer.Option(help="Any OpenAI-compatible server, as http://127.0.0.1:8000/v1. Repeatable."),
    ] = None,
    vs_model: Annotated[
        list[str] | None, typer.Option(help="Its model, one for each --vs; none: its only one.")
    ] = None,
    vs_key_env: Annotated[
        list[str] | None, typer.Option(help="The variable that has its key, one for each --vs.")
    ] = None,
    vs_price: Annotated[
        list[str] | None,
        typer.Option(help="Its prices for 1M tokens read and written, as 0.15,0.60."),
    ] = None,
    concurrency: Annotated[str, typer.Option(help="Callers at once, several by comma.")] = "1,4,16",
    prompt_tokens: Annotated[int, typer.Option(help="Length of prompts.")] = _PLAN.prompt_tokens,
    shared_prefix: Annotated[
        int, typer.Option(help="So many tokens of it are the same in all prompts.")
    ] = _PLAN.shared_prefix,
    tokens: Annotated[int, typer.Option(help="Length of answers.")] = _PLAN.tokens,
    rounds: Annotated[
        int, typer.Option(help="How often each side is measured, in turn with the others.")
    ] = _PLAN.rounds,
    seconds: Annotated[
        float, typer.Option(help="How long each time, and at least one answer a caller.")
    ] = _PLAN.seconds,
    requests: Annotated[
        int | None, typer.Option(help="How many requests each time, instead of --seconds.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds that a whole answer may take.")
    ] = _PLAN.patience_s,
    seed: Annotated[
        int | None, typer.Option(help="The same seed asks the same prompts; none: new ones.")
    ] = None,
    watts: Annotated[
        float, typer.Option(help="What this machine draws while it answers.")
    ] = _MACHINE.watts,
    kwh_price: Annotated[
        float, typer.Option(help="What a kilowatt-hour costs.")
    ] = _MACHINE.kwh_price,
    hardware_price: Annotated[float, typer.Option(help="What this machine cost.")] = _MACHINE.price,
    years: Annotated[float, typer.Option(help="How long it is used.")] = _MACHINE.years,
    used: Annotated[
        float, typer.Option(help="The share of that time in which it answers, 0 to 1.")
    ] = _MACHINE.used,
    currency: Annotated[str, typer.Option(help="What these prices are in.")] = "USD",
    json: Annotated[
        Path | None, typer.Option(help="Write everything there, answer by answer.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the figures there.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts there.")] = None,
    language: Annotated[
        Language, typer.Option(help="The language in which the page opens.")
    ] = Language.en,
) -> None:
    """Measure how fast models answer under load, and what that costs."""
    plan = Plan(
        concurrency=_numbers(concurrency),
        rounds=rounds,
        seconds=seconds,
        requests=requests,
        prompt_tokens=prompt_tokens,
        shared_prefix=shared_prefix,
        tokens=tokens,
        patience_s=timeout,
        seed=secrets.randbelow(2**31) if seed is None else seed,
    )
    from noibo.cli.bench_files import Files, place
    from noibo.cli.bench_run import Run
    from noibo.cli.bench_view import print_report
    from noibo.evaluation.report import reported

    machine = Machine(watts, kwh_price, hardware_price, years, used)
    files = Files(json, csv, html, language.value)
    files.check()
    wanted = _wanted(vs or [], vs_model or [], vs_key_env or [], vs_price or [])
    tree = settings()
    others = [one.side(full_environment()) for one in wanted]
    run = Run(tree, _models(models, tree, others), others, plan)
    stopped = run.go()
    if run.bench is None or not any(one.answers for one in run.bench.standings):
        run.raise_what_failed()
        print("Nothing was measured.", file=sys.stderr)
        raise typer.Exit(130)
    done = run.bench.rounds_done
    report = reported(run.bench.standings, plan, machine, place(currency), done)
    try:
        print_report(report)
        sys.stdout.flush()
    finally:  # each is told, whatever becomes of the other
        files.write(report)
    run.raise_what_failed()
    if stopped:
        raise typer.Exit(130)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(
            f"--concurrency: {text!r} is not a list of numbers.", next_step="--concurrency 1,4,16"
        ) from None


def _wanted(
    urls: Sequence[str], models: Sequence[str], keys: Sequence[str], prices: Sequence[str]
) -> list[Wanted]:
    """Each --vs with what was said of it: the first --vs-model is of the first --vs."""
    for option, given in (("model", models), ("key-env", keys), ("price", prices)):
        if len(given) > len(urls):
            raise UsageError(
                f"There are {len(given)} --vs-{option} for {len(urls)} --vs.",
                next_step=f"noibo bench --vs URL --vs-{option} … (in the order of the servers)",
            )
    return [
        Wanted(
            url,
            models[at] if at < len(models) else "",
            keys[at] if at < len(keys) else "",
            tariff(prices[at]) if at < len(prices) and prices[at] else None,
        )
        for at, url in enumerate(urls)
    ]


def _models(named: Sequence[str] | None, tree: Settings, others: Sequence[Side]) -> Sequence[str]:
    """The models of ours that are measured: without a name the default one, unless the user named
    only another server."""
    return named or ([] if others else [tree.default_model])
