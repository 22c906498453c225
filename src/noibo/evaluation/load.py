"""Callers that ask again as soon as they are answered, against several sides in turn.

Rounds are interleaved, A B then B A: what drifts on the machine drifts for all. What was heard is
in `standings` at any moment, so that whoever stops the bench keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

from noibo.errors import NoiboError
from noibo.evaluation.answer import HOPELESS, Answer, Failure, Kind
from noibo.evaluation.calling import Line, Question
from noibo.evaluation.prompts import Measure, probes, prompt
from noibo.evaluation.rounds import Cell, Plan, Progress, Round, Standing, standings
from noibo.evaluation.sides import DIALECTS, Side
from noibo.evaluation.statistics import percentile

PROBE_TOKENS = 8
LEAST_MISSES = 3  # failures in a row, by then a server is given up
PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0  # after a failure
TICK_S = 0.02

Watch = Callable[[Progress], None]


class Bench:
    """One run. `standings` has what was measured, also while it runs and after it was stopped."""

    def __init__(self, sides: Sequence[Side], plan: Plan, watch: Watch) -> None:
        self.plan = plan
        self.standings = standings(sides, plan)
        self.rounds_done = 0
        self.watch = watch
        self._since = time.perf_counter()
        self._measure = Measure()

    async def warm_up(self) -> None:
        """Load the models, learn how the servers want to be asked, and ask each once by as many
        callers as there will be. A side that fails is `out`. Nothing of it is in any figure."""
        for standing in self.standings:
            await self._warm_up(standing)

    async def measure(self) -> None:
        """All rounds. A side that fails for good is left out of what follows, not of the result."""
        for standing in self.standings:
            self._set_words(standing)
        for number in range(1, self.plan.rounds + 1):
            for callers in self.plan.concurrency:
                for standing in self.standings[:: 1 if number % 2 else -1]:
                    await self._one(standing, standing.cells[callers], number)
            self.rounds_done = number

    # ── before anything is measured ─────────────────────────────────────────

    async def _warm_up(self, standing: Standing) -> None:
        self.watch(Progress(standing.side.name, 0, 0, 0, 0, 0, 0.0))
        began = self.now()
        if not await self._prepared(standing):
            return
        async with self._line(standing.side) as line:
            short, long = probes(self.plan.seed, standing.side.name)
            first = await self._first(standing, line, short)
            if isinstance(first, Failure):
                standing.out = first
                return
            second = await line.ask(Question(long, PROBE_TOKENS, standing.dialect))
            if isinstance(second, Answer) and not self._measure.known:
                self._measure = Measure.of(first.prompt_tokens, second.prompt_tokens)
            self._set_words(standing)
            asked = [
                self.question(standing, f"warm/{one}", PROBE_TOKENS)
                for one in range(max(self.plan.concurrency))
            ]
            await asyncio.gather(*(line.ask(question) for question in asked))
        standing.warm_up_s = self.now() - began

    async def _prepared(self, standing: Standing) -> bool:
        """Whether its model is loaded, where that is for us to see to."""
        if standing.side.host is None:
            return True
        try:
            await standing.side.host.prepare(standing.side.model)
        except NoiboError as error:
            standing.out = Failure(Kind.SERVER, str(error), self.now())
        return standing.out is None

    async def _first(self, standing: Standing, line: Line, text: str) -> Answer | Failure:
        """The first answer, in the first dialect that is not refused; else the first refusal."""
        told = await _patiently(line, Question(text, PROBE_TOKENS, standing.dialect))
        got = told
        for dialect in DIALECTS[1:]:
            if isinstance(got, Answer) or got.kind is not Kind.BAD_REQUEST:
                break
            standing.dialect = dialect
            got = await _patiently(line, Question(text, PROBE_TOKENS, dialect))
        return got if isinstance(got, Answer) else told

    def _set_words(self, standing: Standing) -> None:
        """All sides get as many words: those that make the wanted tokens at the first that counts
        them."""
        measure = self._measure
        standing.words = measure.words(self.plan.prompt_tokens)
        shared = self.plan.shared_prefix
        standing.shared_words = round(shared / measure.each) if shared else 0

    def question(self, standing: Standing, which: str, tokens: int) -> Question:
        """What is asked of a side; the same words for the same `which`."""
        side = standing.side.name
        text = prompt(standing.words, standing.shared_words, f"{self.plan.seed}/{which}", side)
        return Question(text, tokens, standing.dialect)

    # ── one round of one side ───────────────────────────────────────────────

    async def _one(self, standing: Standing, cell: Cell, number: int) -> None:
        if standing.out or cell.given_up or not await self._prepared(standing):
            return
        one = Round(number)
        cell.rounds.append(one)
        try:
            async with self._line(standing.side) as line, _own_part(one):
                await Callers(self, standing, cell, one, line).run()
        finally:
            one.busy_until = one.busy_until or self.now()
        last = cell.given_up
        if last is not None and last.kind in HOPELESS:
            standing.out = last
        await self._weigh(standing)

    async def _weigh(self, standing: Standing) -> None:
        """The memory its worker held."""
        side = standing.side
        if side.host is not None:
            with contextlib.suppress(NoiboError):  # a server that is gone is told by its answers
                held = await side.host.memory(side.model)
                standing.memory = max(held or 0, standing.memory or 0) or None

    def _line(self, side: Side) -> Line:
        return Line(side, self.plan.patience_s, self._since)

    def now(self) -> float:
        """Seconds since the bench began."""
        return time.perf_counter() - self._since


class Callers:
    """The callers of one round. Who has asked often enough goes on, and what is heard then is not
    kept: the last answers that count are to come of a server as busy as it was for the first."""

    def __init__(
        self, bench: Bench, standing: Standing, cell: Cell, one: Round, line: Line
    ) -> None:
        self._bench = bench
        self._standing = standing
        self._cell = cell
        self._round = one
        self._line = line
        self._begun = 0
        self._under_way = 0  # of what counts
        self._served: set[int] = set()  # callers that were answered, or refused, once
        self._misses = 0  # in a row
        self._going_on: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """All at the same time until there is enough. What is under way then is heard to its end:
        the next side finds the machine idle."""
        self._round.began = self._bench.now()
        try:
            await asyncio.gather(*(self._call(caller) for caller in range(self._cell.callers)))
            self._round.whole = self._cell.given_up is None
            if self._going_on and self._round.whole:
                await asyncio.wait(self._going_on, timeout=self._longest_s())
        finally:
            for task in self._going_on:
                task.cancel()
            await asyncio.gather(*self._going_on, return_exceptions=True)

    async def _call(self, caller: int) -> None:
        misses = 0
        while not self._enough():
            self._under_way += 1
            got = await self._ask()
            self._under_way -= 1
            self._served.add(caller)
            misses = 0 if isinstance(got, Answer) else misses + 1
            self._keep(got)
            if isinstance(got, Failure) and not self._enough():
                await asyncio.sleep(pause_s(got, misses))
        self._going_on.append(asyncio.create_task(self._go_on()))

    async def _ask(self) -> Answer | Failure:
        number, self._begun = self._begun, self._begun + 1
        which = f"{self._round.number}/{self._cell.callers}/{number}"
        question = self._bench.question(self._standing, which, self._bench.plan.tokens)
        return await self._line.ask(question)

    async def _go_on(self) -> None:
        """Ask, and keep nothing of it, while what counts is under way; not for ever, where that
        never ends."""
        misses = 0
        while self._under_way and not self._cell.given_up:
            if self._bench.now() >= self._round.busy_until + self._longest_s():
                return
            got = await self._ask()
            misses = 0 if isinstance(got, Answer) else misses + 1
            if isinstance(got, Failure):
                await asyncio.sleep(pause_s(got, misses))

    def _longest_s(self) -> float:
        """As long as the time that counts, or the slowest answer so far."""
        one = self._round
        return max([one.seconds, *(answer.latency_s for answer in one.answers)])

    def _enough(self) -> bool:
        """Whether no more is asked. The first to see it ends the time that counts."""
        plan, now = self._bench.plan, self._bench.now()
        if plan.requests is not None:
            done = self._begun >= max(plan.requests, self._cell.callers)
        else:
            passed = now - self._round.began
            done = passed >= plan.seconds and len(self._served) == self._cell.callers
        done = done or self._cell.given_up is not None
        if done and not self._round.busy_until:
            self._round.busy_until = now
        return done

    def _keep(self, got: Answer | Failure) -> None:
        one, cell = self._round, self._cell
        if isinstance(got, Answer):
            self._misses = 0
            one.answers.append(got)
        else:
            self._misses += 1
            one.failures.append(got)
            if self._misses >= max(LEAST_MISSES, cell.callers) or got.kind in HOPELESS:
                cell.given_up = cell.given_up or got
        passed = self._bench.now() - one.began
        tokens = sum(answer.tokens for answer in one.answers)
        self._bench.watch(
            Progress(
                self._standing.side.name,
                cell.callers,
                one.number,
                self._bench.plan.rounds,
                len(cell.answers),
                len(cell.failures),
                tokens / passed if passed > 0 else 0.0,
            )
        )


async def _patiently(line: Line, question: Question) -> Answer | Failure:
    """An answer, also of a server that is just starting, or has no time at this moment."""
    for misses in range(1, LEAST_MISSES):
        got = await line.ask(question)
        if isinstance(got, Answer) or got.kind not in {Kind.SERVER, Kind.TOO_MANY}:
            return got
        await asyncio.sleep(pause_s(got, misses))
    return await line.ask(question)


def pause_s(failure: Failure, misses: int) -> float:
    """How long a caller waits after so many failures in a row: as it was told, or longer each
    time."""
    asked = failure.retry_after_s
    doubled = PAUSE_S * 2 ** min(misses - 1, 10)
    return min(doubled if asked is None else asked, LONGEST_PAUSE_S)


@contextlib.asynccontextmanager
async def _own_part(one: Round) -> AsyncIterator[None]:
    """Notes what the bench itself took in the time: its share of a core, and how late it was."""
    began, spent, late = time.perf_counter(), time.process_time(), list[float]()
    ticking = asyncio.create_task(_tick(late))
    try:
        yield
    finally:
        ticking.cancel()
        took = time.perf_counter() - began
        one.cpu_share = (time.process_time() - spent) / took if took > 0 else 0.0
        one.late_s = percentile(late, 0.99) if late else 0.0


async def _tick(late: list[float]) -> None:
    while True:
        due = time.perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(time.perf_counter() - due)
