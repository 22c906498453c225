"""What to do about what goes wrong, in the words of who writes a program with a model in it. Pure.

The server's errors name commands; here the calls and variables of `noibo.llm_service` come to them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from noibo.errors import (
    ContextExceeded,
    EngineUnusable,
    NoiboError,
    NoRoom,
    OutOfMemory,
    WorkerDied,
    WorkerStartFailed,
)

_LESS_MEMORY: Final = (
    "In a program that is out of memory: take fewer bits "
    "(`llm_service.optimize_for_gpu(load_in_4bit=True)`), a smaller "
    "model (`noibo llm setup MODEL`), a shorter context (MAX_LENGTH), or give back what has grown "
    "(`llm_service.clear_gpu_cache()`)."
)
# The first kind that fits an error; a kind of an error stands before what it is a kind of.
_STEPS: Final[Mapping[type[NoiboError], str]] = {
    OutOfMemory: _LESS_MEMORY,
    NoRoom: _LESS_MEMORY,
    ContextExceeded: "In a program: give fewer passages as context, ask for less (max_tokens), or "
    "raise MAX_LENGTH.",
    WorkerStartFailed: "`noibo llm test` says what the model can do here.",
    EngineUnusable: "`noibo llm test` says whether the new build does.",
    WorkerDied: "If it dies again: fewer bits (`llm_service.optimize_for_gpu(load_in_4bit=True)`), "
    "or `noibo llm test`.",
}
SLOW: Final = 5.0  # tokens a second: slower than one reads
SPARE: Final = 0.1  # of what the worker holds should be free


@contextlib.contextmanager
def advised() -> Iterator[None]:
    """Errors that pass through here say what a program can do about them."""
    try:
        yield
    except NoiboError as error:
        step = next((said for kind, said in _STEPS.items() if isinstance(error, kind)), "")
        if step and step not in error.next_step:
            error.next_step = f"{error.next_step} {step}".strip()
        raise


def hints(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What could be better about a model that runs, by `get_model_info`."""
    said = []
    if info["gpu_unused"]:
        said.append(info["gpu_unused"])
    rate = info["tokens_per_second"]
    if 0 < rate < SLOW:
        said.append(
            f"{rate:.1f} tokens a second is slow: fewer bits (LOAD_IN_4BIT=true), a smaller model "
            "(`noibo llm setup MODEL`), a smaller max_tokens; or a GPU."
        )
    if info["loaded"] and info["ram_available"] < SPARE * info["memory_allocated"]:
        said.append(
            "Hardly any memory is left: close something, take fewer bits (LOAD_IN_4BIT=true), or a "
            "shorter context (MAX_LENGTH)."
        )
    if info["note"]:
        said.append(info["note"])
    return tuple(said)
