"""What a request asks of the supervisor, and what it is told while it waits. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from noibo.engines.engine import Model

LOCAL = "local"  # the caller, where nobody says who it is
Why = Literal["queue", "loading", "memory"]


class Priority(IntEnum):
    """Who goes first: smaller before larger."""

    INTERACTIVE = 0
    BATCH = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """A request for a model: whose it is, how urgent, and how long the model stays afterwards.

    `keep_alive` is in seconds, infinity for ever; None: as it is set for the model. A claim that
    wants no answer only has the model loaded: it needs no slot.
    """

    model: Model
    caller: str = LOCAL
    priority: Priority = Priority.INTERACTIVE
    keep_alive: float | None = None
    answers: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a waiting request stands. `place` 1 is next; `expected_s` None: nobody knows yet.

    `why` it waits: all slots are taken (queue), the model is being loaded (loading), or another
    model has its turn in the memory first (memory).
    """

    place: int
    expected_s: float | None
    why: Why
