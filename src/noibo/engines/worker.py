"""One worker: one process that runs one model, as a state machine.

    NEW ──► STARTING ──► READY ──► STOPPING ──► STOPPED
                │           │          ▲
                ├───────────┼──────────┘
                └──► FAILED ◄┘

A worker lives once: a new start is a new worker. A start fails when it makes no progress (no word
from the child, no processor time, no growth in memory) for a while, never after a total: a large
model on a slow disk may take its time. A worker that owes answers and makes no progress fails too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

import psutil

from noibo import settings
from noibo.egress import require_loopback
from noibo.engines.engine import Engine, Launch, Model, Reach
from noibo.engines.faults import Fault, Kind, diagnose, kernel_kills
from noibo.engines.line import Waits
from noibo.engines.memory.machine import Machine, family
from noibo.engines.prefill import measure_prefill
from noibo.engines.process import LONGEST_LINE, MOST_WRITTEN, ChildProcess, Event
from noibo.errors import EngineError, OutOfMemory, WorkerDied, WorkerStartFailed
from noibo.modelstore.printable import shown

log = logging.getLogger(__name__)

LINES_TOLD = 12
OPEN_FILES = 1024
BUSY = 5  # a start may be busy, and say nothing, for so many times longer than it may stand still
SPARE_BYTES = 2**30
LONGEST_LOOK_S = 3.0  # between two looks at what it does


class State(Enum):
    """Where a worker is in its life."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


MOVES: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.STARTING, State.STOPPED}),
    State.STARTING: frozenset({State.READY, State.STOPPING, State.FAILED}),
    State.READY: frozenset({State.STOPPING, State.FAILED}),
    State.STOPPING: frozenset({State.STOPPED}),
    State.STOPPED: frozenset(),
    State.FAILED: frozenset(),
}


class Made(Enum):
    """What a process did in a while."""

    NOTHING = "nothing"
    WORK = "work"  # processor time
    GROWTH = "growth"  # memory


