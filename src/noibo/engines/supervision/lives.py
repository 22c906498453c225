"""What takes time in the life of a seat: planning, starting, stopping. And what a death means.

Each changes one seat, and decides nothing about any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError

from noibo.engines.faults import Kind
from noibo.engines.fit.speeds import How, Speeds
from noibo.engines.memory.book import Book
from noibo.engines.memory.machine import Machine
from noibo.engines.memory.size import Use
from noibo.engines.remote.reached import Reached
from noibo.engines.supervision.builds import Builds
from noibo.engines.supervision.gpu_required import asked, require_part, with_gpu
from noibo.engines.supervision.plan import Plan, Planner
from noibo.engines.supervision.seat import Seat
from noibo.engines.supervision.setbacks import Setbacks
from noibo.engines.supervision.times import Times
from noibo.engines.tuning import Tuning
from noibo.engines.worker import State, Worker
from noibo.errors import GpuMissing, NoiboError, WorkerStartFailed

log = logging.getLogger(__name__)
PERHAPS_BY_CHANCE = {Kind.KILLED, Kind.CRASHED, Kind.ILLEGAL_INSTRUCTION}


@dataclass(frozen=True, slots=True)
class Lives:
    """Plans, starts, stops and buries workers. `on_end` is told of each that ends."""

    planner: Planner
    builds: Builds
    tuning: Tuning
    book: Book
    speeds: Speeds
    machine: Machine
    times: Times
    on_end: Callable[[Worker], None]
    setbacks: Setbacks = field(default_factory=Setbacks)
    happened: Counter[tuple[str, str]] = field(default_factory=Counter)  # to which model, and what

    async def plan(self, seat: Seat) -> None:
        """Find out how the seat's model would be run; why not goes to `seat.error`."""
        model, moment = seat.model, self.planner.moment
        seat.cramped = None
        try:
            plan = await asyncio.to_thread(self.planner.plan, model)
            await asyncio.to_thread(self.builds.require_sound, plan.engine)
            if plan.limits.require_gpu:
                plan = await asyncio.to_thread(with_gpu, plan)
        except GpuMissing as error:
            seat.plan, seat.error, seat.cramped = None, error, moment
        except NoiboError as error:
            seat.plan, seat.error = None, error
        except Exception as error:  # noqa: BLE001 - logged, and told to who waits
            seat.plan, seat.error = None, _known(model.seat, error)
        else:
            if seat.model is model:
                seat.plan, seat.rung = plan, min(seat.rung, len(plan.rungs) - 1)

    async def start(self, seat: Seat, plan: Plan, number: int) -> None:
        """Start the worker of that rung; a failure for good goes to `seat.error`."""
        began = time.monotonic()
        rung = plan.rungs[number]
        kind = Reached if rung.launch.reach else Worker
        worker = kind(plan.engine, plan.model, rung.launch, plan.limits, self.on_end)
        worker.expected_bytes = rung.expected
        seat.worker, seat.leaving = worker, False
        try:
            await worker.start()
            rate = await worker.prove()
            if plan.limits.require_gpu:
                placement = worker.facts()["placement"]
                ask = asked(plan.engine, rung.launch.python)
                await asyncio.to_thread(require_part, seat.name, placement, ask)
        except BaseException as error:
            await asyncio.shield(worker.stop())
            self.planner.look_again()
            seat.empty()
            if isinstance(error, asyncio.CancelledError):
                raise
            self._start_failed(seat, plan, number, worker, _known(seat.name, error))
            return
        self.planner.look_again()
        now = time.monotonic()
        self.happened[seat.model.name, "started"] += 1
        self.times.loaded(seat.name, now - began)
        seat.crashed, seat.rung = False, number
        seat.ready_at = seat.used_at = seat.idle_since = now
        await asyncio.to_thread(self._weigh, seat, plan, number, worker)
        if rate is not None:
            await asyncio.to_thread(self.builds.trust, plan.engine)
            await asyncio.to_thread(self.tuning.record, plan.speed_key, rate)

    def _weigh(self, seat: Seat, plan: Plan, number: int, worker: Worker) -> None:
        """Correct what was estimated by what it holds now."""
        worker.examine(self.machine)
        rung = plan.rungs[number]
        if worker.held_bytes and worker.process is not None:
            alone = self.machine.held_alone(worker.process.pid)
            self.book.measured(rung.key, plan.engine.name, rung.need, alone, plan.model.name)
            seat.bytes = worker.held_bytes + rung.need.kept
        self._note_speed(worker)

    def _note_speed(self, worker: Worker) -> None:
        """Keep what its log says of how fast it was, unless its engine has gone meanwhile."""
        if worker.process is None:
            return
        told = worker.launch.placement.get
        with contextlib.suppress(NoiboError, PackageNotFoundError):
            how = How(told("threads", 0), worker.engine.build(), told("gpu_layers", 0))
            self.speeds.note(worker.model, worker.launch.size, how, worker.process.log())

    def _start_failed(
        self, seat: Seat, plan: Plan, number: int, worker: Worker, error: NoiboError
    ) -> None:
        self.happened[seat.model.name, "start_failed"] += 1
        kind = worker.fault.kind if worker.fault else None
        if kind is Kind.OUT_OF_MEMORY and number + 1 < len(plan.rungs):
            seat.rung = number + 1
            log.warning("%s is tried smaller: %s", seat.name, plan.rungs[seat.rung].size)
            return
        if kind in PERHAPS_BY_CHANCE and not seat.crashed:
            seat.crashed = True
            log.warning("%s is started once more: %s", seat.name, error.message)
            return
        if kind is Kind.ILLEGAL_INSTRUCTION:
            error = self.builds.disqualify(plan.engine, error.message) or error
        log.error("%s%s", error.message, error.lines)  # nothing was asked of it yet
        seat.crashed, seat.plan = False, None  # file, settings or engine may change by next time
        seat.error = error
        self.setbacks.failed(seat.name, error, time.monotonic())

    async def stop(self, seat: Seat, worker: Worker) -> None:
        """Unload it."""
        self.happened[seat.model.name, "unloaded"] += 1
        await worker.stop()
        await asyncio.to_thread(self.note_use, seat, worker)  # by now its log was read to the end
        self.planner.look_again()
        seat.empty()
        seat.plan, seat.rung = None, 0

    def answered(self, seat: Seat, worker: Worker, seconds: float) -> None:
        """An answer came to its end: all is well with the model, and with the build."""
        self.times.answered(seat.name, seconds)
        self.setbacks.worked(seat.name)
        if not worker.proven:  # which build it is, is asked of files: once for a worker
            worker.proven = True
            asyncio.get_running_loop().run_in_executor(None, self.builds.trust, worker.engine)
        seat.crashed = False

    def note_use(self, seat: Seat, worker: Worker) -> None:
        """Keep how a worker that went has been used, and how fast it was. Once for each."""
        self._note_speed(worker)
        self.book.used(
            seat.name,
            Use(
                callers=seat.most_callers,
                tokens=worker.longest_tokens,
                prompts=worker.prompts,
                prompt_tokens=worker.tokens_in,
                reused_tokens=worker.tokens_reused,
            ),
        )

    def bury(self, seat: Seat) -> None:
        """Take a worker that has died out of its seat; what it was asked for has failed."""
        worker = seat.worker
        if worker is None or worker.state is not State.FAILED:
            return
        seat.empty()
        self.happened[seat.model.name, "died"] += 1
        self.planner.look_again()
        kind = worker.fault.kind if worker.fault else None
        if kind is Kind.ILLEGAL_INSTRUCTION:
            if seat.crashed:
                seat.error = self.builds.disqualify(worker.engine, worker.death().message)
            seat.crashed = True
        if kind is Kind.OUT_OF_MEMORY and seat.plan and seat.rung + 1 < len(seat.plan.rungs):
            seat.rung += 1
        self.setbacks.failed(seat.name, worker.death(), time.monotonic())


def _known(name: str, error: BaseException) -> NoiboError:
    """An error of ours; one that nobody thought of becomes one, and is logged."""
    if isinstance(error, NoiboError):
        return error
    log.error("%s could not be started", name, exc_info=error)
    return WorkerStartFailed(f"{name} could not be started: {type(error).__name__}: {error}.")
