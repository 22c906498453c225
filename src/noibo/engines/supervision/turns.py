"""Which model gives way to which, and when. Pure: values in, a decision out.

Where memory has room for one of two models that are both asked for, changing at every request
wastes all the time on loading. So a model that has been loaded has its turn: as long as it is
busy it may go on for several times what the change costs, and the requests for the other gather
meanwhile and are served together. And a model that has just fallen idle is left in peace for a
moment: its caller may be about to ask again (anticipatory scheduling, Iyer and Druschel 2001). Once
its turn is over it takes no new request, finishes what it has, and goes. Nobody waits longer than
the other's turn, its longest answer and one load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from noibo.engines.supervision.claim import Priority

TURN: Final = 4.0  # times the cost of a change and a change back: at most a fifth is spent loading
LEAST_TURN_S: Final = 2.0
MOST_TURN_S: Final = 60.0
LINGER: Final = 0.5  # of the cost of loading it again
MOST_LINGER_S: Final = 2.0
PATIENT: Final = 10.0  # a batch request lets others go on for so many times longer


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that takes memory. Moments are of one clock; `idle_since` None: it is answering."""

    name: str
    bytes: int
    load_s: float
    ready_at: float
    used_at: float
    idle_since: float | None
    waiting: int = 0
    pinned: bool = False
    starting: bool = False
    leaving: bool = False  # it stops, or will when it has finished its answers


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model that requests wait for, since when, and how urgently."""

    name: str
    bytes: int
    load_s: float
    since: float
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do for a wanted model: start it now, or first `evict` and `drain`, or look again at
    `again_at`. `impossible`: the pinned models leave too little for it."""

    start: bool = False
    evict: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    again_at: float | None = None
    impossible: bool = False


def decide(wanted: Wanted, residents: Sequence[Resident], free: int, now: float) -> Decision:
    """How `wanted` gets its bytes, when `free` (it may be negative) are free now."""
    missing = wanted.bytes - free
    if missing <= 0:
        return Decision(start=True)
    if sum(one.bytes for one in residents if not one.pinned) < missing:
        return Decision(impossible=True)
    missing -= sum(one.bytes for one in residents if one.leaving)
    if missing <= 0:
        return Decision()  # it is on its way
    movable = sorted(
        (one for one in residents if not (one.pinned or one.starting or one.leaving)),
        key=lambda one: one.used_at,
    )
    if evict := _enough([one for one in movable if _may_go(one, wanted, now)], missing):
        return Decision(evict=evict)
    if drain := _enough([one for one in movable if due_at(one, wanted) <= now], missing):
        return Decision(drain=drain)
    moments = [at for one in movable for at in _moments(one, wanted) if at > now]
    return Decision(again_at=min(moments, default=None))


def due_at(resident: Resident, wanted: Wanted) -> float:
    """When a busy model must give way."""
    change = resident.load_s + wanted.load_s
    turn = min(max(TURN * change, LEAST_TURN_S), max(MOST_TURN_S, change))
    patience = change
    if wanted.priority is Priority.BATCH:
        turn, patience = turn * PATIENT, patience * PATIENT
    return max(resident.ready_at + turn, wanted.since + patience)


def _left_alone_until(resident: Resident, wanted: Wanted) -> float:
    """Until when an idle model is spared, since its caller may come back."""
    if resident.idle_since is None or resident.waiting:
        return math.inf
    linger = min(LINGER * resident.load_s, MOST_LINGER_S)
    if wanted.priority is Priority.BATCH:
        linger *= PATIENT
    return resident.idle_since + linger


def _moments(resident: Resident, wanted: Wanted) -> tuple[float, float]:
    return due_at(resident, wanted), _left_alone_until(resident, wanted)


def _may_go(resident: Resident, wanted: Wanted, now: float) -> bool:
    """Idle, and either left alone long enough or its turn is over."""
    return resident.idle_since is not None and min(_moments(resident, wanted)) <= now


def _enough(candidates: Sequence[Resident], missing: int) -> tuple[str, ...]:
    """The first of them that add up to `missing`, without those that turn out not to be needed."""
    chosen: list[Resident] = []
    for one in candidates:
        if sum(each.bytes for each in chosen) < missing:
            chosen.append(one)
    if sum(each.bytes for each in chosen) < missing:
        return ()
    for one in list(chosen):
        if sum(each.bytes for each in chosen) - one.bytes >= missing:
            chosen.remove(one)
    return tuple(one.name for one in chosen)
