from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from noibo.engines.tuning import LARGEST_BATCH, SMALLEST_BATCH, Tuning, batch_tokens, estimated_rate


@given(st.floats(0.01, 1e6), st.floats(0.05, 10))
def test_a_batch_takes_no_longer_than_asked_unless_it_is_the_smallest(
    rate: float, seconds: float
) -> None:
    batch = batch_tokens(rate, seconds)
    assert batch & (batch - 1) == 0
    assert SMALLEST_BATCH <= batch <= LARGEST_BATCH
    assert batch / rate <= seconds or batch == SMALLEST_BATCH


def test_a_larger_model_is_read_more_slowly() -> None:
    assert estimated_rate(7_000_000_000, 2) < estimated_rate(135_000_000, 2)


def test_the_best_of_a_few_measurements_is_kept(tmp_path: Path) -> None:
    tuning = Tuning(tmp_path / "deep" / "tuning.json")
    assert tuning.prefill_rate("m") is None
    for rate in (40.0, 110.0, 70.0):
        assert tuning.wants_more("m")
        tuning.record("m", rate)
    assert tuning.prefill_rate("m") == 110.0
    assert not tuning.wants_more("m")


def test_a_damaged_file_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    path.write_text('{"m": {"prefill')
    assert Tuning(path).prefill_rate("m") is None
    Tuning(path).record("m", 5)
    assert Tuning(path).prefill_rate("m") == 5.0
