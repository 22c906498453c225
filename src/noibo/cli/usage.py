"""`noibo usage`: what was asked and answered, what that cost, and what it saved."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noibo.cli.catalog_view import Language
from noibo.cli.context import settings

if TYPE_CHECKING:
    from noibo.wire.usage import UsageReport

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
Lang = Annotated[Language, typer.Option(help="Language of the words.")]
Since = Annotated[
    str, typer.Option(help="From when on: 2026-11-23, 2026-11, today, month, 12h, 30d, 4w.")
]
Until = Annotated[str | None, typer.Option(help="Until before when; unset: until now.")]
Against = Annotated[
    str | None,
    typer.Option(help="Model that savings are counted against; unset: usage.reference."),
]

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Show what answers cost, and what answering here saved.",
)


class By(StrEnum):
    """What calls are added up by."""

    day = "day"
    user = "user"
    key = "key"
    model = "model"
    route = "route"
    label = "label"
    destination = "destination"


@app.callback()
def usage(
    context: typer.Context,
    by: Annotated[By, typer.Option(help="What to add up by.")] = By.model,
    since: Since = "30d",
    until: Until = None,
    user: Annotated[str, typer.Option(help="Only this user's calls.")] = "",
    model: Annotated[str, typer.Option(help="Only calls of this model.")] = "",
    against: Against = None,
    url: Annotated[
        str, typer.Option(help="Ask another noibo, as http://server:11500: what one's key may see.")
    ] = "",
    key_env: Annotated[str, typer.Option(help="The variable that has its key.")] = "",
    lang: Lang = Language.en,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Show what answers cost, and what answering here saved."""
    if context.invoked_subcommand is not None:
        return
    from noibo.cli import usage_view as view
    from noibo.cli.usage_book import Book
    from noibo.usage.told import report_as_json, report_of

    book = Book(settings())
    if url:
        asked = {"since": since, "until": until or "", "user": user, "model": model}
        found = report_of(_told_by(url, key_env, by.value, against or "", asked))
    else:
        found = book.report(book.window(since, until, user, model), by.value, against)
    if json:
        _print_json(report_as_json(found, book.currency))
    elif csv:
        sys.stdout.write(view.report_as_csv(found, book.currency))
    else:
        names = book.key_names() if by is By.key and not url else {}
        view.print_report(found, names, book.currency, lang.value)


@app.command()
def export(
    since: Since = "30d",
    until: Until = None,
    user: Annotated[str, typer.Option(help="Only this user's calls.")] = "",
    json: Json = False,
) -> None:
    """Print every single call, as CSV or JSON lines."""
    from noibo.cli.usage_book import Book
    from noibo.usage.csv_text import csv_text
    from noibo.usage.records import entries, row

    book = Book(settings())
    window = book.window(since, until, user)
    found = [row(one) for one in book.read(lambda held: entries(held, window.where)) or ()]
    if json:
        for one in found:
            print(dumps(one, ensure_ascii=False))
        return
    titles = list(found[0]) if found else ["id"]
    sys.stdout.write(csv_text(titles, ([one[name] for name in titles] for one in found)))


