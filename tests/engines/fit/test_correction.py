"""What measurements teach, and how much is believed of it."""

from __future__ import annotations

import pytest

from noibo.engines.memory.correction import Learned, Sample, learn, leave_one_model_out


def samples(**ratios: list[float]) -> list[Sample]:
    return [Sample(name, 1000, 1000 * one) for name, many in ratios.items() for one in many]


def test_nothing_measured_corrects_nothing_and_is_not_sure() -> None:
    learned = learn([])
    assert (learned.scale, learned.spread, learned.models) == (1.0, 0.1, 0)
    assert "nothing" in learned.words()


def test_one_model_is_half_believed_however_often_it_was_loaded() -> None:
    assert learn(samples(a=[1.2])).scale == pytest.approx(1.1)
    assert learn(samples(a=[1.2] * 50)).scale == pytest.approx(1.1)
    assert learn(samples(a=[1.2], b=[1.2])).scale == pytest.approx(1.2)


def test_an_odd_measurement_changes_little() -> None:
    assert learn(samples(a=[1.1], b=[1.1], c=[1.1], d=[9.0])).scale == pytest.approx(1.1)
    assert learn(samples(a=[1.1, 1.1, 9.0], b=[1.1])).scale == pytest.approx(1.1)


def test_no_correction_runs_wild() -> None:
    assert learn(samples(a=[40], b=[50], c=[60])).scale == 2.0
    assert learn(samples(a=[0.01], b=[0.01])).scale == 0.5


def test_what_cannot_be_a_measurement_is_passed_over() -> None:
    assert learn([Sample("a", 0, 100), Sample("b", 100, 0), Sample("c", -5, 5)]) == Learned()


def test_measurements_that_agree_make_sure_and_those_that_do_not_make_unsure() -> None:
    sure = learn(samples(a=[1.05], b=[1.05], c=[1.05]))
    unsure = learn(samples(a=[0.7], b=[1.05], c=[1.5]))
    assert sure.spread < 0.05
    assert unsure.spread > 0.1
    assert "3 models" in sure.words()


def test_a_model_is_judged_by_what_the_others_taught() -> None:
    found = leave_one_model_out(samples(a=[1.2, 1.2], b=[1.2], c=[1.3]))
    of_c = found[-1]
    assert of_c.plain == pytest.approx(1 / 1.3 - 1)
    assert of_c.corrected == pytest.approx(1.2 / 1.3 - 1)
    alone = leave_one_model_out(samples(a=[1.2, 1.5]))
    assert [one.corrected for one in alone] == [one.plain for one in alone]
