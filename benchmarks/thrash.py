"""Two models that are both asked for in memory for one: turns against a change at every request.

Aim: 0.6 of the ideal (all of one, then the other), and always more than the naive way.

Three loads: two callers, each with a model of its own; eight callers on both; and bursts. Three
ways: `turns` is noibo's; `naive` gives way as soon as another model is asked for, as least recently
used says; `ideal` is asked for one model in the first half of the time and for the other in the
second. Each with echo, whose answers take no processor, and with SmolLM2 twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import msgspec

from benchmarks.measuring import MODEL, table
from benchmarks.measuring import settings as stored
from noibo import settings
from noibo.assembly import open_lookup, open_puller
from noibo.engines.echo import Echo
from noibo.engines.engine import Model
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.book import Book
from noibo.engines.supervision import turns
from noibo.engines.supervision.claim import Claim
from noibo.engines.supervision.supervisor import Supervisor
from noibo.engines.tuning import Tuning
from noibo.engines.upstream import Upstream, new_session
from noibo.wire.openai import Fields

ECHO_S, REAL_S = 30.0, 45.0
TOKENS = 24
NUMBERS = itertools.count()


class CountedEcho(Echo):
    """Echo, and how often it was started."""

    loads = 0

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        self.loads += 1  # it is asked once by each worker that has started
        return super().placed(log)


class CountedLlama(LlamaCpp):
    """llama.cpp, and how often it was started."""

    loads = 0

    def placed(self, log: Sequence[str]) -> Mapping[str, Any]:
        self.loads += 1  # it is asked once by each worker that has started
        return super().placed(log)


@dataclass(slots=True)
class Run:
    """What one load brought in its time. `waits` are seconds until a worker was there."""

    seconds: float
    answers: int = 0
    loads: int = 0
    waits: list[float] = field(default_factory=list)

    def row(self) -> dict[str, float]:
        return {
            "answers_per_s": self.answers / self.seconds,
            "loads_per_100": 100 * self.loads / max(self.answers, 1),
            "longest_wait_s": max(self.waits),
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models of which the budget holds one, how to ask them, and for how long."""

    kind: str
    models: tuple[Model, Model]
    budget: str
    seconds: float
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Which model it asks next, 0 or 1, for ever, with its pauses. `either`: it would as well ask
    the other."""

    asks: Callable[[], AsyncIterator[int]]
    either: bool = False


class Bench:
    """One supervisor with a pair of models."""

    def __init__(self, pair: Pair, folder: Path, session: aiohttp.ClientSession) -> None:
        self.pair = pair
        self._session = session
        self._engine = CountedEcho() if pair.kind == "echo" else CountedLlama()
        tree = settings.Settings(
            home=folder,
            engine=settings.Engine(parallel=4, ctx_size=512),
            memory=settings.Memory(budget=pair.budget, conversations="0"),
        )
        tuning, book = Tuning(folder / "tuning.json"), Book(folder / "measured.json")
        self._supervisor = Supervisor({self._engine.name: self._engine}, tree, tuning, book)

    async def ask(self, run: Run, model: Model) -> None:
        """One answer, heard to its end."""
        prompt = f"Question {next(NUMBERS)}: how does a rainbow come about?\nAnswer:"
        asked = {"prompt": prompt, "stream": True, **self.pair.fields}
        fields: Fields = {name: msgspec.Raw(msgspec.json.encode(v)) for name, v in asked.items()}
        began = time.monotonic()
        async with self._supervisor.lease(Claim(model)) as worker:
            run.waits.append(time.monotonic() - began)
            upstream = Upstream(worker, self._session)
            async with upstream.generate("/v1/completions", fields) as response:
                assert response.status == 200
                await response.read()
        run.answers += 1

    async def run(self, callers: Sequence[Caller], *, ideal: bool) -> Run:
        """All callers at the same time, until the time is over."""
        run = Run(self.pair.seconds)
        loads = self._engine.loads
        began = time.monotonic()

        def passed() -> float:
            return (time.monotonic() - began) / self.pair.seconds

        def half() -> int:
            return int(passed() > 0.5)

        async def call(caller: Caller) -> None:
            async for wanted in caller.asks():
                which = half() if ideal and caller.either else wanted
                while ideal and which > half():
                    await asyncio.sleep(0.02)
                if passed() > 1 or (ideal and which < half()):
                    return
                await self.ask(run, self.pair.models[which])

        await asyncio.gather(*(call(caller) for caller in callers))
        run.seconds = time.monotonic() - began
        run.loads = self._engine.loads - loads
        return run

    async def close(self) -> None:
        await self._supervisor.close()


def closed(which: int) -> Caller:
    """Asks one model, again and again."""

    async def asks() -> AsyncIterator[int]:
        while True:
            yield which

    return Caller(asks)


def bursts(seed: int) -> Caller:
    """A few requests for one model with short pauses, then a longer pause."""

    async def asks() -> AsyncIterator[int]:
        rng = random.Random(seed)
        while True:
            which = rng.randrange(2)
            for _ in range(rng.randint(1, 6)):
                yield which
                await asyncio.sleep(rng.uniform(0, 0.3))
            await asyncio.sleep(rng.uniform(0.5, 2))

    return Caller(asks, either=True)


# Each is gone through once a run.
LOADS: dict[str, list[Caller]] = {
    "two callers": [closed(0), closed(1)],
    "eight callers": [closed(i % 2) for i in range(8)],
    "bursts": [bursts(seed) for seed in range(6)],
}


@contextlib.contextmanager
def naive() -> Iterator[None]:
    """A model gives way as soon as another is asked for, and has finished its answers."""
    with (
        mock.patch.object(turns, "due_at", lambda resident, wanted: resident.ready_at),
        mock.patch.object(turns, "_left_alone_until", lambda resident, wanted: resident.ready_at),
    ):
        yield


WAYS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "turns": contextlib.nullcontext,
    "naive": naive,
    "ideal": contextlib.nullcontext,
}


def echo_pair() -> Pair:
    """Loads of about a second, answers of half of one."""
    options = {"need_mib": 200, "eats_mib": 160, "start_delay_s": 0.5, "delay_ms": 40}
    first, second = (Model(name, "echo", options=options) for name in ("a", "b"))
    return Pair("echo", (first, second), "300MiB", ECHO_S, {"max_tokens": 10})


async def real_pair() -> Pair:
    """The same file under two names."""
    tree = stored()
    open_puller(tree).pull(MODEL)
    model = await open_lookup(tree).resolve(MODEL)
    pair = (replace(model, name="a"), replace(model, name="b"))
    fields = {"max_tokens": TOKENS, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
    return Pair("SmolLM2", pair, "350MiB", REAL_S, fields)


async def measure(pair: Pair, load: str) -> list[dict[str, Any]]:
    """One load in all three ways, each with a supervisor that has loaded both models before."""
    rows = []
    for way, policy in WAYS.items():
        with tempfile.TemporaryDirectory() as folder, policy():
            async with new_session() as session:
                bench = Bench(pair, Path(folder), session)
                for model in reversed(pair.models):  # so that it knows what a load takes
                    await bench.ask(Run(1.0), model)
                ran = await bench.run(LOADS[load], ideal=way == "ideal")
                await bench.close()
        rows.append({"load": load, "model": pair.kind, "way": way, **ran.row()})
    for row in rows:
        row["of_naive"] = row["answers_per_s"] / rows[1]["answers_per_s"]
        row["of_ideal"] = row["answers_per_s"] / rows[2]["answers_per_s"]
    return rows


async def measure_all() -> list[dict[str, Any]]:
    pairs = [echo_pair(), await real_pair()]
    return [row for pair in pairs for load in LOADS for row in await measure(pair, load)]


def run() -> list[dict[str, Any]]:
    results = asyncio.run(measure_all())
    table([list(results[0]), *(list(row.values()) for row in results)])
    return results