class Worker:
    """A child process with an address, a key, and callers that lease it."""

    reach: Reach | None = None  # where it is, if it is a program that is not ours

    def __init__(
        self,
        engine: Engine,
        model: Model,
        launch: Launch,
        limits: settings.Engine,
        on_end: Callable[[Worker], None] = lambda worker: None,
    ) -> None:
        self.engine = engine
        self.model = model
        self.launch = launch
        self.slots = max(launch.size.parallel, 1)
        self.state = State.NEW
        self.url = ""
        self.key = secrets.token_urlsafe(24)
        self.leases = 0  # that take a slot
        self.visits = 0  # that take none
        self.proven = False  # it has answered
        self.suspect = False  # it owes an answer that will never come: to be replaced
        self.owed = 0  # answers that are waited for right now: not those whose reader is slow
        self.started_at = self.ready_at = self.used_at = 0.0  # times of day, for people
        self.began = 0.0  # of the monotonic clock
        self.note = ""
        self._why = ""  # its own last word, if it ended by itself
        self.process: ChildProcess | None = None
        self.fault: Fault | None = None
        self.held_bytes = self.peak_bytes = 0
        self.mapped_bytes = 0  # of what it holds: files, which the system can read again
        self.expected_bytes = launch.need.at_start
        self.tokens_in = self.tokens_reused = self.tokens_out = 0
        self.prompts = self.longest_tokens = 0
        self.patience_s = BUSY * limits.answer_stall_s  # a request may hear nothing for so long
        self.waits = Waits(first_s=self.patience_s)  # then it is seen what it does
        self._limits = limits
        self._kills = 0
        self._on_end = on_end
        self._end: asyncio.Task[None] | None = None
        self._progress: _Progress | None = None
        self._placed: Mapping[str, Any] = {}
        self._kept_from: Mapping[str, Any] = {}

    # ── the life of it ──────────────────────────────────────────────────────

    def _move(self, state: State) -> None:
        if state not in MOVES[self.state]:
            raise RuntimeError(f"worker {self.model.name}: {self.state} cannot become {state}")
        log.info("worker %s (%s): %s", self.model.seat, self.engine.name, state.value)
        self.state = state

    async def start(self) -> None:
        """Start the process and wait until it answers. Raises `WorkerStartFailed`."""
        self._move(State.STARTING)
        self.started_at = self.used_at = time.time()
        self.began = time.monotonic()
        process = ChildProcess(self.launch.module, self._hear, self.launch.python)
        self._kills = kernel_kills()
        try:
            await process.start(dict(self.launch.config) | {"api_key": self.key}, self._isolation())
            self.process = process
            self._progress = _Progress(process.pid)
            self._end = asyncio.create_task(self._until_ended(process))
            await self._until_ready(process)
            if self.fault:  # it said where it listens, and died
                await self._give_up(self.fault)
        except OSError as exc:
            await self._give_up(Fault(Kind.REFUSED, f"could not be started: {exc}"))
        except BaseException:  # cancelled, or a worker that talks nonsense: no process is left
            await asyncio.shield(self.stop())
            raise
        self._placed = self.engine.placed(process.log())
        self.ready_at = self.used_at = time.time()
        self._move(State.READY)

    def _isolation(self) -> dict[str, Any] | None:
        """What the process may touch besides its own program and folder; None: all it likes."""
        if not self._limits.isolation:
            return None
        return {
            "reads": [str(path) for path in self.launch.reads],
            "runs": [str(path) for path in self.launch.runs],
            "memory_bytes": self.most_bytes,
            "open_files": OPEN_FILES,
            "talks": self.launch.talks,
        }

    @property
    def most_bytes(self) -> int | None:
        """More it must never hold; None: nobody knows, as with the memory of a GPU."""
        own_memory = self.launch.placement.get("device") in {"cpu", "none"}
        return 2 * self.launch.need.total + SPARE_BYTES if own_memory else None

    async def _until_ready(self, process: ChildProcess) -> None:
        stall = self._limits.start_stall_s
        told = moved = time.monotonic()
        while not self.url:
            if self.fault:
                await self._give_up(self.fault)
            progress = await asyncio.to_thread(self._progress_made)
            now = time.monotonic()
            if process.heard.is_set() or progress is Made.GROWTH:
                process.heard.clear()
                told = moved = now
            elif progress is Made.WORK:  # it may turn in a circle: a template without end
                moved = now
            if now - moved > stall or now - told > BUSY * stall:
                why = f"made no progress for {now - min(moved, told):.0f} s"
                await self._give_up(Fault(Kind.STALLED, why))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.heard.wait(), 0.25)

    async def prove(self) -> float | None:
        """Have it read a real prompt, where the launch asks for that: tokens a second. Raises
        `WorkerStartFailed`."""
        if not self.launch.proof_tokens:
            return None
        try:
            with self.owing():
                return await measure_prefill(self.url, self.key, self.launch.proof_tokens)
        except EngineError as error:
            await self._ended_within(1.0)  # the connection breaks a moment before the exit is known
            fault = self.fault or Fault(Kind.REFUSED, error.message)
            await self.stop()
            raise self._start_failed(fault) from error

    async def _give_up(self, fault: Fault) -> None:
        self.fault = fault
        if self.state is State.STARTING:
            self._move(State.FAILED)
        await self._end_process()
        raise self._start_failed(fault)

    def _start_failed(self, fault: Fault) -> WorkerStartFailed:
        name, engine = self.model.name, self.engine.name
        if fault.kind is Kind.OUT_OF_MEMORY:
            error: WorkerStartFailed = OutOfMemory(
                f"There is not enough memory for {name} (out of memory): its worker {fault.text}.",
                next_step="Unload others (`noibo ps`, `noibo stop`), take a smaller model or "
                "quantisation, or set a smaller engine.ctx_size.",
            )
        else:
            error = WorkerStartFailed(
                f"The model {name} did not start: its worker ({engine}) {fault.text}.",
                next_step="`noibo inspect` shows what is in the file, `noibo doctor` what this "
                "machine can run.",
            )
        error.lines = self.last_lines()
        return error

    async def stop(self) -> None:
        """Ask the process to end, then make it."""
        if self.state is State.NEW:
            self._move(State.STOPPED)
        if self.state not in {State.STARTING, State.READY}:
            return
        self._move(State.STOPPING)
        await self._end_process()
        self._move(State.STOPPED)

    async def _end_process(self) -> None:
        if self.process is not None:
            await self.process.end(self._limits.stop_grace_s)
        if self._end is not None:
            await self._end

    async def _until_ended(self, process: ChildProcess) -> None:
        await process.ended()
        code = process.exit_code if process.exit_code is not None else 1
        if self.fault is None:
            short = kernel_kills() > self._kills
            told = process.log()[-LINES_TOLD * 2 :]
            self.fault = diagnose(code, told, kernel_was_short=short)
        if self.state is State.READY:
            self._move(State.FAILED)
            log.error("worker %s %s", self.model.name, self.fault.text)
        self._on_end(self)

    def _hear(self, event: Event) -> None:
        """Take one event of the process. Raises where it is none."""
        if self.url:
            return  # a worker that serves has nothing more to announce
        if event["event"] == "isolated":
            self._kept_from = {k: v for k, v in event.items() if k != "event"}
        elif event["event"] == "ready":
            self.url = require_loopback(event["url"])
        elif event["event"] == "failed":
            self._why = shown(str(event["why"]), LONGEST_LINE)
        self.note = shown(str(event.get("note", "")))

    # ── what is seen of it from outside ─────────────────────────────────────

    @property
    def serves(self) -> bool:
        """It can be asked: ready, and its process has not just ended."""
        return self.state is State.READY and self.process is not None and not self.process.gone

    def examine(self, machine: Machine) -> None:
        """Measure what it holds; end it when that is more than it may, or when it owes answers and
        does nothing. Blocks for a few milliseconds: not for the event loop."""
        if self.process is None or self.state not in {State.STARTING, State.READY}:
            return
        self.held_bytes = machine.held_by(self.process.pid)
        self.mapped_bytes = machine.mapped_by(self.process.pid)
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)
        self._kills = kernel_kills()
        if self._limits.isolation and self.most_bytes and self.held_bytes > self.most_bytes:
            self._end_for(Fault(Kind.OUT_OF_MEMORY, f"took {self.held_bytes / 2**20:,.0f} MiB"))
        elif self._limits.isolation and (wrote := self.process.wrote()) > MOST_WRITTEN:
            self._end_for(Fault(Kind.CRASHED, f"wrote {wrote / 2**20:,.0f} MiB to its folder"))
        else:
            self._look_for_a_stall()

    def _look_for_a_stall(self) -> None:
        owes = self.state is State.READY and self.owed > 0
        if self._progress is None or self._progress.made(self.tokens_out) is not Made.NOTHING:
            return
        if not owes:
            self._progress.moved_at = time.monotonic()  # it is right to stand still
            return
        still = time.monotonic() - self._progress.moved_at
        if still > self._limits.answer_stall_s:
            self._end_for(Fault(Kind.STALLED, f"did nothing for {still:.0f} s"))

    def _end_for(self, fault: Fault) -> None:
        """Whoever waits for its end finds why."""
        self.fault = fault
        if self.process is not None:
            self.process.kill()

    @property
    def window(self) -> int:
        """Tokens of a prompt with its answer, in each slot; 0: nobody here knows. The engine makes
        it a little larger than it was asked to, and not larger than the model was trained for."""
        placed = self._placed.get("context")
        return placed if isinstance(placed, int) else self.launch.size.context

    @functools.cached_property
    def headers(self) -> dict[str, str]:
        """What each request to it says of itself."""
        key = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return {"Content-Type": "application/json", "Accept-Encoding": "identity"} | key

    @contextlib.contextmanager
    def owing(self) -> Iterator[None]:
        """Somebody waits for bytes of this worker meanwhile."""
        self.owed += 1
        try:
            yield
        finally:
            self.owed -= 1

    def _progress_made(self) -> Made:
        return self._progress.made() if self._progress else Made.NOTHING

    def address(self, path: str) -> str:
        """Where it answers what noibo calls `path`."""
        return self.url + path

    def refusal(self, status: int, error: EngineError) -> EngineError:
        """What a caller is told where it answered with `status`, which reads as `error`."""
        return error

    def silent(self, seconds: float) -> EngineError:
        """The error for a request of which nothing was heard for so long. Others may be answered;
        then it is replaced."""
        self.suspect = True
        return WorkerDied(
            f"The worker for {self.model.name} said nothing for {seconds:.0f} s.",
            next_step="Look at the chat template (`noibo show`) and at what was asked.",
        )

    async def died(self) -> EngineError:
        """The error for a request that this worker's end cut off."""
        await self._ended_within(1.0)  # the connection breaks a moment before the exit is known
        return self.death()

    async def _ended_within(self, seconds: float) -> None:
        if self._end is not None:
            await asyncio.wait([self._end], timeout=seconds)

    def death(self) -> WorkerDied:
        """How it ended, as an error."""
        what = self.fault.text if self.fault else "stopped answering"
        error = WorkerDied(
            f"The worker for {self.model.name} {what} while it answered.",
            next_step="Send the request again: a fresh worker starts by itself.",
        )
        error.lines = self.last_lines()
        return error

    def last_lines(self) -> str:
        """The end of the process's log, for an error's `lines`."""
        log = self.process.log() if self.process else []
        lines = [line for line in log if line.strip() and line != self._why]
        lines += [self._why] if self._why else []
        return "\nIts last lines:\n  " + "\n  ".join(lines[-LINES_TOLD:]) if lines else ""

    def facts(self) -> dict[str, Any]:
        """What `noibo ps` shows of it."""
        return {
            "model": self.model.name,
            "verb": self.model.verb.value,
            "engine": self.engine.name,
            "state": self.state.value,
            "note": self.note,
            "pid": self.process.pid if self.process else None,
            "requests": self.leases,
            "slots": self.slots,
            "started_at": self.started_at,
            "ready_at": self.ready_at or None,
            "used_at": self.used_at,
            "memory_bytes": self.held_bytes,
            "peak_bytes": self.peak_bytes,
            "predicted_bytes": self.expected_bytes,
            "tokens_in": self.tokens_in,
            "tokens_reused": self.tokens_reused,
            "tokens_out": self.tokens_out,
            "placement": {**self.launch.placement, **self._placed, "isolation": self._kept_from},
        }


class _Progress:
    """Whether a process, or one that it started, did anything since last asked; `moved_at` is when
    it last did.

    While nobody looked (this process was stopped, or the machine slept) no time has passed: what
    stood still then was not the worker alone."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen = (0.0, 0, 0)
        self.moved_at = self._looked_at = time.monotonic()

    def made(self, tokens: int = 0) -> Made:
        """What it did; `tokens` it has said so far. A process that is gone did nothing."""
        before_s, self._looked_at = self._looked_at, time.monotonic()
        self.moved_at += max(self._looked_at - before_s - LONGEST_LOOK_S, 0.0)
        used, held = 0.0, 0
        for pid in family(self._pid):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                times = process.cpu_times()
                used += times.user + times.system
                held += process.memory_info().rss
        if not held:
            return Made.NOTHING
        now = (round(used, 1), held >> 20, tokens)
        before, self._seen = self._seen, now
        if now == before:
            return Made.NOTHING
        self.moved_at = self._looked_at
        return Made.GROWTH if now[1] != before[1] else Made.WORK
