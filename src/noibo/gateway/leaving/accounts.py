"""What answers cost, of one server: prices, budgets, the ledger of usage, and this machine's own
cost."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from noibo.gateway.leaving import most
from noibo.usage.budgets import Budgets, Reservation
from noibo.usage.cost import bound, cost
from noibo.usage.entry import UsageEntry
from noibo.usage.ledger import Ledger
from noibo.usage.local_cost import LocalCost
from noibo.usage.prices import Price, PriceTable
from noibo.usage.rules import HOUR, Spender
from noibo.usage.tokens import Most


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model elsewhere before it is made: who makes it, and what it can cost.
    `believed`: what its provider says that it cost is what it cost."""

    draft: UsageEntry
    who: Spender
    price: Price | None
    tokens: Most
    most: int | None
    believed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked there, as it goes."""

    path: str
    fields: dict[str, Any]


class Accounts:
    """`open_prices` reads the table when the first call needs it."""

    def __init__(
        self,
        ledger: Ledger,
        budgets: Budgets,
        open_prices: Callable[[], PriceTable],
        machine: LocalCost,
    ) -> None:
        self.ledger = ledger
        self.budgets = budgets
        self.machine = machine
        self._open_prices = open_prices

    @functools.cached_property
    def prices(self) -> PriceTable:
        """The table that holds here."""
        return self._open_prices()

    def call(self, draft: UsageEntry, who: Spender, there: str, asked: Asked) -> Call:
        """A call of the model that is called `there` at its destination. Reads a file at first."""
        price = self.prices.find(there, draft.destination)
        price = price or self.prices.own.get(draft.model)
        prompt, pictures = most.of_prompt(asked.fields)
        tokens = Most(prompt, most.of_answers(asked.path, asked.fields))
        return Call(draft, who, price, tokens, bound(prompt, tokens.written, price, pictures))

    def counts_money(self, who: Spender, model: str) -> bool:
        """True if a budget of money is to be kept to."""
        return any(one.period != HOUR for one in self.budgets.claims(who, model))

    async def reserve(self, call: Call) -> Reservation:
        """Room for it in every budget. Raises `BudgetExceeded`, `PriceUnknown`."""
        return await self.budgets.reserve(call.draft, call.most, call.who)

    async def settle(
        self, reservation: Reservation, entry: UsageEntry, price: Price | None
    ) -> None:
        """It has ended."""
        await self.budgets.settle(reservation, priced(entry, price))


def priced(entry: UsageEntry, price: Price | None) -> UsageEntry:
    """With what it cost. What the provider says goes before what the table says."""
    if entry.cost is None and (found := cost(entry.tokens, price)) is not None:
        return replace(entry, cost=found, cost_by="prices")
    return entry
