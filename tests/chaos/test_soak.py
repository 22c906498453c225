"""The soak in its short form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import soak

SECONDS = 60


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_under_mixed_load_nothing_is_lost_and_nothing_grows(
    home: Path, smollm2_gguf: Path, seed: int
) -> None:
    result = soak.run(home.parent, smollm2_gguf, SECONDS, seed)
    soak.show(result)
    assert result.sound
    assert result.answered > 50
    assert {"server", "b", soak.REAL[0]} <= set(result.memory)
