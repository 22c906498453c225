"""One run of `noibo bench`: who is measured, and what becomes of it when it ends early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from noibo.cli.note import Note
from noibo.evaluation.load import Bench
from noibo.evaluation.ours import Ours, our_sides, with_prices
from noibo.evaluation.rounds import Plan
from noibo.evaluation.sides import Side
from noibo.evaluation.theirs import error_of, found
from noibo.settings import Settings


class Run:
    """One bench on an event loop of its own, which Ctrl-C ends and what was measured outlives."""

    def __init__(
        self, tree: Settings, models: Sequence[str], others: Sequence[Side], plan: Plan
    ) -> None:
        self.bench: Bench | None = None
        self._tree = tree
        self._models = models
        self._others = others
        self._plan = plan
        self._note = Note()

    def go(self) -> bool:
        """Measure; whether it was stopped before the end."""
        try:
            with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
                runner.run(self._measure())
        except KeyboardInterrupt:
            return True
        finally:
            self._note.clear()
        return False

    async def _measure(self) -> None:
        from noibo.client import AsyncClient

        others = [await found(side) for side in self._others]
        if not self._models:
            await self._all_rounds(others)
            return
        from noibo.assembly import open_prices
        from noibo.cli.background import connect_or_start

        prices = open_prices(self._tree)
        with await asyncio.to_thread(connect_or_start, self._tree) as client:
            async with AsyncClient(client.base_url) as asked:
                host = Ours(asked)
                sides = await asyncio.to_thread(our_sides, client, self._models, host)
                sides = [with_prices(side, self._tree.models, prices) for side in sides]
                await self._all_rounds([*sides, *others])

    async def _all_rounds(self, sides: Sequence[Side]) -> None:
        self.bench = Bench(_told_apart(sides), self._plan, lambda now: self._note(str(now)))
        await self.bench.warm_up()
        self.raise_what_failed()  # nothing is measured yet: better now than after all rounds
        await self.bench.measure()

    def raise_what_failed(self) -> None:
        """The error of the first side that was asked no more, if there is one."""
        for standing in self.bench.standings if self.bench else ():
            if standing.out is not None:
                raise error_of(standing.side, standing.out)


def _told_apart(sides: Sequence[Side]) -> list[Side]:
    """Two sides of the same name get numbers."""
    names = [side.name for side in sides]
    return [
        replace(side, name=f"{side.name} #{names[:at].count(side.name) + 1}")
        if names.count(side.name) > 1
        else side
        for at, side in enumerate(sides)
    ]


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made
