"""What was measured, as one value; and that as JSON, with every answer in it, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from noibo.evaluation.cost import Machine
from noibo.evaluation.measures import BY_KEY, FIGURES, Measured, Note, measured
from noibo.evaluation.notes import notes
from noibo.evaluation.rounds import Plan, Round, Standing, first_of

SCHEMA: Final = "noibo.bench/1"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Place:
    """When and where it was measured, and what prices are in."""

    time: str
    machine: str
    version: str
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to tell. `done`: rounds that every side was through with."""

    place: Place
    plan: Plan
    machine: Machine
    standings: Sequence[Standing]
    rows: Sequence[Measured]
    notes: Sequence[Note]
    done: int

    @property
    def first(self) -> str:
        """Who the others are compared with."""
        return self.standings[0].side.name

    def row(self, side: str, callers: int) -> Measured:
        """One side at one number of callers."""
        return next(row for row in self.rows if (row.side, row.callers) == (side, callers))


def reported(
    standings: Sequence[Standing], plan: Plan, machine: Machine, place: Place, done: int
) -> Report:
    """Work out all there is to tell."""
    said = notes(standings, plan)
    if done < plan.rounds and any(standing.out is None for standing in standings):
        said.insert(0, Note("stopped", "", {"done": done, "rounds": plan.rounds}))
    return Report(place, plan, machine, standings, measured(standings, machine), said, done)


def as_json(report: Report) -> bytes:
    """All of it, answers one by one: seconds, from the beginning of the bench where a moment."""
    found = {
        "schema": SCHEMA,
        **asdict(report.place),
        "plan": asdict(report.plan),
        "rounds_done": report.done,
        "own_machine": asdict(report.machine),
        "units": {figure.key: figure.unit for figure in FIGURES},
        "sides": [_side(standing) for standing in report.standings],
        "measured": [asdict(row) for row in report.rows],
        "notes": [asdict(note) for note in report.notes],
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def _side(standing: Standing) -> dict[str, Any]:
    """Without its headers: they have the key."""
    side = standing.side
    return {
        "name": side.name,
        "base_url": side.base_url,
        "model": side.model,
        "answered_as": dict(standing.models),
        "asked_with": asdict(standing.dialect),
        "warm_up_s": standing.warm_up_s,
        "memory_bytes": standing.memory,
        "tariff": side.tariff and asdict(side.tariff),
        "out": standing.out and asdict(standing.out),
        "rounds": [
            {"callers": cell.callers, **_round(one)}
            for cell in standing.cells.values()
            for one in cell.rounds
        ],
    }


def _round(one: Round) -> dict[str, Any]:
    return {
        "round": one.number,
        "began": one.began,
        "busy_until": one.busy_until,
        "whole": one.whole,
        "bench_cpu_share": one.cpu_share,
        "bench_late_s": one.late_s,
        "answers": [
            {
                "began": answer.began,
                "first_s": answer.first_s,
                "said_s": answer.said_s,
                "latency_s": answer.latency_s,
                "stall_s": answer.stall_s,
                "tokens": answer.tokens,
                "by_usage": answer.by_usage,
                "billed": answer.billed,
                "pieces": len(answer.pieces),
                "prompt_tokens": answer.prompt_tokens,
                "cached_tokens": answer.cached_tokens,
                "finish": answer.finish,
            }
            for answer in one.answers
        ],
        "failures": [asdict(failure) for failure in one.failures],
    }


def as_csv(report: Report) -> str:
    """One line for each side and number of callers. Of each figure the value and its interval;
    empty where there is too little."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    keys = list(BY_KEY)
    heads = ["side", "model", "answered_as", "callers", "answers", "failures", "memory_bytes"]
    heads += ["cost_per_million", "currency"]
    for key in keys:
        heads += [key, f"{key}_low", f"{key}_high", f"{key}_ratio"]
    writer.writerow(heads)
    for row in report.rows:
        writer.writerow(_cells(row, report, keys))
    return out.getvalue()


def _cells(row: Measured, report: Report, keys: Sequence[str]) -> list[object]:
    standing = next(one for one in report.standings if one.side.name == row.side)
    names = first_of(standing.models, " ")
    cells: list[object] = [plain(row.side), plain(standing.side.model), plain(names)]
    cells += [row.callers, row.answers, sum(row.failures.values()), standing.memory]
    cells += [row.cost and row.cost.per_million, plain(report.place.currency)]
    for key in keys:
        found, other = row.figures.get(key), row.ratios.get(key)
        cells += [found.value, found.low, found.high] if found else [None] * 3
        cells.append(other and other.value)
    return cells


def plain(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
