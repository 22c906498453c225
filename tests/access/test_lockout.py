"""How often somebody may guess: each attempt costs, and nobody is locked out from elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noibo.access.lockout import FIRST_S, FORGOTTEN_S, FREE, LONGEST_S, MOST, Lockout
from noibo.errors import TooManyAttempts


def attempts(lockout: Lockout, count: int, name: str, address: str, now: float = 0.0) -> int:
    """How many of so many attempts at one moment are taken."""
    taken = 0
    for _ in range(count):
        try:
            lockout.require(name, address, now)
        except TooManyAttempts:
            continue
        taken += 1
    return taken


def wait(lockout: Lockout, name: str, address: str, now: float) -> float:
    try:
        lockout.require(name, address, now)
    except TooManyAttempts as refused:
        return refused.retry_after_s or 0.0
    return 0.0


def test_the_sixth_attempt_waits_and_each_failure_doubles_it() -> None:
    lockout, now = Lockout(), 0.0
    assert attempts(lockout, 1000, "an", "10.0.0.1") == FREE["both"]
    waited = []
    for _ in range(12):
        waited.append(wait(lockout, "an", "10.0.0.1", now))
        now += waited[-1]
        lockout.require("an", "10.0.0.1", now)
    assert waited[:4] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]
    assert waited[-1] == LONGEST_S


def test_from_another_address_nobody_is_locked_out() -> None:
    lockout = Lockout()
    attempts(lockout, 1000, "an", "10.0.0.1")
    assert wait(lockout, "an", "10.0.0.2", 0.0) == 0
    assert wait(lockout, "binh", "10.0.0.1", 0.0) == 0


def test_an_address_has_an_end_over_all_names_and_a_name_over_all_addresses() -> None:
    by_address = Lockout()
    taken = sum(attempts(by_address, 1, f"u{n}", "10.0.0.1") for n in range(500))
    assert taken == FREE["address"]
    by_name = Lockout()
    taken = sum(attempts(by_name, 1, "an", f"10.0.{n // 250}.{n % 250}") for n in range(500))
    assert taken == FREE["name"]


def test_one_house_is_one_address() -> None:
    lockout = Lockout()
    taken = sum(attempts(lockout, 1, "an", f"2001:db8::{n:x}") for n in range(50))
    assert taken == FREE["both"]
    assert wait(lockout, "an", "2001:db8:0:1::1", 0.0) == 0
    assert attempts(lockout, 3, "binh", "10.0.0.1") == 3
    assert attempts(lockout, 10, "binh", "::ffff:10.0.0.1") == FREE["both"] - 3


def test_success_costs_nothing_and_time_forgives() -> None:
    lockout = Lockout()
    for _ in range(1000):
        lockout.require("an", "10.0.0.1", 0.0)
        lockout.forgive("an", "10.0.0.1")
    attempts(lockout, 100, "an", "10.0.0.1")
    assert attempts(lockout, 100, "an", "10.0.0.1", FORGOTTEN_S) == FREE["both"]


def test_who_signs_in_does_not_free_the_guesses_at_others() -> None:
    lockout, taken = Lockout(), 0
    for number in range(500):
        if attempts(lockout, 1, "mine", "10.0.0.1"):
            lockout.forgive("mine", "10.0.0.1")
        taken += attempts(lockout, 1, f"other{number}", "10.0.0.1")
    assert taken <= FREE["address"]


def test_counts_are_bounded() -> None:
    lockout = Lockout()
    for number in range(MOST):
        attempts(lockout, 1, f"u{number}", f"10.{number % 256}.{number // 256}.1")
    assert len(lockout._counts) == MOST


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=80))
@settings(max_examples=60)
def test_guesses_in_an_hour_are_few_whatever_their_times(steps: list[tuple[float, bool]]) -> None:
    lockout, now, failed = Lockout(), 0.0, 0
    for pause, again in steps:
        now += pause
        for _ in range(3 if again else 1):
            failed += attempts(lockout, 1, "an", "10.0.0.1", now)
    doubled = FIRST_S
    bound = FREE["both"] + 1
    while doubled <= now:  # each further one is paid for with twice the wait
        bound += 1
        now -= doubled
        doubled = min(doubled * 2, LONGEST_S)
    assert failed <= bound


def test_the_wait_is_said() -> None:
    lockout = Lockout()
    attempts(lockout, 5, "an", "10.0.0.1")
    with pytest.raises(TooManyAttempts, match="have failed") as caught:
        lockout.require("an", "10.0.0.1", 0.5)
    assert caught.value.retry_after_s == FIRST_S - 0.5
    assert caught.value.status == 429
