"""What an answer of one's own machine costs: its electricity, and its part of what the machine did.

    electricity = watts / 1000 × kwh_price × hours
    wear        = hardware_price × hours / (hardware_years × hours of a year × used)

`hours` are those for which the machine answered; one that answers several callers at once does so
for each of them at a part of its time. What is not known is not guessed: then the cost is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from noibo.errors import UsageError
from noibo.usage.money import nanos

HOURS_A_YEAR: Final = Decimal("8766")  # 365.25 days
HOURS_A_MONTH: Final = HOURS_A_YEAR / 12
_MS_AN_HOUR: Final = Decimal(3_600_000)


@dataclass(frozen=True, slots=True)
class LocalCost:
    """A machine: `watts` it draws while it answers, and `idle_watts` while it waits; dollars for a
    kWh; its price, spread over `years` of which it answers the share `used`. None: not known;
    a `hardware_price` of 0: it was there anyway."""

    watts: Decimal | None = None
    kwh_price: Decimal | None = None
    hardware_price: Decimal | None = None
    years: Decimal = Decimal(3)
    used: Decimal = Decimal("0.5")
    idle_watts: Decimal = Decimal(0)
    measured: str = ""  # how the watts were measured; empty: they were not

    def __post_init__(self) -> None:
        if self.years <= 0 or not 0 < self.used <= 1:
            raise UsageError("usage.hardware_years is above 0, and usage.hardware_used 0 to 1.")

    @property
    def known(self) -> bool:
        """True if a cost can be said."""
        return self.electricity_an_hour is not None and self.hardware_price is not None

    @property
    def electricity_an_hour(self) -> Decimal | None:
        """Dollars for an hour of answering."""
        if self.watts is None or self.kwh_price is None:
            return None
        return self.watts / 1000 * self.kwh_price

    @property
    def wear_an_hour(self) -> Decimal | None:
        """Dollars of its price for an hour of answering."""
        if self.hardware_price is None:
            return None
        return self.hardware_price / (self.years * HOURS_A_YEAR * self.used)

    def cost(self, total_ms: int | None, at_once: int = 1) -> int | None:
        """Billionths of a dollar for one answer that took so long, beside `at_once` - 1 others."""
        electricity, wear = self.electricity_an_hour, self.wear_an_hour
        if electricity is None or wear is None or total_ms is None:
            return None
        return nanos((electricity + wear) * total_ms / _MS_AN_HOUR / max(at_once, 1))

    def electricity_a_month(self, busy: Decimal) -> Decimal | None:
        """Dollars for a month, for the share `busy` of which it answers; else it idles."""
        if self.watts is None or self.kwh_price is None:
            return None
        watts = self.watts * busy + self.idle_watts * (1 - busy)
        return watts / 1000 * self.kwh_price * HOURS_A_MONTH
