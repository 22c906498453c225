"""The circuit breaker, and when a server is asked again: values and a clock that is set by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from noibo.engines.remote import waits
from noibo.engines.remote.breaker import FAILURES, TRIAL_S, Breaker, Breakers, Open


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.enter().failed()
    return breaker


def half_open(clock: Clock) -> Breaker:
    breaker = opened(clock)
    clock.now += breaker.waits_s
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES - 1):
        breaker.enter().failed()
    assert breaker.state == "closed"
    breaker.enter().answered()
    for _ in range(FAILURES - 1):
        breaker.enter().failed()
    assert breaker.state == "closed"
    breaker.enter().failed()
    assert breaker.state == "open"
    with pytest.raises(Open) as left:
        breaker.enter()
    assert left.value.seconds > 0


def test_half_open_lets_exactly_one_through() -> None:
    breaker = half_open(Clock())
    assert breaker.state == "half-open"
    trial = breaker.enter()
    for _ in range(3):
        with pytest.raises(Open):
            breaker.enter()
    trial.answered()
    assert breaker.state == "closed"
    assert breaker.enter() is not trial


def test_a_trial_that_fails_opens_it_for_longer() -> None:
    clock = Clock()
    breaker = opened(clock)
    first = breaker.waits_s
    clock.now += first
    breaker.enter().failed()
    assert breaker.state == "open"
    assert breaker.waits_s == 2 * first


def test_a_trial_that_is_given_up_is_not_lost() -> None:
    breaker = half_open(Clock())
    breaker.enter().let_go()
    assert breaker.state == "half-open"
    breaker.enter().answered()
    assert breaker.state == "closed"


def test_a_trial_of_which_nothing_is_heard_makes_place_for_the_next() -> None:
    clock = Clock()
    breaker = half_open(clock)
    silent = breaker.enter()
    clock.now += TRIAL_S
    second = breaker.enter()
    silent.failed()  # it comes late, and changes nothing
    assert breaker.state == "half-open"
    second.answered()
    assert breaker.state == "closed"


def test_requests_from_before_it_opened_neither_stretch_nor_end_a_trial() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    late = [breaker.enter() for _ in range(3)]
    for _ in range(FAILURES):
        breaker.enter().failed()
    until = breaker.waits_s
    late[0].failed()
    assert breaker.waits_s == until
    clock.now += until
    trial = breaker.enter()
    late[1].let_go()
    with pytest.raises(Open):
        breaker.enter()
    late[2].answered()
    assert breaker.state == "closed"
    trial.let_go()
    assert breaker.state == "closed"


def test_what_is_told_twice_counts_once() -> None:
    breaker = Breaker(Clock())
    permit = breaker.enter()
    for _ in range(FAILURES):
        permit.failed()
    assert (breaker.failures, breaker.state) == (1, "closed")


def test_an_address_has_one_breaker_whatever_the_path() -> None:
    breakers = Breakers()
    one = breakers.of("http://127.0.0.1:8000/v1")
    assert breakers.of("http://127.0.0.1:8000") is one
    assert breakers.of("http://127.0.0.1:8001/v1") is not one


NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Monday, 23-Nov-26 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("99999999999999999999", waits.MOST_S),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    assert waits.asked_for(value, NOW) == seconds


def test_pauses_grow_and_are_bounded() -> None:
    longest = [waits.backoff(tried, 1.0) for tried in range(1, 9)]
    assert longest[:3] == pytest.approx([0.1, 0.4, 1.6])
    assert longest == sorted(longest)
    assert longest[-1] == waits.LONGEST_S
    assert waits.backoff(3, 0.0) == longest[2] / 2


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500, 501])
def test_what_would_be_answered_the_same_is_not_asked_again(status: int) -> None:
    assert waits.pause(status, {}, 1, 0.5) is None


def test_a_server_that_says_when_is_asked_then_or_not_at_all() -> None:
    assert waits.pause(429, {"retry-after": "2"}, 1, 0.5) == 2.0
    assert waits.pause(503, {"retry-after": "60"}, 1, 0.5) is None
    assert waits.pause(503, {}, 1, 1.0) == pytest.approx(0.1)
