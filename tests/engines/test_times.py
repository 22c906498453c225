from __future__ import annotations

import pytest

from noibo.engines.supervision.times import Times, wait_s


def test_a_free_slot_is_no_wait() -> None:
    assert wait_s(1, 4, [1.0, 1.0], 10.0) == 0.0


def test_the_next_waits_for_the_answer_that_ends_first() -> None:
    assert wait_s(1, 2, [1.0, 4.0], 10.0) == 6.0


def test_those_behind_wait_for_whole_answers() -> None:
    assert wait_s(2, 1, [0.0], 10.0) == 20.0
    assert wait_s(5, 4, [0.0] * 4, 10.0) == 20.0


def test_an_answer_that_is_overdue_is_not_taken_to_end_at_once() -> None:
    assert wait_s(1, 1, [50.0], 10.0) == 12.5


def test_before_anything_was_measured_what_runs_says_how_long() -> None:
    assert wait_s(1, 1, [8.0], None) == 8.0
    assert wait_s(2, 1, [8.0], None) == 24.0


def test_means_follow_the_latest() -> None:
    times = Times()
    assert times.answer_s("m") is None
    times.answered("m", 10.0)
    times.answered("m", 20.0)
    assert times.answer_s("m") == pytest.approx(12.0)


def test_a_load_is_guessed_from_the_size_until_one_was_seen() -> None:
    times = Times()
    assert times.load_s("m", 4_000_000_000) == pytest.approx(10.0)
    times.loaded("m", 2.5)
    assert times.load_s("m", 4_000_000_000) == 2.5
