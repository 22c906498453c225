"""How a model would be run here: which engine, how large, and what that takes of the memory.

A plan has rungs, from the size that is wanted down to the least that makes sense. Which rung is
taken is decided by the memory there is when the worker is started, and by starts that failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, runtime_checkable

from noibo.engines.engine import Engine, Launch, Model, Speed
from noibo.engines.memory.book import Book
from noibo.engines.memory.conversations import worth_keeping
from noibo.engines.memory.machine import Machine, amount
from noibo.engines.memory.size import Need, Size
from noibo.engines.tuning import Tuning, threads_for
from noibo.errors import EngineMissing
from noibo.hardware.offload import Usable
from noibo.settings import Engine as Limits
from noibo.settings import Settings


@runtime_checkable
class Placing(Protocol):
    """An engine that puts layers on GPUs by what is free there."""

    def usable(self) -> Usable:
        """The GPUs that it can use, asked now."""

    def look_again(self) -> None:
        """What is free on them is another amount than when it was asked."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One size: how it is started, and what is expected of it by what was measured before (or,
    for want of that, estimated). `key` is what it is measured under."""

    launch: Launch
    expected: int
    key: str

    @property
    def size(self) -> Size:
        return self.launch.size

    @property
    def need(self) -> Need:
        return self.launch.need

    @property
    def bytes(self) -> int:
        """What must be free: what it holds when it is ready, and may grow by."""
        return self.expected + self.need.kept


@dataclass(frozen=True, slots=True)
class Plan:
    """A model with its engine, the limits that hold for it, and its rungs, largest first. `moment`
    is that of the planner when it was made: see `Planner.look_again`."""

    model: Model
    engine: Engine
    limits: Limits
    rungs: tuple[Rung, ...]
    speed_key: str
    moment: int = 0

    @property
    def by_gpus(self) -> bool:
        """It was made by what was free on GPUs then."""
        return any("gpu_layers" in rung.launch.placement for rung in self.rungs)

    def fitting(self, most: int, first: int = 0) -> int | None:
        """The largest rung from `first` on that needs no more than `most`."""
        for number in range(first, len(self.rungs)):
            if self.rungs[number].bytes <= most:
                return number
        return None

    @property
    def reaches(self) -> bool:
        """Another program runs it: nothing of this machine is taken for it."""
        return self.rungs[0].launch.reach is not None

    def unkept(self, number: int, free: int) -> int:
        """The same rung without kept state where that makes it fit into what is free: others need
        not go for it."""
        rung = self.rungs[number]
        if rung.bytes <= free:
            return number
        bare = replace(rung.size, kept_bytes=0)
        for other in range(number, len(self.rungs)):
            if self.rungs[other].size == bare and self.rungs[other].bytes <= free:
                return other
        return number


def limits_of(tree: Settings, name: str) -> Limits:
    """The engine's settings with what is set for this model alone."""
    own = tree.models.get(name)
    if own is None:
        return tree.engine
    return replace(
        tree.engine,
        ctx_size=own.ctx_size or tree.engine.ctx_size,
        parallel=own.parallel or tree.engine.parallel,
        kv_type=own.kv_type or tree.engine.kv_type,
        require_gpu=tree.engine.require_gpu if own.require_gpu is None else own.require_gpu,
    )


def speed_key(engine: Engine, model: Model, limits: Limits) -> str:
    """What the speed at which it reads prompts is kept under. Raises what the engine says where it
    is not installed."""
    return f"{engine.name} {engine.available()} {model.path} threads={threads_for(limits.threads)}"


class Planner:
    """Makes plans. Reads files: not for the event loop."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        tree: Settings,
        tuning: Tuning,
        book: Book,
        machine: Machine,
    ) -> None:
        self._engines = engines
        self._tree = tree
        self._tuning = tuning
        self._book = book
        self._machine = machine
        self.moment = 0  # how often a worker has come or gone

    def engine(self, name: str) -> Engine:
        """The adapter of that name."""
        try:
            return self._engines[name]
        except KeyError:
            raise EngineMissing(
                f"There is no engine {name!r}.",
                next_step=f"Engines here: {', '.join(sorted(self._engines))}.",
            ) from None

    def look_again(self) -> None:
        """A worker has come or gone: what was free on GPUs before is so no longer, and a plan that
        was made by it is to be made again."""
        self.moment += 1
        for engine in self._engines.values():
            if isinstance(engine, Placing):
                engine.look_again()

    def is_old(self, plan: Plan) -> bool:
        """Whether GPUs may have another amount free than it was made by."""
        return plan.by_gpus and plan.moment != self.moment

    def plan(self, model: Model) -> Plan:
        """How `model` would be run. Raises what the engine says against it."""
        moment, engine = self.moment, self.engine(model.engine)
        limits = limits_of(self._tree, model.name)
        key = speed_key(engine, model, limits)
        rate = self._tuning.prefill_rate(key)
        speed = Speed(rate, self._tuning.wants_more(key))
        use = self._book.use(model.seat)
        verdict = worth_keeping(use, rate)
        sizes = engine.sizes(model, limits, use, self._most_kept() if verdict.keep else 0)
        launches = [engine.launch(model, size, limits, speed) for size in sizes]
        launches = [_explained(launch, sizes[0], verdict.why) for launch in launches]
        rungs = [self._rung(engine, model, launch) for launch in launches]
        return Plan(model, engine, limits, tuple(rungs), key, moment)

    def _most_kept(self) -> int:
        """The most that the state of idle conversations may take in one worker."""
        total = self._machine.total()
        return amount(self._tree.memory.conversations, total, "memory.conversations")

    def _rung(self, engine: Engine, model: Model, launch: Launch) -> Rung:
        what = f"{model.path or model.name} {model.verb.value} {model.bytes}"
        told = launch.placement.get
        where = f"{engine.name} {told('build') or told('program')} {told('gpu_layers')}"
        key = f"{what} {launch.size} {launch.config.get('batch')} {where}"
        return Rung(launch, self._book.expected(key, engine.name, launch.need), key)


def _explained(launch: Launch, wanted: Size, conversations: str) -> Launch:
    """With the reasons in its placement: why conversations are kept or not, and what it would have
    been with more memory, where it is not that."""
    why: dict[str, Any] = {"conversations": conversations}
    if launch.size != wanted:
        why["wanted"] = asdict(wanted)
    return replace(launch, placement={**launch.placement, **why})
