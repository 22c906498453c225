"""Whether the engine really runs on this machine, and on all of it.

An engine build may die of an illegal instruction although the processor's list looks right. So it
is imported, and given a real model to read with, in child processes: their death is a sentence.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import psutil

from noibo.cli.doctor_checks import Finding, Level
from noibo.engines.engine import Engine, Model, Speed
from noibo.engines.faults import Kind, diagnose
from noibo.engines.llama_cpp.adapter import LlamaCpp
from noibo.engines.memory.size import Use
from noibo.engines.supervision.builds import Builds
from noibo.engines.tuning import threads_for
from noibo.engines.worker import Worker
from noibo.errors import NoiboError, WorkerStartFailed
from noibo.hardware.gpus import gpus
from noibo.hardware.offload import command_for, unused
from noibo.hardware.probe import memory_of
from noibo.hardware.system import System
from noibo.modelstore.store import Store, StoredModel
from noibo.settings import Settings

LINES_TOLD: Final = 3
OTHER_BUILD: Final = (
    "This build uses instructions that this processor does not have: build it here, "
    "`noibo engines install native`."
)
REINSTALL: Final = (
    "Install it again: `python -m pip install --force-reinstall --no-deps xllamacpp`."
)


def machine(tree: Settings) -> Iterator[Finding]:
    """Cores and memory."""
    memory = psutil.virtual_memory()
    total, free = memory.total / 2**30, memory.available / 2**30
    cores = threads_for(0)
    said = f"{cores} core{'s' * (cores > 1)}, {total:.1f} GiB memory, {free:.1f} GiB of it free"
    if free < 1:
        yield Finding(Level.WARNING, said, "A small model needs about 1 GiB: close something.")
    else:
        yield Finding(Level.OK, said)


def engine(tree: Settings) -> Iterator[Finding]:
    """The engine is installed, can be imported, and reads a real prompt if a model is here."""
    from noibo.assembly import open_engines, open_store, open_supervisor, usable_gpus

    open_supervisor(tree).engine(tree.engine.default)  # raises, naming those that there are
    version = LlamaCpp().available()
    usable = usable_gpus(tree)
    if usable.problem:
        yield _died(version, usable.code, usable.problem)
        return
    model = _some_model(open_store(tree), tree.default_model)
    if model is None:
        yield Finding(Level.OK, f"{version} can be imported; no model is here to try it with")
        return
    adapter = open_engines(tree)[LlamaCpp.name]
    yield asyncio.run(_try(adapter, version, model, tree))


async def _try(adapter: Engine, version: str, stored: StoredModel, tree: Settings) -> Finding:
    """Start a worker as the server would, only smaller; it reads a prompt before it is ready."""
    model = Model(str(stored.reference), adapter.name, stored.path, stored.facts.parameters or 0)
    limits = replace(tree.engine, ctx_size=512, parallel=1)
    model = replace(model, bytes=stored.size)
    size = adapter.sizes(model, limits, Use(), 0)[0]
    launch = adapter.launch(model, size, limits, Speed(measure=True))
    worker = Worker(adapter, model, launch, limits)
    builds = Builds(tree.home)
    try:
        await worker.start()
        await worker.prove()
    except WorkerStartFailed as error:
        died = worker.fault is not None and worker.fault.kind is Kind.ILLEGAL_INSTRUCTION
        return Finding(
            Level.PROBLEM, error.message + error.lines, OTHER_BUILD if died else error.next_step
        )
    await worker.stop()
    builds.trust(adapter)  # whatever was seen of it before
    return Finding(Level.OK, f"{version} runs: {model.name} loaded and read a prompt")


def _some_model(store: Store, preferred: str) -> StoredModel | None:
    """The default model, else the smallest that is here."""
    try:
        return store.get(preferred)
    except NoiboError:
        return min(store.list(), key=lambda model: model.size, default=None)


def _died(version: str, code: int, stderr: str) -> Finding:
    last = "".join(f"\n{line}" for line in stderr.strip().splitlines()[-LINES_TOLD:])
    said = f"{version} cannot be used: its process {diagnose(code, ()).text}.{last}"
    return Finding(Level.PROBLEM, said, OTHER_BUILD if code == -signal.SIGILL else REINSTALL)


def graphics(tree: Settings) -> Iterator[Finding]:
    """A GPU that the system has and the installed engine cannot use."""
    from noibo.assembly import usable_gpus

    system = System()
    found, notes = gpus(system, memory_of(system)[0])
    usable = usable_gpus(tree)
    idle = unused(tuple(found), usable)
    if usable.devices:
        names = ", ".join(one.description for one in usable.devices)
        yield Finding(Level.OK, f"the engine can use {names}")
    elif idle:
        said = f"There is {idle.name}, but the installed engine cannot use it."
        yield Finding(Level.WARNING, said, f"A build that can: `{command_for(idle)}`.")
    elif not notes:
        yield Finding(Level.OK, "no GPU was seen; models run on the processor")
    for note in notes:
        yield Finding(Level.WARNING, note, "`noibo hardware` shows what could be read.")
