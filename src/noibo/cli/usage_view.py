"""What `noibo usage` prints: tables for people, JSON and CSV for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from noibo.cli.table import Column, print_paragraph, print_table
from noibo.modelstore.printable import shown
from noibo.usage.budgets import Standing
from noibo.usage.comparison import Setup
from noibo.usage.cost import Total
from noibo.usage.csv_text import csv_text
from noibo.usage.local_cost import LocalCost
from noibo.usage.money import Currency, nanos
from noibo.usage.report import Line, Report
from noibo.usage.rules import HOUR
from noibo.usage.told import TITLES, line_as_json, number
from noibo.usage.words import WORDS, Language, Words


def print_report(
    found: Report, names: Mapping[str, str], currency: Currency, lang: Language
) -> None:
    """A line for each, all together, and what was saved. `names` are what people call some."""
    words = WORDS[lang]
    if not found.total.calls:
        print(words.nothing)
        return
    heads = words.columns
    columns = [Column(words.by[found.by], most=40)]
    columns += [Column(heads[name], right=True) for name in heads]
    rows = [_cells(line, _called(line.name, names), currency, words) for line in found.lines]
    print_table(columns, [*rows, _cells(found.total, words.total, currency, words)])
    print()
    for said in _said(found, currency, words):
        print_paragraph(shown(said, 1000))


def report_as_csv(found: Report, currency: Currency) -> str:
    """A row for each."""
    rows = [
        [line.name, *(_plain(value) for value in line_as_json(line, currency).values())]
        for line in found.lines
    ]
    return csv_text([found.by, *TITLES, "currency"], [[*row, currency.name] for row in rows])


def print_comparison(
    setups: Sequence[Setup], share: Decimal, basis: str, currency: Currency, lang: Language
) -> None:
    """The three setups, beside each other."""
    words = WORDS[lang]
    heads = words.compared
    columns = [Column(heads[name], right=name != "setup") for name in heads]
    rows = []
    for one in setups:
        even = "" if one.name == "api" else words.never
        if one.month is None or one.hardware is None:
            even = words.unknown
        elif one.break_even is not None:
            even = words.in_month.format(month=one.break_even)
        amounts = (one.hardware, one.api, one.electricity, one.month, one.with_hardware)
        money = [_money(amount, currency, words) for amount in amounts]
        rows.append([words.setups[one.name].format(share=share), *money, even])
    print_table(columns, rows)
    print()
    print_paragraph(basis)


def comparison_rows(
    setups: Sequence[Setup], left_out: int, currency: Currency
) -> list[dict[str, Any]]:
    """Them as rows with names. `left_out` calls have no part in them: their cost is unknown."""
    names = ("hardware", "api", "electricity", "month", "with_hardware")
    return [
        {
            "setup": one.name,
            **{name: number(_in_nanos(getattr(one, name)), currency) for name in names},
            "break_even_month": one.break_even,
            "calls_left_out": left_out,
            "currency": currency.name,
        }
        for one in setups
    ]


def print_standings(
    found: Sequence[Standing], names: Mapping[str, str], currency: Currency, lang: Language
) -> None:
    """Each limit, and how it stands."""
    words = WORDS[lang]
    heads = words.limits
    if not found:
        print(words.no_limits)
        return
    columns = [Column(heads[name]) for name in ("whose", "period")]
    columns += [Column(heads[name], right=True) for name in ("limit", "spent", "reserved")]
    rows = []
    for one in found:
        claim, calls = one.claim, one.claim.period == HOUR
        amounts = (claim.limit, one.spent, one.reserved)
        told = [heads["calls"].format(count=n) if calls else currency.shown(n) for n in amounts]
        period = heads["hour"] if calls else claim.period
        rows.append([_called(claim.scope, names), period, *told, heads[claim.rule.over]])
    print_table([*columns, Column(heads["over"])], rows)


def standings_as_json(found: Sequence[Standing], currency: Currency) -> list[dict[str, Any]]:
    """Them as rows with names; those of an hour count calls."""
    rows = []
    for one in found:
        claim, calls = one.claim, one.claim.period == HOUR
        limit, spent, reserved = (
            amount if calls else number(amount, currency)
            for amount in (claim.limit, one.spent, one.reserved)
        )
        rows.append(
            {
                "whose": claim.scope,
                "period": claim.period,
                "unit": "calls" if calls else currency.name,
                "limit": limit,
                "spent": spent,
                "reserved": reserved,
                "over": claim.rule.over,
            }
        )
    return rows


def measured_said(machine: LocalCost, lang: Language) -> str:
    """That its watts were measured, and how; empty where they were set."""
    if not machine.measured:
        return ""
    return WORDS[lang].measured.format(watts=machine.watts, by=machine.measured)


def _cells(line: Line, name: str, currency: Currency, words: Words) -> list[str]:
    counts = (line.calls, line.local_answers, line.failed, line.input, line.output)
    costs = (_total(line.api, currency, words), _total(line.local, currency, words))
    return [shown(name, 200), *(f"{count:,}" for count in counts), *costs]


def _called(name: str, names: Mapping[str, str]) -> str:
    """Of a key its name, which several may have, and its id."""
    told = f"key:{names[name]} ({name.removeprefix('key:')})" if name in names else name
    return shown(told or "-", 100)


def _total(total: Total, currency: Currency, words: Words) -> str:
    if total.whole:
        return currency.shown(total.amount)
    if not total.amount:
        return words.unknown
    return words.part.format(known=currency.shown(total.amount), count=f"{total.unknown:,}")


def _said(found: Report, currency: Currency, words: Words) -> list[str]:
    total = found.total
    if total.local_share is None:
        return [words.no_share]
    said = [
        words.share.format(local=total.local_answers, all=total.answers, share=total.local_share)
    ]
    if not found.reference:
        return [*said, words.no_reference]
    if found.price is None or total.instead is None:
        return [*said, words.no_price.format(name=found.reference)]
    said.append(
        _saved(total, words).format(
            name=found.reference,
            day=found.price.as_of,
            instead=currency.shown(total.instead),
            here=_total(total.local, currency, words),
            saved=currency.shown(abs(total.saved or 0)),
        )
    )
    if total.uncounted:
        said.append(words.uncounted.format(count=total.uncounted))
    return said


def _saved(total: Line, words: Words) -> str:
    if total.saved is None:
        return words.saved_unknown
    if total.saved < 0:
        return words.lost
    return words.saved if total.local.whole else words.saved_part


def _plain(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def _in_nanos(amount: Decimal | None) -> int | None:
    return None if amount is None else nanos(amount)


def _money(amount: Decimal | None, currency: Currency, words: Words) -> str:
    return currency.shown(_in_nanos(amount), words.unknown)
