"""What `require_gpu` asks of a load: that a GPU takes part in it, or that it fails and says why.

It is looked at twice: before the start, at what the engine would be told; and after it, at what
its log says it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from noibo.engines.engine import Verb
from noibo.engines.supervision.plan import Plan
from noibo.errors import GpuMissing
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
        next_step=why() if why else advice(python=plan.rungs[0].launch.python),
    )


def require_part(name: str, placement: Mapping[str, Any], python: str = "") -> None:
    """Raises `GpuMissing` where the engine's log says that nothing of the model is on a GPU. An
    engine that says nothing is believed. `python` is that of the build it ran in."""
    devices = placement.get("devices")
    if not isinstance(devices, Mapping) or not devices:
        return
    if all(str(device).lower() == "cpu" for device in devices):
        raise GpuMissing(
            f"{name} was loaded into the processor's memory alone, and require_gpu is set.",
            next_step=advice(python=python),
        )


def advice(
    found: tuple[Gpu, ...] | None = None,
    ask: Callable[[str], Usable] = ask_engine,
    python: str = "",
) -> str:
    """What to do so that a GPU takes part; `python` is that of the engine's build."""
    if found is None:
        system = System()
        found = tuple(gpus(system, memory_of(system)[0])[0])
    if not found:
        return f"No GPU was seen here: `noibo hardware`; {_OFF}"
    usable = ask(python)
    idle = unused(found, usable)
    if idle is not None:
        return (
            f"There is {idle.name}, which the installed engine cannot use: "
            f"`{command_for(idle)}`; {_OFF}"
        )
    free = max((one.free_bytes or one.memory_bytes for one in usable.devices), default=0)
    return (
        f"Its GPU has {free / 2**30:.1f} GiB free: take a smaller model or quantisation "
        f"(`noibo recommend`), {_OFF}"
    )
