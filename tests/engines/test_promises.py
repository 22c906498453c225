"""Who is told to come again, and does: simulated, with no clock but the events'."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from noibo.engines.engine import Model
from noibo.engines.supervision.claim import Claim, Priority, Standing
from noibo.engines.supervision.line import Line
from noibo.engines.supervision.promises import LATE_S, Again, Promises
from noibo.engines.supervision.ticket import Ticket
from noibo.engines.supervision.times import Times, wait_s

MODEL = Model("m", "echo")


def claim(caller: str, priority: Priority = Priority.INTERACTIVE) -> Claim:
    return Claim(MODEL, caller, priority)


def ticket(caller: str) -> Ticket:
    return Ticket(claim(caller), lambda one: Standing(1, None, "queue"))


@dataclass
class Server:
    """Slots, a line and promises, and callers who come as they are told."""

    slots: int
    longest: int
    mean_s: float
    rng: random.Random
    returning: bool = True
    now: float = 0.0
    refused_again: int = 0  # of those who were promised a place
    told_longer: int = 0
    came_again: int = 0
    told_last: dict[str, float] = field(default_factory=dict)
    told: list[float] = field(default_factory=list)
    admitted: list[float] = field(default_factory=list)
    answered: int = 0

    def __post_init__(self) -> None:
        self.line, self.promises = Line(self.longest), Promises(self.longest)
        self.answering: dict[Ticket, float] = {}
        self.times = Times()
        self.numbers = itertools.count()
        self.events: list[tuple[float, int, str, Any]] = []

    def at(self, when: float, what: str, whom: Any) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), what, whom))

    def run(self, rate: float, until: float) -> None:
        self.at(0.0, "new", None)
        while self.events and self.events[0][0] < until:
            self.now, _, what, whom = heapq.heappop(self.events)
            if what == "new":
                self.at(self.now + self.rng.expovariate(rate), "new", None)
                self.come(f"caller {next(self.numbers)}", again=False)
            elif what == "again":
                caller, kept = whom
                self.come(caller, again=kept)
            else:
                assert isinstance(whom, Ticket)
                self.end(whom)

    def come(self, caller: str, *, again: bool) -> None:
        self.came_again += again
        if len(self.answering) < self.slots and not self.line.waiting("m"):
            self.grant(ticket(caller))
        elif self.promises.admits(claim(caller), self.line, self.now):
            self.admitted.append(self.now)
            self.line.add(ticket(caller))
        else:
            self.refused_again += again
            ran = [self.now - began for began in self.answering.values()]
            free_s = wait_s(1, self.slots, ran, self.times.answer_s("m"))
            pace_s = (self.times.usual_s("m", ran) or self.mean_s) / self.slots
            found = self.promises.make(claim(caller), self.line, self.now, free_s, pace_s)
            self.told.append(found.in_s)
            self.told_longer += again and found.in_s > self.told_last[caller]
            self.told_last[caller] = found.in_s
            if self.returning:
                wait = max(math.ceil(found.in_s), 1)
                self.at(self.now + wait, "again", (caller, found.kept))

    def grant(self, one: Ticket) -> None:
        self.answering[one] = self.now
        self.line.took(one)
        self.at(self.now + self.rng.expovariate(1 / self.mean_s), "end", one)

    def end(self, one: Ticket) -> None:
        self.times.answered("m", self.now - self.answering.pop(one))
        self.line.gave_back(one)
        self.answered += 1
        if following := self.line.next("m"):
            self.line.remove(following)
            self.grant(following)


@pytest.mark.parametrize(("slots", "longest", "mean_s"), [(4, 64, 1.0), (1, 16, 3.0), (8, 512, 1)])
def test_who_comes_as_it_was_told_finds_a_place(slots: int, longest: int, mean_s: float) -> None:
    server = Server(slots, longest, mean_s, random.Random(4))
    crowd = 3 * longest  # who ask until they are answered
    for number in range(crowd):
        server.at(number * 0.01, "again", (f"caller {number}", False))
    server.run(rate=1e-9, until=1e6)
    assert server.answered >= crowd
    assert server.came_again >= longest
    assert server.refused_again / server.came_again < 0.2  # it guessed from its first answers
    assert server.told_longer / server.came_again < 0.02


def test_at_ten_times_the_capacity_who_comes_as_told_is_admitted() -> None:
    server = Server(slots=4, longest=64, mean_s=1.0, rng=random.Random(5))
    server.run(rate=40.0, until=300.0)
    due = server.came_again
    assert due > 300
    assert server.refused_again / due < 0.1
    assert server.told_longer / due < 0.02
    assert server.answered > 0.9 * 4 * 300  # no slot stood free for a promise


def test_promises_that_nobody_claims_hold_up_nobody() -> None:
    server = Server(slots=4, longest=64, mean_s=1.0, rng=random.Random(6), returning=False)
    server.run(rate=40.0, until=300.0)
    assert server.answered > 0.9 * 4 * 300
    assert max(server.told) < 3 * 64 / 4 * 2  # the line behind the line, and one behind that
    assert len(server.promises) <= 64


def test_each_is_told_another_moment() -> None:
    promises, line = Promises(8), Line(8)
    for number in range(8):
        line.add(ticket(f"caller {number}"))
    assert not promises.admits(claim("a"), line, now=0.0)
    told = [
        promises.make(claim(f"late {n}"), line, 0.0, free_s=2.0, pace_s=1.0).in_s for n in range(3)
    ]
    assert told == [4.0, 6.0, 7.0]  # first two places fall free; in whole seconds


def test_a_promise_is_kept_against_who_comes_for_the_first_time_and_lapses() -> None:
    promises, line = Promises(8), Line(8)
    waiting = [ticket(f"caller {number}") for number in range(8)]
    for one in waiting:
        line.add(one)
    line.remove(waiting[0])
    promises.make(claim("told"), line, 0.0, free_s=2.0, pace_s=0.0)
    assert not promises.admits(claim("new"), line, now=1.9)
    assert not promises.admits(claim("told"), line, now=1.9)  # it is early
    assert promises.admits(claim("told"), line, now=2.5)
    assert promises.admits(claim("new"), line, now=2.5)  # nothing is promised any more
    promises.make(claim("told"), line, 3.0, free_s=2.0, pace_s=0.0)
    assert not promises.admits(claim("new"), line, now=5.5)
    assert promises.admits(claim("new"), line, now=5.5 + LATE_S)


def test_one_caller_gets_half_of_the_promises() -> None:
    promises, line = Promises(8), Line(8)
    for _ in range(100):
        promises.make(claim("greedy"), line, 0.0, free_s=1.0, pace_s=1.0)
    assert len(promises) == 4
    promises.make(claim("other"), line, 0.0, free_s=1.0, pace_s=1.0)
    assert len(promises) == 5


def test_who_came_in_time_in_vain_is_told_the_next_place() -> None:
    promises, line = Promises(4), Line(4)
    for number in range(4):
        line.add(ticket(f"caller {number}"))
    for caller in ("a", "b", "c"):
        promises.make(claim(caller), line, 0.0, free_s=1.0, pace_s=0.0)
    assert not promises.admits(claim("a"), line, now=2.0)
    assert promises.make(claim("a"), line, 2.0, free_s=0.5, pace_s=10.0) == Again(1.0, kept=True)


def test_what_can_wait_is_let_in_while_half_of_the_line_is_free() -> None:
    promises, line = Promises(8), Line(8)
    patient = claim("patient", Priority.BATCH)
    for number in range(4):
        assert promises.admits(patient, line, now=0.0)
        line.add(ticket(f"caller {number}"))
    assert not promises.admits(patient, line, now=0.0)
    assert promises.admits(claim("a"), line, now=0.0)
    assert not promises.make(patient, line, 0.0, free_s=1.0, pace_s=1.0).kept
