"""What a million tokens cost."""

from __future__ import annotations

import pytest

from noibo.evaluation.cost import Machine, Tariff, at_home, bought


def test_electricity_and_wear_add_up() -> None:
    """100 W for 10 hours are 1 kWh; a machine of 8766 hours' use costs a ten-thousandth an hour."""
    machine = Machine(watts=100, kwh_price=0.20, price=876.6, years=1, used=1)
    cost = at_home(machine, 1_000_000 / 36_000)
    assert cost is not None
    assert cost.electricity == pytest.approx(0.20)
    assert cost.wear == pytest.approx(1.0)
    assert cost.per_million == pytest.approx(1.20)


def test_a_machine_that_rests_half_the_time_wears_twice_for_each_token() -> None:
    always, half = (at_home(Machine(used=used), 50.0) for used in (1.0, 0.5))
    assert always is not None
    assert half is not None
    assert half.wear == pytest.approx(2 * (always.wear or 0))
    assert half.electricity == always.electricity


@pytest.mark.parametrize("rate", [None, 0.0, -1.0])
def test_where_nothing_was_written_nothing_is_priced(rate: float | None) -> None:
    assert at_home(Machine(), rate) is None


def test_a_service_is_paid_for_what_was_read_too() -> None:
    cost = bought(Tariff(read=0.15, written=0.60), read=2_000, billed=1_000, written=1_000)
    assert cost is not None
    assert cost.per_million == pytest.approx(0.60 + 2 * 0.15)
    assert bought(Tariff(1, 1), 100, 0, 0) is None
