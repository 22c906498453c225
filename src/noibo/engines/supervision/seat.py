"""One model that runs, starts, stops, or is waited for."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from noibo.engines.engine import Model
from noibo.engines.supervision.plan import Plan
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.supervision.turns import Resident
from noibo.engines.worker import State, Worker
from noibo.errors import NoiboError


@dataclass(slots=True, eq=False)
class Seat:
    """What the supervisor knows of one model. Moments are of the monotonic clock."""

    model: Model
    pinned: bool
    keep_alive: float  # as it is set, or as a request said for as long as its worker runs
    worker: Worker | None = None
    plan: Plan | None = None
    rung: int = 0  # of the plan: the one that runs, or the largest worth trying
    task: asyncio.Task[None] | None = None  # it is planned, started or stopped
    bytes: int = 0  # reserved for it
    ready_at: float = 0.0
    used_at: float = 0.0
    idle_since: float | None = None
    leaving: bool = False  # takes no new request, and goes when it has none
    crashed: bool = False  # its last worker was ended from outside while it started
    error: NoiboError | None = None  # why it cannot be planned
    cramped: int | None = None  # the moment of the planner when no GPU had room for it
    answering: dict[Ticket, float] = field(default_factory=dict)
    most_callers: int = 0
    gave_back: int = 0  # bytes of its last worker, until the machine is measured again
    short_since: float | None = None  # the machine, not the budget, has too little left for it
    usual_keep_alive: float = field(init=False)

    def __post_init__(self) -> None:
        self.usual_keep_alive = self.keep_alive

    @property
    def name(self) -> str:
        return self.model.seat

    @property
    def ready(self) -> Worker | None:
        """Its worker, if that takes requests."""
        worker = self.worker
        if worker is None or self.leaving or self.task is not None:
            return None
        return worker if worker.serves else None

    def empty(self) -> None:
        """Its worker is gone, and what that held is free."""
        if self.worker is not None:
            self.gave_back += max(self.worker.held_bytes - self.worker.mapped_bytes, 0)
        self.worker, self.bytes, self.leaving, self.idle_since = None, 0, False, None
        self.answering.clear()
        self.keep_alive = self.usual_keep_alive

    @property
    def plain(self) -> bool:
        """Nothing is known of it that a new seat would not know."""
        learned = self.pinned or self.rung or self.crashed or self.gave_back
        return not (self.worker or self.task or learned)

    @property
    def stays(self) -> bool:
        """It does not make room for others."""
        return self.pinned and not self.leaving

    @property
    def keep_until(self) -> float:
        """When it has been idle for long enough."""
        return math.inf if self.idle_since is None else self.idle_since + self.keep_alive

    def resident(self, waiting: int, load_s: float) -> Resident:
        """As the pure decision about turns sees it."""
        running = self.worker is not None and self.worker.state is State.READY
        return Resident(
            name=self.name,
            bytes=self.bytes,
            load_s=load_s,
            ready_at=self.ready_at,
            used_at=self.used_at,
            idle_since=self.idle_since,
            waiting=waiting,
            pinned=self.stays,
            starting=self.task is not None and not self.leaving and not running,
            leaving=self.leaving,
        )
