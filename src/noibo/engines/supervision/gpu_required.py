"""`require_gpu` asks of a load that a GPU takes part in it, or that it fails and says why.

It is looked at twice: before the start, at what the engine would be told; and after it, at what
its log says it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from noibo.engines.engine import Engine, Verb
from noibo.engines.supervision.plan import Placing, Plan
from noibo.errors import GpuMissing, NoiboError
from noibo.hardware.gpus import gpus
from noibo.hardware.machine import Gpu
from noibo.hardware.offload import Usable, ask_engine, command_for, unused
from noibo.hardware.probe import memory_of
from noibo.hardware.system import System

_OFF: Final = "or let it run on the processor: engine.require_gpu = false."


def with_gpu(plan: Plan, why: Callable[[], str] | None = None) -> Plan:
    """The plan with those sizes only that a GPU takes part in. Raises `GpuMissing` where it takes
    part in none; `why` is asked for then, and may take a second. A worker that scores places its
    model by itself: it is looked at when it has started."""
    if not plan.limits.require_gpu or plan.reaches or plan.model.verb is Verb.SCORE:
        return plan
    rungs = tuple(one for one in plan.rungs if one.launch.placement.get("device") != "cpu")
    if rungs:
        return replace(plan, rungs=rungs)
    raise GpuMissing(
        f"{plan.model.name} would run on the processor alone, and require_gpu is set.",
        next_step=why() if why else advice(ask=asked(plan.engine, plan.rungs[0].launch.python)),
    )


def require_part(name: str, placement: Mapping[str, Any], ask: Callable[[], Usable]) -> None:
    """Raises `GpuMissing` where the engine's log says that no weights of the model are on a GPU:
    what it computes in may be there all the same. An engine that says nothing is believed. `ask`
    says what the engine can use."""
    devices = placement.get("devices")
    if not isinstance(devices, Mapping) or not devices:
        return
    told = any("weights" in held for held in devices.values())
    beside = [held for device, held in devices.items() if str(device).lower() != "cpu"]
    if not any(held.get("weights", 0) > 0 or not told for held in beside):
        raise GpuMissing(
            f"{name} was loaded into the processor's memory alone, and require_gpu is set.",
            next_step=advice(ask=ask),
        )


def on_gpus(placement: Mapping[str, Any]) -> bool:
    """Whether a worker takes memory of a GPU, by its engine's log, else by what it was told."""
    devices = placement.get("devices")
    if isinstance(devices, Mapping) and devices:
        return any(str(device).lower() != "cpu" for device in devices)
    return bool(placement.get("gpu_layers")) or placement.get("device") == "gpu"


def asked(engine: Engine, python: str) -> Callable[[], Usable]:
    """What the engine says it can use, by its own way to ask; else llama.cpp in the environment of
    `python`."""

    def ask() -> Usable:
        try:
            return engine.usable() if isinstance(engine, Placing) else ask_engine(python)
        except NoiboError as error:
            return Usable(problem=error.message, code=-1)

    return ask


def advice(
    found: tuple[Gpu, ...] | None = None,
    ask: Callable[[], Usable] = ask_engine,
) -> str:
    """What to do so that a GPU takes part."""
    if found is None:
        system = System()
        found = tuple(gpus(system, memory_of(system)[0])[0])
    if not found:
        return f"No GPU was seen here: `noibo hardware`; {_OFF}"
    usable = ask()
    if usable.problem:
        said = usable.problem.splitlines()[-1][:160]
        return f"The engine could not say what it can use ({said}): `noibo doctor`; {_OFF}"
    idle = unused(found, usable)
    if idle is not None:
        return (
            f"There is {idle.name}, which the installed engine cannot use: "
            f"`{command_for(idle)}`; {_OFF}"
        )
    if not usable.devices:
        return (
            f"{found[0].name} is part of the processor, and the installed engine does not use it: "
            f"`{command_for(found[0])}`; {_OFF}"
        )
    free = max(one.free_bytes or one.memory_bytes for one in usable.devices)
    return (
        f"Its GPU has {free / 2**30:.1f} GiB free: take a smaller model or quantisation "
        f"(`noibo recommend`), {_OFF}"
    )
