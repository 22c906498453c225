"""How long a model stays, as people and Ollama's clients write it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noibo.engines.supervision import keep_alive
from noibo.errors import InvalidRequest


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (90, 90.0),
        (0, 0.0),
        (0.5, 0.5),
        ("0", 0.0),
        ("90", 90.0),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("24h", 86400.0),
        ("300ms", 0.3),
        ("+5m", 300.0),
        (" 5m ", 300.0),
        (-1, math.inf),
        ("-1", math.inf),
        ("-1m", math.inf),
        (10**400, math.inf),
        (math.inf, math.inf),
        ("999999999999999h", math.inf),
    ],
)
def test_a_length_of_time_is_read_as_ollama_reads_it(said: object, seconds: float) -> None:
    assert keep_alive.parse(said, "keep_alive") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "said",
    ["", "m", "5 m", "5x", "1d", "5m-", "m5", ".", "0x5", "٥m", True, None, [], {}, math.nan],
)
def test_nonsense_is_refused_with_the_name_of_the_field(said: object) -> None:
    with pytest.raises(InvalidRequest, match=r"memory\.keep_alive") as caught:
        keep_alive.parse(said, "memory.keep_alive")
    assert caught.value.param == "memory.keep_alive"
    assert "5m" in caught.value.next_step


@given(st.one_of(st.text(max_size=30), st.floats(), st.integers()))
def test_whatever_is_said_it_is_a_length_or_a_refusal(said: object) -> None:
    try:
        assert keep_alive.parse(said, "k") >= 0
    except InvalidRequest as refused:
        assert len(refused.message) < 200
