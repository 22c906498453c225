"""Callers go on asking until the last answer that counts has come, and nothing of that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pytest

from noibo.evaluation.answer import Answer, Failure, Kind
from noibo.evaluation.calling import Line, Question
from noibo.evaluation.load import Bench, Callers
from noibo.evaluation.rounds import Plan, Round
from noibo.evaluation.sides import Side
from tests.evaluation.made import answer, failure

pytestmark = pytest.mark.anyio

SLOW = 2  # the number of the last request that counts
STEP = 1 / 64  # what an answer takes, by the clock here: sums of it are exact
BY_REQUESTS = Plan((2,), requests=3)
BY_SECONDS = Plan((2,), seconds=STEP)


class Clocked(Bench):
    """A bench whose time goes on when it is told to."""

    at = 1.0

    def now(self) -> float:
        return self.at


@dataclass
class Server:
    """Two callers ask it: the first two requests are answered at once, the third when `ready`, and
    those that come after it as `later` says: "at once", "in time" or "never"."""

    bench: Clocked
    ready: Callable[[Server], bool]
    later: str = "at once"
    last: Answer | Failure | None = None
    asked: int = 0
    ended: int = 0
    left: int = 0

    async def ask(self, _: Question) -> Answer | Failure:
        number, self.asked = self.asked, self.asked + 1
        try:
            await self._wait(number)
        except asyncio.CancelledError:
            self.left += 1
            raise
        if number < SLOW or self.later == "in time":
            self.bench.at += STEP
        self.ended += 1
        got = answer(self.bench.at, every=STEP / 10)
        return self.last or got if number == SLOW else got

    async def _wait(self, number: int) -> None:
        await asyncio.sleep(0)
        if number > SLOW and self.later == "never":
            await asyncio.Event().wait()
        while number == SLOW and not self.ready(self):
            await asyncio.sleep(0)


def clocked(plan: Plan) -> Clocked:
    side = Side("a", "http://127.0.0.1:1/v1", "m")
    return Clocked([side], plan, lambda progress: None)


async def heard(server: Server) -> Round:
    """The round of two callers."""
    standing, one = server.bench.standings[0], Round(1)
    cell = standing.cells[2]
    cell.rounds.append(one)
    async with asyncio.timeout(20):
        await Callers(server.bench, standing, cell, one, cast(Line, server)).run()
    return one


@pytest.mark.parametrize("plan", [BY_REQUESTS, BY_SECONDS])
async def test_they_go_on_until_the_last_that_counts_has_come(plan: Plan) -> None:
    server = Server(clocked(plan), lambda server: server.ended >= 6)
    one = await heard(server)
    assert one.whole
    assert len(one.answers) == 3
    assert one.seconds == pytest.approx(2 * STEP)
    assert server.asked == server.ended > 6  # and the server is idle


async def test_one_that_takes_for_ever_keeps_nobody_asking() -> None:
    turns = iter(range(1000))
    server = Server(clocked(BY_REQUESTS), lambda _: next(turns) > 500, later="in time")
    one = await heard(server)
    assert len(one.answers) == 3
    assert server.asked == 3 + 2  # as long as it had taken until then


async def test_what_does_not_count_and_never_ends_is_left() -> None:
    server = Server(clocked(BY_REQUESTS), lambda server: server.asked > 3, later="never")
    one = await heard(server)
    assert one.whole
    assert len(one.answers) == 3
    assert (server.asked, server.left) == (4, 1)


async def test_who_gives_up_asks_no_more() -> None:
    lost = failure(Kind.UNREACHABLE)
    server = Server(clocked(BY_REQUESTS), lambda server: server.asked > 3, "never", lost)
    one = await heard(server)
    assert not one.whole
    assert one.failures == [lost]
    assert (server.asked, server.left) == (4, 1)


async def test_whoever_stops_it_stops_them_all() -> None:
    server = Server(clocked(BY_REQUESTS), lambda _: False)
    running = asyncio.create_task(heard(server))
    async with asyncio.timeout(20):
        while server.asked < 6:
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert server.asked == server.ended + server.left
    assert not server.bench.standings[0].cells[2].rounds[0].whole
