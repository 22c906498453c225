"""Callers who ask without a pause, each answer checked to the last letter."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import aiohttp

from tests.chaos.call import LOST, Call, End, Outcome, as_grammar, ask, words

BREATH_S = 0.1  # after a failure


@dataclass(frozen=True, slots=True)
class Mix:
    """What the callers ask: models in equal shares, answers of so many words and so slow."""

    models: tuple[str, ...]
    most_words: int = 30
    delay_ms: int = 25
    leaves: float = 0.0  # the share of streams whose caller hangs up
    batch: float = 0.0
    real: frozenset[str] = frozenset()  # models that are not echo
    patience_s: float = 60.0

    def call(self, rng: random.Random, number: int) -> Call:
        model = rng.choice(self.models)
        streamed = rng.random() < 0.7
        text = words(rng, number, self.most_words if model not in self.real else 2)
        script = {"delay_ms": rng.randint(0, self.delay_ms), "prefill_ms": rng.choice((0, 0, 80))}
        more: dict[str, Any] = as_grammar(text) if model in self.real else {"x_echo": script}
        leaves = streamed and rng.random() < self.leaves
        return Call(
            model,
            text,
            streamed=streamed,
            chat=rng.random() < 0.7,
            batch=rng.random() < self.batch,
            leaves_after=rng.randint(1, 2) if leaves else None,
            more=more,
        )


class Load:
    """So many callers on a server at `url`, which may change; `outcomes` of all they asked."""

    def __init__(self, url: str, mix: Mix, callers: int = 8, seed: int = 4) -> None:
        self.url = url
        self.outcomes: list[Outcome] = []
        self.mix = mix
        self._callers = callers
        self._rng = random.Random(seed)
        self._numbers = itertools.count(1)
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self._tasks = [asyncio.create_task(self._call(i)) for i in range(self._callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nobody asks any more; what is under way is heard to its end."""
        self._over = True
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self._session.close()

    async def _call(self, which: int) -> None:
        while not self._over:
            call = self.mix.call(self._rng, next(self._numbers))
            outcome = await self.ask(replace(call, key=f"caller {which}"))
            if outcome.end not in {End.ANSWERED, End.LEFT}:
                await asyncio.sleep(BREATH_S)

    async def ask(self, call: Call) -> Outcome:
        """One more request, beside those of the callers."""
        outcome = await ask(self._session, self.url, call, self.mix.patience_s)
        self.outcomes.append(outcome)
        return outcome

    def answered_by(self, model: str) -> int:
        """How many answers a model has given so far."""
        return sum(o.end is End.ANSWERED and o.call.model == model for o in self.outcomes)

    async def until_answered(self, models: Sequence[str], more: int = 1) -> None:
        """Wait until each of these models has given so many more answers."""
        goals = {model: self.answered_by(model) + more for model in models}
        async with asyncio.timeout(60):
            while any(self.answered_by(model) < goal for model, goal in goals.items()):
                await asyncio.sleep(0.02)

    def count(self) -> Counter[End]:
        return Counter(outcome.end for outcome in self.outcomes)

    def of(self, *ends: End) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.end in ends]

    def bad(self) -> list[Outcome]:
        """Lost, mixed up, doubled: what must never be."""
        return self.of(End.WRONG, *LOST)
