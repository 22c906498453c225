"""What a call cost, and what it can cost at most. None is "unknown", and stays it in every sum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from noibo.usage.money import MOST_A_CALL, nanos, nanos_at_most
from noibo.usage.prices import Price, Rates
from noibo.usage.tokens import Tokens

_MILLION: Final = Decimal(1_000_000)


def cost(tokens: Tokens, price: Price | None) -> int | None:
    """Billionths of a dollar; None where the price, or the count of what is priced, is unknown, or
    is so large that it is none."""
    if price is None or not (tokens.known or tokens.images):
        return None
    found = _dollars(tokens, price.rates(tokens.input or 0), price)
    if found is None or (amount := nanos(found)) > MOST_A_CALL:
        return None
    return amount


def bound(prompt_tokens: int, most_output: int, price: Price | None, images: int = 0) -> int | None:
    """The most that a call can cost of which no more is known before it: nothing of the prompt is
    in the provider's cache and all of it is written there, and every token that is allowed comes,
    at the dearest rate for writing. None where it cannot be said."""
    if price is None:
        return None
    rates = price.rates(prompt_tokens)
    read = _dearest(rates.input, rates.cache_write)
    written = _dearest(rates.output, rates.reasoning)
    if (read is None and prompt_tokens) or (written is None and most_output):
        return None
    total = ((read or 0) * prompt_tokens + (written or 0) * most_output) / _MILLION
    # Where an image has no price of its own it is charged as tokens, which the caller counts.
    at_most = nanos_at_most(total + (price.image or 0) * images + price.request)
    return min(at_most, MOST_A_CALL)


def _dollars(tokens: Tokens, rates: Rates, price: Price) -> Decimal | None:
    cached, stored = tokens.cached or 0, tokens.cache_write or 0
    thought = tokens.reasoning or 0
    plain = max((tokens.input or 0) - cached - stored, 0)
    said = max((tokens.output or 0) - thought, 0)
    parts = (
        (plain, rates.input),
        (cached, rates.input if rates.cached_input is None else rates.cached_input),
        (stored, rates.input if rates.cache_write is None else rates.cache_write),
        (said, rates.output),
        (thought, rates.output if rates.reasoning is None else rates.reasoning),
    )
    total = price.request
    for count, rate in parts:
        if count and rate is None:
            return None
        total += count * (rate or Decimal(0)) / _MILLION
    if tokens.images and price.image is None and not tokens.known:
        return None  # else it is among the tokens
    return total + (tokens.images or 0) * (price.image or Decimal(0))


def _dearest(rate: Decimal | None, other: Decimal | None) -> Decimal | None:
    return rate if rate is None or other is None else max(rate, other)


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of costs, and of how many calls it is not known what they cost."""

    amount: int = 0
    unknown: int = 0

    @property
    def whole(self) -> bool:
        """True if nothing is missing in it."""
        return not self.unknown

    def __add__(self, other: Total) -> Total:
        return Total(self.amount + other.amount, self.unknown + other.unknown)


def total(costs: Iterable[int | None]) -> Total:
    """The sum of what is known, with the count of what is not."""
    amount = unknown = 0
    for one in costs:
        if one is None:
            unknown += 1
        else:
            amount += one
    return Total(amount, unknown)
