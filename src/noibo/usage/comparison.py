"""The comparison by the month: everything to the API, hybrid, everything here.

    a month       = API + electricity
    break-even    = hardware / (a month of everything to the API - a month of this one), rounded up
    with hardware = a month + hardware / (years × 12)

The hardware is paid once; what it saves each month pays it back, or never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from noibo.errors import UsageError
from noibo.usage.local_cost import LocalCost

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do in a month: what it costs in dollars where everything goes to the `api`,
    the share that can be answered here, and the share of the time for which this machine answers
    then. `rest`: what the API still costs in the hybrid case; None: its share of `api`."""

    api: Decimal
    local_share: Decimal
    busy: Decimal = Decimal(1)
    rest: Decimal | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.local_share <= 1 or not 0 <= self.busy <= 1:
            raise UsageError("--local-share and --busy are shares, from 0 to 1.")


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to do it, in dollars. None: unknown. `break_even`: the month in which its hardware is
    paid back against everything to the API; None: never, or unknown."""

    name: str
    hardware: Decimal | None
    api: Decimal
    electricity: Decimal | None
    month: Decimal | None
    with_hardware: Decimal | None
    break_even: int | None = None


def compare(work: Work, machine: LocalCost) -> tuple[Setup, Setup, Setup]:
    """All three."""
    rest = work.api * (1 - work.local_share) if work.rest is None else work.rest
    whole = min(work.busy / work.local_share, Decimal(1)) if work.local_share else work.busy
    api = Setup("api", _NOTHING, work.api, _NOTHING, work.api, work.api)
    return (
        api,
        _setup("hybrid", rest, machine, work.busy, work.api),
        _setup("local", _NOTHING, machine, whole, work.api),
    )


def break_even(hardware: Decimal, before: Decimal, after: Decimal) -> int | None:
    """Months until what is saved each month has paid for the hardware; None: it never does."""
    if after >= before:
        return None
    return int((hardware / (before - after)).to_integral_value(ROUND_CEILING))


def _setup(name: str, rest: Decimal, machine: LocalCost, busy: Decimal, before: Decimal) -> Setup:
    electricity, hardware = machine.electricity_a_month(busy), machine.hardware_price
    month = None if electricity is None else rest + electricity
    spread = None if hardware is None else hardware / (machine.years * 12)
    return Setup(
        name=name,
        hardware=hardware,
        api=rest,
        electricity=electricity,
        month=month,
        with_hardware=None if month is None or spread is None else month + spread,
        break_even=None
        if month is None or hardware is None
        else break_even(hardware, before, month),
    )
