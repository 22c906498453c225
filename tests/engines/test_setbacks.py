from __future__ import annotations

from noibo.engines.supervision.setbacks import MOST_WAIT_S, Setbacks
from noibo.errors import OutOfMemory, WorkerStartFailed


def test_the_first_failure_costs_no_wait() -> None:
    setbacks = Setbacks()
    setbacks.failed("m", WorkerStartFailed("no"), now=10.0)
    assert setbacks.wait_until("m") == 10.0
    assert setbacks.refusal("m", 10.0) is None


def test_each_further_failure_doubles_the_wait_up_to_a_bound() -> None:
    setbacks = Setbacks()
    waits = []
    for _ in range(10):
        setbacks.failed("m", WorkerStartFailed("no"), now=0.0)
        waits.append(setbacks.wait_until("m"))
    assert waits[:5] == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == MOST_WAIT_S


def test_who_asks_meanwhile_is_told_why_and_when_to_come_back() -> None:
    setbacks = Setbacks()
    for _ in range(4):
        setbacks.failed("m", OutOfMemory("It needs too much.", next_step="Buy some."), now=0.0)
    error = setbacks.refusal("m", 1.0)
    assert isinstance(error, OutOfMemory)
    assert error.retry_after_s == 3.0
    assert "4 times in a row" in error.message
    assert "It needs too much." in error.message
    assert error.next_step == "Buy some."
    assert setbacks.refusal("m", 4.0) is None


def test_a_good_answer_ends_it() -> None:
    setbacks = Setbacks()
    for _ in range(6):
        setbacks.failed("m", WorkerStartFailed("no"), now=0.0)
    setbacks.worked("m")
    assert setbacks.refusal("m", 0.0) is None
    assert setbacks.wait_until("m") == 0.0


def test_models_are_apart() -> None:
    setbacks = Setbacks()
    for _ in range(6):
        setbacks.failed("m", WorkerStartFailed("no"), now=0.0)
    assert setbacks.refusal("n", 0.0) is None
