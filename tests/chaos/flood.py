"""More requests than can be answered: they come at their own rate, whatever becomes of them.

Some callers ask now and then and one asks as much as all of them together; a few can wait. Who is
promised a place comes again when it was told to, once; the others do not.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import psutil

from tests.chaos.call import Call, End, Outcome, ask

GREEDY, BATCH = "greedy", "batch"
LOOKED_AT = ("/health", "/v1/models", "/noibo/v1/queue", "/noibo/v1/workers", "/metrics")
PROMISE = "a place is kept for you"
LATE_AT_MOST_S = 0.3  # after the moment that it was told

Ask = Callable[[int], Call]  # a request by its number


@dataclass(slots=True)
class Look:
    """What the server was like at a moment."""

    at: float
    rss_mib: float
    files: int
    took_s: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Flood:
    """Requests to a server at `url`, `rate` a second, for `seconds`; what became of them."""

    url: str
    pid: int
    make: Ask
    rate: float
    seconds: float
    seed: int = 4
    callers: int = 300
    greedy: float = 0.5  # of all requests
    batch: float = 0.1
    first: list[Outcome] = field(default_factory=list)
    again: list[tuple[Outcome, Outcome]] = field(default_factory=list)  # before and after
    looks: list[Look] = field(default_factory=list)
    began: float = 0.0

    async def run(self) -> Self:
        """Ask, look, and hear everything to its end."""
        self.began = time.monotonic()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=10)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            looking = asyncio.create_task(self._look(session))
            under_way: set[asyncio.Task[None]] = set()
            rng = random.Random(self.seed)
            at = self.began
            for number in itertools.count(1):
                at += rng.expovariate(self.rate)
                if at - self.began > self.seconds:
                    break
                await asyncio.sleep(max(at - time.monotonic(), 0))
                task = asyncio.create_task(self._one(session, self._call(rng, number)))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            looking.cancel()
            await asyncio.gather(*under_way, looking, return_exceptions=True)
        return self

    def _call(self, rng: random.Random, number: int) -> Call:
        call = self.make(number)
        chance = rng.random()
        if chance < self.batch:
            return _as(call, BATCH, batch=True)
        if chance < self.batch + self.greedy:
            return _as(call, GREEDY)
        return _as(call, f"caller {rng.randrange(self.callers)}")

    async def _one(self, session: aiohttp.ClientSession, call: Call) -> None:
        outcome = await ask(session, self.url, call, patience_s=self.seconds + 600)
        self.first.append(outcome)
        over = time.monotonic() - self.began > self.seconds
        if outcome.status == 429 and PROMISE in outcome.message and outcome.retry_after:
            if over or outcome.ended - self.began + outcome.retry_after > self.seconds:
                return
            await asyncio.sleep(outcome.retry_after + random.random() * LATE_AT_MOST_S)
            later = await ask(session, self.url, call, patience_s=self.seconds + 600)
            self.again.append((outcome, later))

    async def _look(self, session: aiohttp.ClientSession) -> None:
        process = psutil.Process(self.pid)
        while True:
            look = Look(
                time.monotonic() - self.began,
                process.memory_info().rss / 2**20,
                process.num_fds(),
            )
            for path in LOOKED_AT:
                began = time.monotonic()
                async with session.get(self.url + path) as response:
                    await response.read()
                    assert response.status == 200, (path, response.status)
                look.took_s[path] = time.monotonic() - began
            self.looks.append(look)
            await asyncio.sleep(1.0)


def _as(call: Call, key: str, *, batch: bool = False) -> Call:
    return Call(call.model, call.text, call.streamed, call.chat, key, batch, None, call.more)


@dataclass(frozen=True, slots=True)
class Found:
    """What a flood found. Times are in seconds, memory in MiB, thirds are of its time."""

    offered: int
    admitted: int
    refused: int
    lost: int
    lost_how: list[str]
    without_retry_after: int
    promised: int  # who came again as they were told …
    kept: int  # … and were admitted then, or told a shorter time
    admitted_then: int
    ttft_p50_s: tuple[float, float]  # first and last third
    ttft_p99_s: tuple[float, float]
    ttft_of_callers_s: tuple[float, float]  # the median of the best and of the worst served tenth
    answers_of_greedy: int
    answers_of_others: int
    answers_of_batch: int
    rss_mib: tuple[float, float, float]  # start, middle, end
    rss_halves_mib: tuple[float, float]  # the most in the first and in the second half
    files: tuple[int, int]  # at first, and the most
    looked_p99_s: float
    course: list[tuple[int, float, int]]  # each half minute: seconds, MiB, descriptors

    @classmethod
    def of(cls, flood: Flood) -> Found:
        outcomes = [*flood.first, *(later for _, later in flood.again)]
        answered = [one for one in outcomes if one.end is End.ANSWERED]
        refused = [one for one in outcomes if one.end is End.FAILED and one.status == 429]
        now = [one for one in answered if not one.call.batch and one.call.key != GREEDY]
        third = flood.seconds / 3
        early = [ttft(one) for one in now if one.began - flood.began < third]
        late = [ttft(one) for one in now if 2 * third < one.began - flood.began <= flood.seconds]
        pairs = [pair for pair in flood.again if pair[0].call.key != GREEDY]
        again = [later.end is End.ANSWERED for _, later in pairs]
        rss = [look.rss_mib for look in flood.looks]
        half = len(rss) // 2
        return cls(
            offered=len(outcomes),
            admitted=len(answered),
            refused=len(refused),
            lost=len(outcomes) - len(answered) - len(refused),
            lost_how=[
                f"{one.end.value} {one.status} {one.code} {one.message} after {one.took:.1f} s"
                for one in outcomes
                if one.end is not End.ANSWERED and one.status != 429
            ][:10],
            without_retry_after=sum(not one.retry_after for one in refused),
            promised=len(again),
            admitted_then=sum(again),
            kept=sum(_kept(*pair) for pair in pairs),
            ttft_p50_s=(_quantile(early, 0.5), _quantile(late, 0.5)),
            ttft_p99_s=(_quantile(early, 0.99), _quantile(late, 0.99)),
            ttft_of_callers_s=_spread(now),
            answers_of_greedy=sum(one.call.key == GREEDY for one in answered),
            answers_of_others=len(now),
            answers_of_batch=sum(one.call.batch for one in answered),
            rss_mib=(rss[0], rss[half], rss[-1]),
            rss_halves_mib=(max(rss[:half]), max(rss[half:])),
            files=(flood.looks[0].files, max(look.files for look in flood.looks)),
            course=[
                (round(look.at), look.rss_mib, look.files)
                for before, look in itertools.pairwise(flood.looks)
                if before.at // 30 < look.at // 30
            ],
            looked_p99_s=_quantile([s for one in flood.looks for s in one.took_s.values()], 0.99),
        )


def ttft(outcome: Outcome) -> float:
    """Seconds from the request to the first word of its answer."""
    return (outcome.first_at or outcome.ended) - outcome.began


def _kept(before: Outcome, later: Outcome) -> bool:
    shorter = (later.retry_after or 0) < (before.retry_after or 0)
    return later.end is End.ANSWERED or shorter


def _spread(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """The medians of callers: of the tenth that waits least, and of the tenth that waits most."""
    of: dict[str, list[float]] = {}
    for one in outcomes:
        of.setdefault(one.call.key, []).append(ttft(one))
    medians = [statistics.median(waits) for waits in of.values() if len(waits) >= 3]
    return _quantile(medians, 0.1), _quantile(medians, 0.9)


def _quantile(values: Sequence[float], which: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(which * len(ordered)), len(ordered) - 1)] if ordered else 0.0


async def capacity(url: str, make: Ask, callers: int, seconds: float) -> float:
    """Answers a second that so many callers get who ask without a pause. The first of each does not
    count: a worker that has just started is slower."""
    numbers = itertools.count(10**9)
    answered = 0

    async def one(session: aiohttp.ClientSession) -> None:
        outcome = await ask(session, url, make(next(numbers)))
        assert outcome.end is End.ANSWERED, outcome

    async def caller(session: aiohttp.ClientSession, until: float) -> None:
        nonlocal answered
        while time.monotonic() < until:
            await one(session)
            answered += 1

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(one(session) for _ in range(callers)))
        began = time.monotonic()
        await asyncio.gather(*(caller(session, began + seconds) for _ in range(callers)))
        return answered / (time.monotonic() - began)


def scripted(model: str, prefill_ms: int, delay_ms: int, words: int) -> Ask:
    """Requests that take as long as they are told to."""

    def make(number: int) -> Call:
        script: dict[str, Any] = {"x_echo": {"prefill_ms": prefill_ms, "delay_ms": delay_ms}}
        said = " ".join([f"<{number}>", *["word"] * words, f"</{number}>"])
        return Call(model, said, streamed=number % 4 != 0, more=script)

    return make
