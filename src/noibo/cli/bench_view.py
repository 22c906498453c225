"""The tables of `noibo bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from noibo.cli.amounts import size
from noibo.cli.table import Column, print_paragraph, print_table
from noibo.evaluation.measures import FIGURES, Measured
from noibo.evaluation.report import Report
from noibo.evaluation.statistics import Estimate
from noibo.evaluation.words import FIGURES as LABELS
from noibo.evaluation.words import PAGE, estimate_text, in_unit, note_text, number
from noibo.modelstore.printable import shown


def print_report(report: Report) -> None:
    """A table for each side, one for each comparison with the first, and what to know of them."""
    callers = list(report.standings[0].cells)
    for standing in report.standings:
        name = standing.side.name
        rows = [report.row(name, many) for many in callers]
        held = f", {size(standing.memory)} of memory at most" if standing.memory else ""
        print(f"\n{shown(name, 200)}{held}")
        print_table(_columns(callers), _figures(report, rows))
    for standing in report.standings[1:]:
        rows = [report.row(standing.side.name, many) for many in callers]
        print(f"\n{shown(standing.side.name, 200)}, × {shown(report.first, 200)}")
        print_table(_columns(callers), _lines([row.ratios for row in rows], units=False))
    print()
    for note in report.notes:
        print_paragraph(shown(note_text(note, "en"), 1000))
    print_paragraph(_prices(report))
    print_paragraph("In brackets: 95 % intervals by bootstrap. " + PAGE["too_few_meaning"]["en"])


def _columns(callers: Sequence[int]) -> list[Column]:
    heads = [f"{many} at once" for many in callers]
    return [Column("", most=26), *(Column(head, most=22) for head in heads)]


def _figures(report: Report, rows: Sequence[Measured]) -> list[list[str]]:
    failed = [sum(row.failures.values()) for row in rows]
    lines = [["answers", *(str(row.answers) for row in rows)]]
    if any(failed):
        lines.append(["failed", *map(str, failed)])
    lines += _lines([row.figures for row in rows], units=True)
    costs = [number(row.cost.per_million) if row.cost else "-" for row in rows]
    return [*lines, [f"1M tokens written, {shown(report.place.currency, 20)}", *costs]]


def _lines(found: Sequence[Mapping[str, Estimate]], *, units: bool) -> list[list[str]]:
    """A line for each figure that any of them has; ratios have no unit."""
    lines = []
    for figure in FIGURES:
        if any(figure.key in one for one in found):
            unit = figure.unit if units else ""
            unit, values = in_unit([one.get(figure.key) for one in found], unit)
            label = LABELS[figure.key]["en"] + (f", {unit}" if unit else "")
            lines.append([label, *map(estimate_text, values)])
    return lines


def _prices(report: Report) -> str:
    """How the cost was worked out."""
    machine, currency = report.machine, report.place.currency
    said = PAGE["machine"]["en"].format(
        watts=machine.watts,
        kwh_price=machine.kwh_price,
        currency=currency,
        price=machine.price,
        years=machine.years,
        used=machine.used,
    )
    return shown(
        f"Cost, prompts included. {said} (--watts, --kwh-price, --hardware-price, --years, "
        "--used, --currency; --vs-price for a service.)",
        1000,
    )
