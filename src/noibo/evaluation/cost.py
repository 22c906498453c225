"""What a million tokens cost: on a machine of one's own, or at a service with prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from noibo.errors import UsageError

SECONDS_A_YEAR: Final = 365.25 * 86_400
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of one's own. Plain numbers to begin with, each an option: `watts` it draws while
    it answers, `kwh_price` of electricity, its `price`, spread over `years` of which it answers the
    share `used`."""

    watts: float = 100.0
    kwh_price: float = 0.15
    price: float = 1000.0
    years: float = 3.0
    used: float = 0.5

    def __post_init__(self) -> None:
        for option, value in (
            ("--watts", self.watts),
            ("--kwh-price", self.kwh_price),
            ("--hardware-price", self.price),
        ):
            if not 0 <= value < float("inf"):
                raise UsageError(f"{option} takes numbers from 0 on.")
        if not 0 < self.years < float("inf") or not 0 < self.used <= 1:
            raise UsageError("--years is more than 0, and --used a share of them, at most 1.")

    def electricity(self, seconds: float) -> float:
        """Of so many seconds of answering."""
        return self.watts / 1000 * self.kwh_price * seconds / 3600

    def wear(self, seconds: float) -> float:
        """The part of its price that so many seconds of answering take."""
        return self.price * seconds / (self.years * SECONDS_A_YEAR * self.used)


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices of a service for a million tokens, read and written."""

    read: float
    written: float


@dataclass(frozen=True, slots=True)
class Cost:
    """For a million tokens written, with the prompts that were read for them. `electricity` and
    `wear` are its parts on a machine of one's own."""

    per_million: float
    electricity: float | None = None
    wear: float | None = None


def at_home(machine: Machine, rate: float | None) -> Cost | None:
    """At `rate` tokens a second, all callers together; None where nothing was written."""
    if not rate or rate <= 0:
        return None
    seconds = MILLION / rate
    electricity, wear = machine.electricity(seconds), machine.wear(seconds)
    return Cost(electricity + wear, electricity, wear)


def bought(tariff: Tariff, read: int, billed: int, written: int) -> Cost | None:
    """For the mix of tokens that was measured: `billed` are those that the service counts as
    written, `written` those that came. None where nothing was written."""
    if written <= 0:
        return None
    return Cost((tariff.written * billed + tariff.read * read) / written)
