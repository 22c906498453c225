from __future__ import annotations

from typing import Any

import pytest

from noibo.errors import ContextExceeded, NoiboError, NoRoom, OutOfMemory, QueueFull, WorkerDied
from noibo.llm_service.advice import advised, hints

INFO = {
    "loaded": True,
    "gpu_unused": "",
    "tokens_per_second": 30.0,
    "ram_available": 8.0,
    "memory_allocated": 4.0,
    "note": "",
}


def through(error: NoiboError) -> NoiboError:
    with pytest.raises(type(error)) as caught, advised():
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (OutOfMemory("No memory."), "load_in_4bit=True"),
        (NoRoom("No room."), "clear_gpu_cache"),
        (WorkerDied("It died."), "noibo llm test"),
        (ContextExceeded(9, 8), "MAX_LENGTH"),
    ],
)
def test_an_error_says_what_a_program_can_do(error: NoiboError, step: str) -> None:
    message, code = error.message, error.code
    told = through(error)
    assert step in told.next_step
    assert (told.message, told.code) == (message, code)


def test_want_of_memory_is_what_torch_raises_for_it() -> None:
    for kind in (OutOfMemory, NoRoom):
        with pytest.raises(RuntimeError, match="out of memory"), advised():
            raise kind("No memory.")


def test_what_was_said_before_stays_and_nothing_is_said_twice() -> None:
    error = OutOfMemory("No memory.", next_step="`noibo ps` shows who has it.")
    once = through(error).next_step
    assert once.startswith("`noibo ps` shows who has it. ")
    assert through(error).next_step == once


def test_an_error_that_needs_no_more_is_left_alone() -> None:
    assert through(QueueFull("Full.", next_step="Wait.")).next_step == "Wait."


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        ({"gpu_unused": "There is an RTX 3060: `noibo engines install cuda`."}, "install cuda"),
        ({"tokens_per_second": 1.2}, "LOAD_IN_4BIT"),
        ({"ram_available": 0.1}, "MAX_LENGTH"),
        ({"note": "It has Q4_1."}, "Q4_1"),
    ],
)
def test_a_model_that_runs_badly_says_what_helps(seen: dict[str, Any], step: str) -> None:
    (hint,) = hints(INFO | seen)
    assert step in hint


def test_one_that_runs_well_or_has_not_answered_says_nothing() -> None:
    assert hints(INFO) == ()
    assert hints(INFO | {"tokens_per_second": 0.0}) == ()