@app.command()
def compare(
    since: Since = "30d",
    against: Against = None,
    api: Annotated[
        float | None, typer.Option(min=0, help="Dollars a month with everything to the API.")
    ] = None,
    local_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share that is answered here.")
    ] = None,
    busy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of the time this machine answers.")
    ] = None,
    hardware_price: Annotated[float | None, typer.Option(min=0, help="Dollars, once.")] = None,
    watts: Annotated[float | None, typer.Option(min=0, help="Drawn while it answers.")] = None,
    kwh_price: Annotated[float | None, typer.Option(min=0, help="Dollars for a kWh.")] = None,
    lang: Lang = Language.en,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Compare 100% API, hybrid and 100% local by the month; say when hardware is paid back."""
    from noibo.assembly import open_local_cost
    from noibo.cli import usage_view as view
    from noibo.cli.usage_book import Book
    from noibo.cli.usage_work import Basis, kept_work, said_work
    from noibo.usage.comparison import compare as compared
    from noibo.usage.csv_text import csv_text
    from noibo.usage.words import WORDS

    tree = settings(
        usage__hardware_price=hardware_price, usage__watts=watts, usage__kwh_price=kwh_price
    )
    book = Book(tree)
    machine = open_local_cost(book.tree)
    if api is None:
        work, basis = kept_work(book, since, against, lang.value)
    else:
        work, basis = said_work(api, local_share, busy), Basis(WORDS[lang.value].basis_said)
    setups = compared(work, machine)
    rows = view.comparison_rows(setups, basis.left_out, book.currency)
    if json:
        _print_json(rows)
    elif csv:
        sys.stdout.write(csv_text(list(rows[0]), (list(one.values()) for one in rows)))
    else:
        said_of = " ".join(filter(None, (basis.said, view.measured_said(machine, lang.value))))
        view.print_comparison(setups, work.local_share, said_of, book.currency, lang.value)


@app.command()
def budgets(
    user: Annotated[str, typer.Option(help="Of this user.")] = "",
    key: Annotated[str, typer.Option(help="Of the key with this id or name.")] = "",
    model: Annotated[str, typer.Option(help="Of this model.")] = "",
    lang: Lang = Language.en,
    json: Json = False,
) -> None:
    """Show the budgets, and what is left of them."""
    from noibo.cli import usage_view as view
    from noibo.cli.usage_book import Book
    from noibo.cli.usage_limits import limits

    book = Book(settings())
    keys = book.key_names()
    asked = [f"user:{user}"] * bool(user) + [f"model:{model}"] * bool(model)
    asked += [one for one, name in keys.items() if key and key in {name, one[4:]}]
    found = book.standings(limits(book, keys, asked))
    if json:
        _print_json(view.standings_as_json(found, book.currency))
    else:
        view.print_standings(found, keys, book.currency, lang.value)


@app.command()
def prices(
    name: Annotated[str | None, typer.Argument(help="Only models with this in their name.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Use this table from now on: noibo's form, or LiteLLM's JSON."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Its day, where it has none; unset: today.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the prices of models elsewhere, or take them from a file; they are never fetched."""
    from noibo.assembly import open_prices
    from noibo.cli.usage_prices import as_rows, print_prices, take_file

    tree = settings()
    if file is not None:
        take_file(tree, file, as_of)
        return
    table = open_prices(tree)
    found = [one for one in table if (name or "").lower() in one.name.lower()]
    if json:
        _print_json({"as_of": table.as_of, "source": table.source, "prices": as_rows(found)})
    else:
        print_prices(table, found)


@app.command()
def power(
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long to measure.")] = 10.0,
    json: Json = False,
) -> None:
    """Measure what this machine draws now, and keep it: do that while it answers."""
    from noibo.errors import UsageError
    from noibo.hardware.system import System
    from noibo.usage.power import keep, measure

    tree = settings()
    found = measure(System(), seconds)
    if found.watts is None:
        raise UsageError(
            " ".join(["What this machine draws cannot be read here.", *found.problems]),
            next_step="Set usage.watts by a meter at the socket, or by the parts' data sheets.",
        )
    keep(tree.home, found, time.strftime("%Y-%m-%d"))
    if json:
        parts = {"cpu_watts": found.cpu_watts, "gpu_watts": found.gpu_watts, "watts": found.watts}
        _print_json(
            {name: value if value is None else float(value) for name, value in parts.items()}
        )
        return
    print(f"{found.watts} W over {seconds:g} s, by {found.by}; kept for what answers cost here.")
    for problem in found.problems:
        print(f"! {problem}")


def _told_by(url: str, key_env: str, by: Any, against: str, asked: dict[str, str]) -> UsageReport:
    from noibo.client import Client
    from noibo.errors import UsageError
    from noibo.settings import full_environment

    key = full_environment().get(key_env, "")
    if key_env and not key:
        raise UsageError(
            f"There is no key in the variable {key_env}.", next_step=f"`export {key_env}=noibo_…`"
        )
    with Client(url, key or None) as client:
        return client.usage(by, against=against, **asked)


def _print_json(value: Any) -> None:
    print(dumps(value, indent=2, ensure_ascii=False))
