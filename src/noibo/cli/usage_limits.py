"""The limits that `noibo usage budgets` shows: of all, of who is named, of who has spent."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from noibo.usage.rules import EACH, Claim, Rule, Spender, claims_of, rules_of

if TYPE_CHECKING:
    from noibo.cli.usage_book import Book


def limits(book: Book, keys: Mapping[str, str], asked: Sequence[str]) -> list[Claim]:
    """Those of the settings, in order. `keys` are names by `key:ID`; `asked`: whom else to show, as
    `user:anna`."""
    tree = book.tree
    rules = rules_of(tree.budgets, tree.routing.max_api_calls_per_hour)
    if not rules:
        return []
    found: dict[tuple[str, str], Claim] = {}
    for whose in dict.fromkeys([*asked, *_named(rules, keys), *book.spent_in(), ""]):
        who, model = _spender(whose, keys)
        for claim in claims_of(rules, who, model, time.time(), book.where):
            if claim.scope != "model:":  # of each model, and none is named
                found[claim.scope, claim.period] = claim
    return [found[place] for place in sorted(found)]


def _named(rules: Sequence[Rule], keys: Mapping[str, str]) -> Iterable[str]:
    for rule in rules:
        if rule.kind == "key" and rule.name != EACH:
            yield from (one for one, name in keys.items() if rule.name in {name, one[4:]})
        elif rule.name not in {"", EACH}:
            yield rule.whose


def _spender(whose: str, keys: Mapping[str, str]) -> tuple[Spender, str]:
    kind, _, name = whose.partition(":")
    if kind == "key":
        return Spender(key=whose, key_name=keys.get(whose, "")), ""
    if kind == "model":
        return Spender(), name
    return Spender(user=name if kind == "user" else ""), ""
