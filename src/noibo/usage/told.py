"""A report as programs read it: over `/noibo/v1/usage`, as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from noibo.usage.cost import Total
from noibo.usage.money import Currency, nanos
from noibo.usage.prices import Price, Rates
from noibo.usage.report import Line, Report
from noibo.wire.usage import UsageReport

_COUNTS: Final = (
    *("calls", "answers", "local_answers", "failed"),
    *("input", "cached", "output", "reasoning"),
)
_COSTS: Final = ("api_cost", "api_unknown", "local_cost", "local_unknown", "instead", "saved")
TITLES: Final = (*_COUNTS, *_COSTS, "uncounted", "local_ms")


def report_as_json(found: Report, currency: Currency) -> dict[str, Any]:
    """Numbers by their names; unknown ones are null."""
    return {
        "currency": currency.name,
        "by": found.by,
        "reference": found.reference or None,
        "reference_priced_on": found.price.as_of if found.price else None,
        "rows": [{found.by: line.name, **line_as_json(line, currency)} for line in found.lines],
        "total": line_as_json(found.total, currency),
    }


def line_as_json(line: Line, currency: Currency) -> dict[str, Any]:
    """In the order of `TITLES`. A sum of which nothing is known is null."""
    costs = {
        "api_cost": _known(line.api),
        "api_unknown": line.api.unknown,
        "local_cost": _known(line.local),
        "local_unknown": line.local.unknown,
        "instead": line.instead,
        "saved": line.saved,
    }
    amounts = ("api_cost", "local_cost", "instead", "saved")
    told = {
        name: number(value, currency) if name in amounts else value for name, value in costs.items()
    }
    counts = {name: getattr(line, name) for name in _COUNTS}
    return {**counts, **told, "uncounted": line.uncounted, "local_ms": line.local_ms}


def _known(total: Total) -> int | None:
    return None if total.unknown and not total.amount else total.amount


def report_of(told: UsageReport) -> Report:
    """The report that another server has told, in dollars."""
    priced = told.reference_priced_on
    price = None if priced is None else Price(told.reference or "", Rates(), as_of=priced)
    lines = tuple(_line(str(row[told.by]), row) for row in told.rows)
    return Report(told.by, lines, _line("", told.total), told.reference or "", price)


def _line(name: str, row: Mapping[str, Any]) -> Line:
    return Line(
        name,
        **{count: row[count] for count in _COUNTS},
        api=Total(_amount(row["api_cost"]) or 0, row["api_unknown"]),
        local=Total(_amount(row["local_cost"]) or 0, row["local_unknown"]),
        instead=_amount(row["instead"]),
        uncounted=row["uncounted"],
        local_ms=row["local_ms"],
    )


def _amount(said: float | None) -> int | None:
    return None if said is None else nanos(Decimal(repr(said)))


def number(amount: int | None, currency: Currency) -> float | None:
    """For JSON and CSV, which have no decimals: as exact as a number there is."""
    return None if amount is None else float(currency.plain(amount))
