"""Whether the prices can be read, and the budgets hold somebody back."""

from __future__ import annotations

from collections.abc import Iterator

from noibo.cli.doctor_checks import Finding, Level
from noibo.settings import Settings


def money(tree: Settings) -> Iterator[Finding]:
    """Nothing where no price, no budget and no currency is set."""
    from noibo.assembly import open_prices
    from noibo.cli.usage_book import Book
    from noibo.usage.prices import FILE_NAME
    from noibo.usage.rules import of_no_model, rules_of

    _ = Book(tree).currency, Book(tree).where  # which raise for what cannot be shown
    if not tree.budgets and not tree.prices and not (tree.home / FILE_NAME).exists():
        return
    table = open_prices(tree)
    rules = rules_of(tree.budgets)
    yield Finding(Level.OK, f"{len(list(table))} prices of {table.as_of}, {len(rules)} budgets.")
    for whose in of_no_model(rules, tree.models):
        yield Finding(
            Level.WARNING,
            f'[budgets."{whose}"] holds nothing back: no model of noibo.toml is called that.',
            "Name it as it is called here, not there.",
        )
