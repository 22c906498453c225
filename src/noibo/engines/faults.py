"""Why a worker ended: its exit code and last words, read once, in one place.

Pure. What is decided by it: whether the same start can be tried again as it is (something outside
ended the process), smaller (memory), elsewhere (the build cannot run here), or not at all.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    """What it was."""

    REFUSED = "refused"  # it said no and ended by itself: the file, a setting
    KILLED = "killed"  # something outside ended it
    CRASHED = "crashed"  # it ended itself by a fault
    OUT_OF_MEMORY = "out_of_memory"
    ILLEGAL_INSTRUCTION = "illegal_instruction"
    STALLED = "stalled"  # it did nothing and was ended for it


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a worker ended. `text` goes on after "the worker …"."""

    kind: Kind
    text: str


# What llama.cpp, the C++ library, Python and CUDA say when memory is short.
_NO_MEMORY: Final = re.compile(
    r"bad_alloc|MemoryError|out of memory|insufficient memory|cannot allocate memory"
    r"|failed to allocate|unable to allocate|not enough (memory|space)|alloc\w* failed"
    r"|ENOMEM",
    re.IGNORECASE,
)
_NAMED: Final = {
    signal.SIGTERM: Kind.KILLED,
    signal.SIGINT: Kind.KILLED,
    getattr(signal, "SIGKILL", signal.SIGTERM): Kind.KILLED,
    getattr(signal, "SIGHUP", signal.SIGTERM): Kind.KILLED,
    signal.SIGILL: Kind.ILLEGAL_INSTRUCTION,
}


def diagnose(code: int, log: Sequence[str], *, kernel_was_short: bool = False) -> Fault:
    """Read an exit code and the last lines of the log. `kernel_was_short`: the system has killed
    a process for want of memory while this one ran."""
    short = any(_NO_MEMORY.search(line) for line in log)
    if code >= 0:
        kind = Kind.OUT_OF_MEMORY if short else Kind.REFUSED
        return Fault(kind, f"ended with exit code {code}{_for_memory(short)}")
    try:
        which = signal.Signals(-code)
    except ValueError:
        return Fault(Kind.CRASHED, f"was ended by signal {-code}")
    kind = _NAMED.get(which, Kind.CRASHED)
    if kind is Kind.ILLEGAL_INSTRUCTION:
        return Fault(kind, "was ended by SIGILL, an illegal instruction")
    if kind is Kind.KILLED and kernel_was_short and which is not signal.SIGTERM:
        return Fault(Kind.OUT_OF_MEMORY, f"was ended by {which.name}: the system was out of memory")
    if short and kind is Kind.CRASHED:
        return Fault(Kind.OUT_OF_MEMORY, f"was ended by {which.name}{_for_memory(short)}")
    return Fault(kind, f"was ended by {which.name}")


def _for_memory(short: bool) -> str:
    return ", for want of memory" if short else ""


def kernel_kills() -> int:
    """How many processes this system has killed for want of memory since it started (Linux)."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:  # noqa: PTH123 - not a path of ours
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    except (OSError, ValueError):
        pass
    return 0
