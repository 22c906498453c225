"""Money: whole billionths of a dollar, in which sums are exact, and how people read it.

A price is a decimal number of dollars for a million tokens; what a call costs is rounded once, to a
billionth of a dollar. No floating point takes part in either.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from noibo.errors import UsageError

NANOS: Final = 10**9  # of a dollar
_FINEST: Final = -30  # power of ten of an amount's first digit; less is a slip of the pen
MOST: Final = 2**62  # four billion dollars: what a column of the database holds, and a sum of two
MOST_A_CALL: Final = 10**15  # a million dollars: more is no cost of one call, whoever says it


def decimal(said: Any, name: str) -> Decimal:
    """A number of settings or of a file, from 0 on, exactly as it was written. Raises
    `UsageError`."""
    try:
        found = Decimal(str(said).strip())
    except InvalidOperation:
        found = Decimal("NaN")
    sound = found.is_finite() and 0 <= found <= NANOS and found.adjusted() > _FINEST
    if isinstance(said, bool) or not (sound or found == 0):
        raise UsageError(
            f"{name} = {str(said)[:40]!r} is no amount.", next_step="Write it as 0.15, say."
        )
    return found


def nanos(dollars: Decimal) -> int:
    """Dollars in billionths, to the nearest."""
    return int((dollars * NANOS).to_integral_value(ROUND_HALF_UP))


def nanos_at_most(dollars: Decimal) -> int:
    """Dollars in billionths, rounded up: for what may not be exceeded."""
    return int((dollars * NANOS).to_integral_value(ROUND_CEILING))


def dollars(amount: int) -> Decimal:
    """Billionths as dollars, exactly."""
    return Decimal(amount).scaleb(-9)


@dataclass(frozen=True, slots=True)
class Currency:
    """What amounts are shown in; `rate` of it is a dollar. Sums are made in dollars."""

    name: str = "USD"
    rate: Decimal = Decimal(1)

    def shown(self, amount: int | None, unknown: str = "unknown") -> str:
        """`$1.23`, `$0.00042`, `31,250 ₫`; small amounts keep two digits that say something."""
        if amount is None:
            return unknown
        if self.name == "VND":
            value = dollars(amount) * self.rate
            if value and abs(value) < 100:
                return f"{_digits(value)} ₫"
            return f"{value.quantize(Decimal(1), ROUND_HALF_UP):,} ₫"
        sign = "-" if amount < 0 else ""
        return f"{sign}${_digits(abs(dollars(amount)))}"

    def plain(self, amount: int | None) -> str:
        """A number for programs, without its unit; empty where it is unknown."""
        if amount is None:
            return ""
        value = (dollars(amount) * self.rate).normalize()
        return f"{value:f}" if value else "0"


DOLLARS: Final = Currency()


def _digits(value: Decimal) -> str:
    if value == 0 or abs(value) >= Decimal("0.995"):
        return f"{value.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    places = max(2, 1 - value.adjusted())
    return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
