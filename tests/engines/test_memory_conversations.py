"""Whether idle conversations are kept, by what was measured."""

from __future__ import annotations

from noibo.engines.memory.conversations import (
    ENOUGH_PROMPTS,
    TRIED_AGAIN_EVERY,
    worth_keeping,
)
from noibo.engines.memory.size import Use


def used(prompts: int, tokens: int, reused: int) -> Use:
    return Use(2, 1000, prompts, tokens, reused)


def test_state_is_kept_until_enough_is_known() -> None:
    assert worth_keeping(Use()).keep
    verdict = worth_keeping(used(ENOUGH_PROMPTS - 1, 4000, 0))
    assert verdict.keep
    assert "too few" in verdict.why


def test_state_that_nobody_comes_back_to_is_not_kept() -> None:
    verdict = worth_keeping(used(80, 4000, 12))
    assert not verdict.keep
    assert verdict.why == "not kept: 12 of 4,000 prompt tokens were reused"


def test_state_that_is_reused_is_kept() -> None:
    verdict = worth_keeping(used(80, 4000, 3000), prefill_rate=100.0)
    assert verdict.keep
    assert "3,000 of 4,000" in verdict.why


def test_a_machine_that_reads_fast_need_not_remember() -> None:
    assert not worth_keeping(used(80, 4000, 3000), prefill_rate=50_000.0).keep


def test_it_is_tried_again_and_comes_back_if_callers_do() -> None:
    verdicts = [worth_keeping(used(n, 4000, 0)).keep for n in range(2 * TRIED_AGAIN_EVERY)]
    assert verdicts.count(True) == 2 * ENOUGH_PROMPTS
    assert verdicts[TRIED_AGAIN_EVERY]
    assert worth_keeping(used(TRIED_AGAIN_EVERY + ENOUGH_PROMPTS, 4000, 1000)).keep
