"""What `noibo llm test` takes for a model that works."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from noibo.cli.llm_trial import Trial, trial_of
from noibo.llm_service import LLMService

pytestmark = pytest.mark.anyio


async def test_a_model_that_only_thinks_within_the_limit_works(echo: Callable[..., None]) -> None:
    echo(reasoning="Let me see", text=" a")  # of which the first token is empty
    trial = await trial_of(LLMService("echo"), 1)
    assert (trial.answer, trial.streamed) == ("", "")
    assert trial.thoughts
    assert all(trial.passed.values())


async def test_one_that_says_nothing_at_all_does_not(echo: Callable[..., None]) -> None:
    echo(text="")
    trial = await trial_of(LLMService("echo"), 1)
    assert not trial.passed["answer"]
    assert not trial.passed["performance"]
    assert trial.passed["load"]


def test_nothing_seen_is_nothing_passed() -> None:
    assert not any(Trial().passed.values())
