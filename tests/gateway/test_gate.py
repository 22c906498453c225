"""Only so many at once; who comes then is told to come again."""

from __future__ import annotations

import pytest

from noibo.errors import QueueFull
from noibo.gateway.gate import Gate


def test_who_comes_when_all_places_are_taken_is_refused() -> None:
    gate = Gate(2, "are at it")
    gate.enter()
    gate.enter()
    with pytest.raises(QueueFull, match="2 are at it already") as refused:
        gate.enter()
    assert refused.value.retry_after_s
    gate.leave()
    gate.enter()
