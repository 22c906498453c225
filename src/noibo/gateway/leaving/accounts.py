"""What answers cost, of one server: prices, budgets, the ledger of usage, and this machine's own
cost."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from noibo.engines.engine import plain
from noibo.usage.budgets import Budgets, Reservation
from noibo.usage.cost import bound, cost
from noibo.usage.entry import UsageEntry
from noibo.usage.ledger import Ledger
from noibo.usage.local_cost import LocalCost
from noibo.usage.prices import Price, PriceTable
from noibo.usage.rules import Spender
from noibo.wire.body import UNREADABLE

# Of an answer to a request that sets no limit: more is rare, and what it cost is charged after.
USUAL_ANSWER: Final = 8192
BYTES_A_TOKEN: Final = 2  # at least, of nearly every text; pictures are counted apart
PICTURE_TOKENS: Final = 3000
_LIMITS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens", "num_predict")
_PICTURE: Final = re.compile(rb'"data:image/[^"]*"')


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model elsewhere before it is made: who makes it, and what it can cost.
    `believed`: what its provider says that it cost is what it cost."""

    draft: UsageEntry
    who: Spender
    price: Price | None
    most: int | None
    believed: bool = False


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

    def call(self, draft: UsageEntry, who: Spender, there: str, fields: Mapping[str, Any]) -> Call:
        """A call of the model that is called `there` at its destination. Reads a file at first."""
        price = self.prices.find(there, draft.destination)
        price = price or self.prices.own.get(draft.model)
        prompt, pictures = _size(fields)
        return Call(draft, who, price, bound(prompt, _longest(fields), price, pictures))

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


def _size(fields: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of a prompt, rather too many than too few, and its pictures."""
    text = msgspec.json.encode(fields)
    pictures = _PICTURE.findall(text)
    plain_bytes = len(text) - sum(map(len, pictures))
    return plain_bytes // BYTES_A_TOKEN + PICTURE_TOKENS * len(pictures), len(pictures)


def _longest(fields: Mapping[str, Any]) -> int:
    """Tokens that may be written, of all answers together."""
    limits = [found for name in _LIMITS if (found := _whole(fields, name))]
    return (min(limits) if limits else USUAL_ANSWER) * max(_whole(fields, "n") or 1, 1)


def _whole(fields: Mapping[str, Any], name: str) -> int | None:
    try:
        found = plain(fields[name]) if name in fields else None
    except UNREADABLE:
        return None
    return found if isinstance(found, int) and found > 0 else None
